//! The build driver and test harness behind `./x`.

mod api;
mod node;
mod scenario;
mod vm;

fn main() {}
