//! Recovery: from what is left of a cluster to an asset directory that `slipway start` launches.
//!
//! A source ([`source`]) gives objects; the components' own arguments and Secrets give the keys ([`keys`]); the machine
//! document, rendered with those keys, gives everything that is this machine's; and the cluster's workloads give the
//! temporary control plane ([`component`]), by the code that makes checkpoints. All of that is a value
//! ([`prepare`]) before anything is written ([`put`]). The roads not taken are the original's: pods without the Secrets'
//! whole shape, the host's kubeconfig for the controllers, and believing what the store says of pods.

mod assemble;
mod base;
pub mod component;
pub mod decode;
pub mod encryption;
pub mod keys;
pub mod missing;
pub mod nodes;
pub mod objects;
pub mod plan;
mod prepare;
mod put;
mod rbac;
mod refusals;
mod resources;
mod restore;
mod rivals;
mod settle;
pub mod snapshot;
pub mod source;
pub mod stored;
mod template;
mod trust;

pub use prepare::{Options, Prepared, Task, Writing, prepare};
pub use put::put;
pub use rivals::refuse as refuse_rivals;
pub use settle::settle;
pub use trust::resume;
