//! The synchronous Kubernetes API client.
//!
//! It knows objects, paths and status bodies, and no slipway concept: what to apply, how long to
//! wait and what "ready" means is decided by its callers. Objects are [`serde_json::Value`], because
//! reading a Pod through the generated types would cost more code than the rest of the client. The
//! road not taken is an async client: a launch does one thing after the other, and whoever needs two
//! at once has threads.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use slipway::kube::{Client, Options, kubeconfig};
//! let config = kubeconfig::load("/etc/kubernetes/admin.kubeconfig".as_ref())?;
//! let client = Client::new(&config, Options::default())?;
//! let pods = client.list("/api/v1/namespaces/kube-system/pods")?;
//! println!("{} pods at {}", pods.items.len(), pods.resource_version);
//! # Ok(())
//! # }
//! ```

mod client;
mod discovery;
pub mod error;
pub mod kubeconfig;
mod managed;
mod objects;
mod retry;
#[cfg(test)]
pub(crate) mod testing;
mod watch;

pub use client::{Client, Options};
pub use discovery::{Resource, name_of};
pub use error::{Error, Status};
pub use kubeconfig::Config;
pub use managed::applied_by;
pub use objects::{Applied, Change, List};
pub use watch::{Event, EventKind, Watch};

/// `text` percent-encoded for one value of a query, e.g. a label selector.
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_label_selector_is_encoded() {
        assert_eq!(super::encode("app in (a,é)"), "app%20in%20%28a%2C%C3%A9%29");
        assert_eq!(super::encode("a-b_c.d~9"), "a-b_c.d~9");
    }
}
