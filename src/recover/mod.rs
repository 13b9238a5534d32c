//! Recovery: from what is left of a cluster to an asset directory that `slipway start` launches.
//!
//! A source ([`source`]) gives objects; the components' own arguments and Secrets give the keys ([`keys`]); the machine
//! document, rendered with those keys, gives everything that is this machine's; and the cluster's workloads give the
//! temporary control plane ([`component`]), by the code that makes checkpoints. All of that is a value
//! ([`assemble`]) before anything is written. The roads not taken are the original's: pods without the Secrets' whole
//! shape, the host's kubeconfig for the controllers, and believing what the store says of pods.

pub mod assemble;
pub mod component;
pub mod decode;
pub mod keys;
pub mod missing;
pub mod objects;
pub mod rbac;
pub mod snapshot;
pub mod template;
