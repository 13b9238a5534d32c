//! The API tier: a real kube-apiserver and etcd as child processes, no kubelet.

mod child;
mod cluster;
mod pki;
mod rendered;
mod scenarios;

pub use cluster::{Cluster, HOST, User};
pub use pki::Pki;
pub use scenarios::{LONG, SCENARIOS};
