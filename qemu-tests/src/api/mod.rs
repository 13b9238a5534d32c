//! The API tier: a real kube-apiserver and etcd as child processes, no kubelet.

mod child;
mod cluster;
pub mod etcd;
mod pki;
mod rendered;
pub mod scenarios;

pub use child::Child;
pub use cluster::{Cluster, HOST, User, free_ports};
pub use pki::Pki;
pub use scenarios::{LONG, SCENARIOS};
