//! What etcd holds, read without an API server: the table that says how, and the API server's own word of it.

mod proto;
pub mod schema;
mod types;
