//! What etcd holds, read without an API server: the table that says how, and the API server's own word of it.

pub mod decoder;
mod full;
mod proto;
pub mod schema;
mod stored;
mod types;
mod ways;
mod whole;
