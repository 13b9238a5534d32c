//! Recover: from a dead control plane back to a living one.
//!
//! What is left of a cluster is read where it lies, and what is found there becomes an asset directory that
//! `slipway start` launches.

pub mod snapshot;
