//! The build driver and harness.
fn main() {}
