//! From a control plane that is dead, or half dead, back to one that launches.
//!
//! What is left may be an API server, an etcd, or only an etcd's snapshot. The last two hold objects as the API
//! server stored them, so this room reads them itself: [`encryption`] takes off what encryption at rest put on,
//! [`decode`] makes of the bytes the very object that the API would have answered. Starting an API server just to
//! read was the other way; it needs an etcd, keys and a machine that is well enough to run both, which is what is
//! missing when somebody recovers.

pub mod decode;
pub mod encryption;
