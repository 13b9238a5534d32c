//! The node tier: a real containerd and kubelet natively, in namespaces.
//!
//! A node is a machine without hardware: it has a disk (a tmpfs that a holder process keeps), lives
//! (namespaces that begin with a boot and end with a power cut) and services. What runs on it is
//! what runs in the image. It needs root and leaves nothing behind, however the harness ends.

mod authority;
pub mod backup;
mod cgroup;
mod external;
mod holder;
mod init;
pub mod launch;
mod life;
pub mod mounts;
pub mod native;
pub mod network;
pub mod process;
pub mod reboot;
pub mod recover;
pub mod reexec;
mod scenarios;
pub mod secrets;
mod services;
mod store;
mod tracer;
mod usage;
pub mod wire;

pub use scenarios::{LONG, SCENARIOS};
