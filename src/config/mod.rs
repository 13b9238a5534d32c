//! From the text of the machine document to a typed, validated [`Machine`].

pub mod machine;
pub mod yaml;

pub use machine::Machine;
