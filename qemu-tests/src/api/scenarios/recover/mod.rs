//! What etcd holds, read without an API server: the table that says how, and the API server's own word of it.

pub mod decoder;
mod full;
pub mod kept;
pub mod killed;
pub mod left;
pub mod plan;
mod proto;
pub mod schema;
mod shape;
mod stored;
mod tree;
mod types;
mod ways;
mod whole;
