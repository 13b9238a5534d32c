//! The VM tier: the real image in QEMU, metadata in, cluster out.
//!
//! The image is the one a user boots; what the harness needs in the guest comes with the machine
//! (a system credential, a disk of tools), not with the image.

mod accel;
mod ahead;
pub mod boot;
mod channel;
mod console;
pub mod fault;
pub mod imds;
pub mod launch;
mod left;
pub mod machine;
pub mod media;
mod qemu;
mod qmp;
mod scenarios;
mod spec;
mod tools;

pub use console::{Line, by_slipway};
pub use scenarios::{LONG, SCENARIOS};
