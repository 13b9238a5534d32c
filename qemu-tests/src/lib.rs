//! What the harness and the programs that it puts into a cluster share.

pub mod probe;
