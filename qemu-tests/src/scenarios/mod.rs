//! What the node tier and the VM tier both ask of a cluster, whatever it runs on.

pub mod cluster;
pub mod destroy;
pub mod page;
pub mod pods;
pub mod reboot;
pub mod rollout;
pub mod seeded;

use crate::wait;
use anyhow::{Context, Result};
use serde_json::Value;
use slipway::kube::Client;
use std::time::Duration;

/// Somewhere that kubectl talks to the cluster as admin: inside a native node, or on the host
/// through a VM's forwarded port. kubectl rather than a client of our own, because it is what the
/// cluster's people use.
pub trait Kubectl {
    /// Runs kubectl with these arguments and this standard input; what it printed if it exited 0.
    fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String>;

    /// How many times as long as on a free machine everything may take here.
    fn patience(&self) -> u32 {
        1
    }

    /// kubectl's own deadline, stated in seconds for a free machine.
    fn timeout(&self, seconds: u32) -> String {
        format!("--timeout={}s", seconds * self.patience())
    }

    /// Succeeds if an API server answers that is ready.
    fn answers(&self) -> Result<()> {
        self.kubectl(&["get", "--raw", "/readyz"], "").map(drop)
    }

    /// What the API holds at a path.
    fn get(&self, path: &str) -> Result<Value> {
        let text = self.kubectl(&["get", "--raw", path], "")?;
        serde_json::from_str(&text).with_context(|| format!("{path} is not JSON"))
    }

    /// The items of the list at a path.
    fn list(&self, path: &str) -> Result<Vec<Value>> {
        Ok(self.get(path)?["items"]
            .as_array()
            .cloned()
            .unwrap_or_default())
    }
}

/// Somewhere that the harness itself is a client of the API, as admin: for what takes kubectl minutes.
pub trait Api {
    /// Gives a client to `work`, which runs where the API is reached.
    fn api(&self, work: &mut (dyn FnMut(&Client) -> Result<()> + Send)) -> Result<()>;
}

/// What `work` learns as a client of the API.
pub fn ask<T: Send>(
    api: &(impl Api + ?Sized),
    work: impl Fn(&Client) -> Result<T> + Sync,
) -> Result<T> {
    let mut learnt = None;
    api.api(&mut |client| {
        learnt = Some(work(client)?);
        Ok(())
    })?;
    learnt.context("nobody was asked")
}

/// A text as a block of a machine document that is indented by six spaces.
pub fn indented(text: &str) -> String {
    text.lines().map(|line| format!("      {line}\n")).collect()
}

/// Asks the cluster again and again until it answers as wanted; `limit` is stated for a free machine.
pub fn until<T>(
    cluster: &dyn Kubectl,
    what: &str,
    limit: Duration,
    ask: impl FnMut() -> Result<T>,
) -> Result<T> {
    wait::until(what, limit * cluster.patience(), ask)
}
