//! What is left of a former life of the cluster: what it says is noted as old, and what cannot be true is removed.
//!
//! Etcd's data may be older than this machine. Pods of the control plane that it names run nowhere then, yet as long as
//! they are there no controller makes others; so they are removed by force, which is what one does for pods of a
//! node that is gone (they would wait for its kubelet's word for ever). Their leaders' Leases are released. Everything else is left to the controllers, which
//! have rules for nodes that are away; a Node goes only if a person says so.

use anyhow::Result;
use serde_json::{Value, json};

use super::journal::Journal;
use super::lease;
use super::nodes::{LEASES, revision};
use super::{CHECKPOINTER, Launch, REQUIRED, refuse};
use crate::kube::{self, Client};
use crate::recovery::Recovery;

/// The journal's step that notes the API's revision.
const HEARD: &str = "heard";
/// The journal's step after the former life's pods are gone.
const CLEARED: &str = "former-cleared";

/// The revision at which an API server that a launch put in place began to serve.
pub(super) fn heard(journal: &Journal) -> Option<u64> {
    journal.latest(HEARD)?["revision"].as_u64()
}

impl Launch<'_> {
    /// Notes what the API says now: whatever is not said again after it may be old.
    pub(super) fn note_what_was_before(&mut self) -> Result<()> {
        let leases = self.loopback.list(LEASES)?;
        let now = leases.resource_version.parse::<u64>().ok();
        self.enter(HEARD, &json!({ "revision": now }))?;
        self.here.heard = now;
        Ok(())
    }

    /// Removes what a recovery says is not true any more; once a recovery.
    pub(super) fn clear_former(&mut self) -> Result<()> {
        let Some(recovery) = self.recovery().cloned() else {
            return Ok(());
        };
        let cleared = self.journal.latest(CLEARED);
        if cleared.is_some_and(|facts| facts["recovery"] == recovery.id.as_str()) {
            return Ok(());
        }
        self.refuse_to_forget(&recovery)?;
        for name in &recovery.forget_nodes {
            if remove(&self.loopback, &format!("/api/v1/nodes/{name}"))? {
                self.reporter.line(format!("node {name} is forgotten"));
            }
        }
        if recovery.restored {
            let removed = remove_pods(&self.loopback)?;
            self.reporter.line(format!(
                "{removed} pods of the former control plane removed, which run nowhere"
            ));
            release_leases(&self.loopback)?;
        }
        self.enter(CLEARED, &json!({ "recovery": recovery.id }))
    }

    /// The recovery that this launch is part of; one that is over is none.
    fn recovery(&self) -> Option<&Recovery> {
        let done = self.journal.latest("done").map(|facts| &facts["recovery"]);
        let recovery = self.plane.recovery.as_ref()?;
        (done != Some(&json!(recovery.id))).then_some(recovery)
    }

    /// A node that lives is not forgotten: its kubelet would not join again by itself.
    fn refuse_to_forget(&self, recovery: &Recovery) -> Result<()> {
        let heard = self.here.heard.unwrap_or(u64::MAX);
        for name in &recovery.forget_nodes {
            let lease = self.loopback.find(&format!("{LEASES}/{name}"))?;
            let lives = lease
                .and_then(|lease| revision(&lease))
                .is_some_and(|at| at > heard);
            if lives || self.plane.name.as_ref() == Some(name) {
                return Err(refuse(format!(
                    "node {name} is to be forgotten, but it lives\nnext step: leave it out of `slipway recover \
                     --forget-node`, or end its kubelet first"
                )));
            }
        }
        Ok(())
    }
}

/// Removes the pods of the control plane, whichever node they are said to run on.
fn remove_pods(client: &Client) -> Result<usize> {
    let pods = client.list("/api/v1/namespaces/kube-system/pods")?.items;
    let mut removed = 0;
    for name in pods
        .iter()
        .filter(|pod| is_control_plane(pod))
        .filter_map(name)
    {
        let path = format!("/api/v1/namespaces/kube-system/pods/{name}?gracePeriodSeconds=0");
        removed += usize::from(remove(client, &path)?);
    }
    Ok(removed)
}

/// Whoever held these wrote to another etcd: nobody renews them here, and whoever comes next would wait for a minute.
fn release_leases(client: &Client) -> Result<(), kube::Error> {
    for name in lease::LEASES {
        if let Some(found) = client.find(&lease::path(name))? {
            lease::release(client, name, lease::holder(&found))?;
        }
    }
    Ok(())
}

/// Whether there was anything to remove.
fn remove(client: &Client, path: &str) -> Result<bool, kube::Error> {
    match client.delete(path) {
        Err(error) if error.is_not_found() => Ok(false),
        done => done.map(|_| true),
    }
}

/// Whether a pod is one of the control plane's, by the label that its workload gave it.
fn is_control_plane(pod: &Value) -> bool {
    let labels = &pod["metadata"]["labels"];
    let own = ["k8s-app", "component"]
        .iter()
        .find_map(|label| labels[label].as_str());
    let mut names = REQUIRED.split(',').chain([CHECKPOINTER]);
    names.any(|name| own.is_some_and(|own| name.strip_prefix("kube-system/") == Some(own)))
}

fn name(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_pods_are_the_control_planes() {
        for (label, value, expected) in [
            ("k8s-app", "kube-apiserver", true),
            ("component", "kube-scheduler", true),
            ("k8s-app", "pod-checkpointer", true),
            ("k8s-app", "coredns", false),
            ("app", "kube-apiserver", false),
        ] {
            let pod = json!({ "metadata": { "labels": { label: value } } });
            assert_eq!(is_control_plane(&pod), expected, "{label}={value}");
        }
        assert!(!is_control_plane(&json!({})));
    }
}
