//! Checkpoints: what brings a self-hosted control plane back that nobody is left to bring back.
//!
//! Two processes share the work. On the node a unit of the image takes copies of the control plane's pods
//! and puts them in the kubelet's way when the API stays away; it stands outside the cluster, so nothing that
//! happens to the cluster's objects can take it along. In the cluster the DaemonSet kube-system/pod-checkpointer
//! ([`cluster`]) does what needs the API. The road not taken is the original's: one program in a DaemonSet and in a
//! static twin of its pod, which lost every checkpoint when its own DaemonSet was rolled.

mod asked;
pub mod cluster;
pub mod copy;
mod decide;
mod form;
mod health;
pub mod keeper;
mod memory;
mod observe;
mod parents;
mod pods;
mod releases;
mod room;
mod serving;
mod shelf;
mod since;
mod take;
mod view;
mod wanted;
mod word;
pub mod workload;

pub use workload::Workload;
