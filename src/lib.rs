//! slipway launches a self-hosted Kubernetes control plane from machine metadata.
//!
//! Data flows one way through the rooms below: a source gives bytes, an envelope gives the text of
//! the machine document, `config` makes it a typed [`config::Machine`], `render` turns that and the
//! secrets of `pki` into [`assets::Assets`], `start` carries them into a cluster and hands over.
//! Decisions are pure functions; the disk, the clock and the network are touched at the edges only.
//! The library exists for the tests and the harness; the product is the binary.

pub mod age;
pub mod assets;
pub mod backup;
pub mod certs;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod etcd;
pub mod exit;
pub mod hash;
pub mod kube;
pub mod metadata;
pub mod node;
pub mod pki;
pub mod plan;
pub mod recover;
pub mod recovery;
pub mod render;
pub mod report;
pub mod secret;
pub mod start;
pub mod tls;
pub mod transport;
