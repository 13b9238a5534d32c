//! What is left of a former life of the cluster: what it says is noted as old, and what cannot be true is removed.
//!
//! Etcd's data may be older than this machine. Pods of the control plane that it names run nowhere then, yet as long as
//! they are there no controller makes others; so they are removed by force, which is what one does for pods of a
//! node that is gone (they would wait for its kubelet's word for ever). Their leaders' Leases are released. Everything else
//! is left to the controllers, which have rules for nodes that are away; a Node goes only if a person says so.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::journal::Journal;
use super::nodes::{self, LEASES, SILENT, name};
use super::plane::component;
use super::wait::{Look, Wait, until};
use super::{CHECKPOINTER, Launch, REQUIRED, lease, refuse};
use crate::assets::CONTROL_PLANE_LABEL;
use crate::kube::{self, Client};
use crate::node::files;
use crate::recovery::{self, Recovery, STAMP};

/// A leader that lives renews every second; one that does not for this long is not merely slow.
const QUIET: Duration = Duration::from_secs(5);

/// The journal's step that notes the API's revision.
const HEARD: &str = "heard";
/// The journal's step after the former life's pods are gone.
const CLEARED: &str = "former-cleared";

/// The recovery that an asset directory is of, unless it is over.
pub(super) fn pending<'a>(
    journal: &Journal,
    recovery: Option<&'a Recovery>,
) -> Option<&'a Recovery> {
    let done = journal.latest("done").map(|facts| &facts["recovery"]);
    recovery.filter(|recovery| done != Some(&json!(recovery.id)))
}

/// The revision at which an API server began to serve that a launch put in place; in a recovery, at which this recovery
/// saw it first.
pub(super) fn heard(journal: &Journal, recovery: Option<&Recovery>) -> Option<u64> {
    let facts = journal.latest(HEARD)?;
    let is_ours = recovery.is_none_or(|recovery| facts["recovery"] == recovery.id.as_str());
    facts["revision"].as_u64().filter(|_| is_ours)
}

/// Whether nothing is left to remove.
pub(super) fn is_cleared(journal: &Journal, recovery: Option<&Recovery>) -> bool {
    let cleared = journal.latest(CLEARED).map(|facts| &facts["recovery"]);
    recovery.is_none_or(|recovery| cleared == Some(&json!(recovery.id)))
}

impl Launch<'_> {
    /// The recovery that this launch is part of.
    pub(super) fn recovery(&self) -> Option<&Recovery> {
        pending(&self.journal, self.plane.recovery.as_ref())
    }

    /// Notes what the API says now: whatever is not said again after it may be old.
    pub(super) fn note_what_was_before(&mut self) -> Result<()> {
        let leases = self.loopback.list(LEASES)?;
        let now = leases.resource_version.parse::<u64>().ok();
        let recovery = self.recovery().map(|recovery| recovery.id.clone());
        self.enter(HEARD, &json!({ "revision": now, "recovery": recovery }))?;
        self.here.heard = now;
        Ok(())
    }

    /// Removes what a recovery says is not true any more; once a recovery.
    pub(super) fn clear_former(&mut self) -> Result<()> {
        let Some(recovery) = self.recovery().cloned() else {
            return Ok(());
        };
        // The API server may be one that nobody here put in place.
        if self.here.heard.is_none() {
            self.note_what_was_before()?;
        }
        if is_cleared(&self.journal, Some(&recovery)) {
            return Ok(());
        }
        if recovery.snapshot.is_some() {
            unlabel(&self.loopback, &recovery.node)?;
            let removed = remove_pods(&self.loopback, &recovery.node)?;
            self.reporter.line(format!(
                "{removed} pods of the former control plane and of this node's name removed, which run nowhere"
            ));
            // Whoever held these wrote to another etcd: nobody renews them here.
            for (name, found) in self.leases()? {
                lease::release(&self.loopback, name, lease::holder(&found))?;
            }
        }
        self.enter(CLEARED, &json!({ "recovery": recovery.id }))
    }

    /// Releases, in a recovery, the Leases that nobody renews: whoever comes next would wait out the dead one's minute. A
    /// leader that lives, whichever API server it writes to, renews every second.
    pub(super) fn release_silent_leases(&mut self) -> Result<()> {
        if self.recovery().is_none() {
            return Ok(());
        }
        let before = self.leases()?;
        if before
            .iter()
            .all(|(_, lease)| lease::holder(lease).is_empty())
        {
            return Ok(());
        }
        let begun = Instant::now();
        let wait = Wait {
            what: "dead leaders have not renewed their Leases",
            deadline: begun + 2 * QUIET,
            every: Duration::from_millis(500),
            changes: None,
            next_step: "run `slipway start` again",
        };
        until(self.reporter, wait, |_| {
            Ok(match begun.elapsed() >= QUIET {
                true => Look::There(()),
                false => Look::NotYet("it is too early to say".to_owned()),
            })
        })?;
        for (name, now) in self.leases()? {
            let is_same = before.iter().any(|(other, then)| {
                *other == name
                    && then["metadata"]["resourceVersion"] == now["metadata"]["resourceVersion"]
            });
            if is_same && !lease::holder(&now).is_empty() {
                lease::release(&self.loopback, name, lease::holder(&now))?;
                self.reporter
                    .line(format!("released: Lease {name}, whose holder is gone"));
            }
        }
        Ok(())
    }

    fn leases(&self) -> Result<Vec<(&'static str, Value)>, kube::Error> {
        let mut all = Vec::new();
        for name in lease::LEASES {
            all.extend(
                self.loopback
                    .find(&lease::path(name))?
                    .map(|found| (name, found)),
            );
        }
        Ok(all)
    }

    /// Removes the nodes that a person says are gone, if nobody hears of them for as long as a node that lives may be
    /// silent: by now it can reach the API, and it would not join again by itself.
    pub(super) fn forget_nodes(&mut self) -> Result<()> {
        let recovery = self.recovery().cloned();
        let recovery = recovery.filter(|recovery| !recovery.forget_nodes.is_empty());
        let Some(recovery) = recovery else {
            return Ok(());
        };
        let names = &recovery.forget_nodes;
        self.reporter.stage("forget");
        let begun = Instant::now();
        let what = format!("nobody hears of {}", names.join(", "));
        self.reporter
            .line(format!("waiting for {} s whether {what}", SILENT.as_secs()));
        let wait = Wait {
            what: &what,
            deadline: begun + 2 * SILENT,
            every: Duration::from_secs(1),
            changes: None,
            next_step: "run `slipway start` again",
        };
        let (loopback, here) = (&self.loopback, self.here);
        let silent = until(self.reporter, wait, |_| {
            Ok(match nodes::look(loopback, here, Some(&recovery.node)) {
                Ok(nodes) if begun.elapsed() >= SILENT => Look::There(nodes),
                Ok(_) => Look::NotYet("it is too early to say".to_owned()),
                Err(error) => Look::NotYet(error.to_string()),
            })
        })?;
        for name in names {
            let is_silent = silent.silent().any(|(silent, _)| silent == name);
            let line = match is_silent {
                true => {
                    remove(&self.loopback, &format!("/api/v1/nodes/{name}"))?;
                    format!("node {name} is forgotten")
                }
                false => format!("node {name} is not forgotten: it lives, or is gone already"),
            };
            self.reporter.line(line);
        }
        Ok(())
    }

    /// Names, in a recovery, whom nobody has heard of; they are left alone, because they may be slow or cut off.
    pub(super) fn name_silent_nodes(&mut self) {
        let looked = self
            .recovery()
            .map(|recovery| nodes::look(&self.loopback, self.here, Some(&recovery.node)));
        let Some(Ok(nodes)) = looked else { return };
        for (name, since) in nodes.silent() {
            self.reporter.line(format!(
                "node {name} has not been heard of since {since}; if it is gone for good: kubectl delete node {name}"
            ));
        }
    }

    /// Refuses an etcd that would begin empty where one was to be restored.
    pub(super) fn refuse_empty_etcd(&self) -> Result<()> {
        let root = &self.options.root;
        let snapshot = self
            .recovery()
            .and_then(|recovery| recovery.snapshot.as_ref());
        let stamp = files::read_if_there(&files::below(root, STAMP))?;
        let is_missing = snapshot.is_some_and(|hash| stamp.as_deref() != Some(hash.as_bytes()));
        if self.plane.etcd_pod.is_none() || !is_missing && !recovery::is_restoring(root) {
            return Ok(());
        }
        Err(refuse(
            "etcd's data is not restored yet, and a start would begin an empty cluster\nnext step: run \
             `slipway recover --snapshot` again"
                .to_owned(),
        ))
    }

    /// Refuses, in a recovery, an etcd that knows less than the one that was read: it is another, or began empty.
    pub(super) fn refuse_older_etcd(&self) -> Result<()> {
        let Some(recovery) = self.recovery() else {
            return Ok(());
        };
        let (etcd, read) = (&self.plane.etcd, recovery.revision);
        let revision = etcd.status()?.revision.cast_unsigned();
        if revision >= read {
            return Ok(());
        }
        Err(refuse(format!(
            "etcd at {} is at revision {revision}, and what was recovered from {} is of revision {read}: it is another \
             etcd, or began empty\nnext step: restore the data there (--snapshot restores this machine's own), or correct \
             etcd in the document and recover again",
            etcd.urls.join(", "),
            recovery.source
        )))
    }
}

/// No other node carries the control plane of an etcd that was restored here: without the label nothing of it is wanted
/// or scheduled there, on a machine that looks as well as ever and is gone. One that comes back is labelled by its own start.
fn unlabel(client: &Client, own: &str) -> Result<()> {
    for node in client.list("/api/v1/nodes")?.items {
        let is_labelled = !node["metadata"]["labels"][CONTROL_PLANE_LABEL].is_null();
        if is_labelled && name(&node) != own {
            let patch = json!({ "metadata": { "labels": { CONTROL_PLANE_LABEL: null } } });
            client.merge_patch(&format!("/api/v1/nodes/{}", name(&node)), &patch)?;
        }
    }
    Ok(())
}

/// Removes the pods of the control plane, whichever node they are said to run on, and those of its namespace that this
/// node's kubelet would take up, with what the data of then says of addresses.
fn remove_pods(client: &Client, own: &str) -> Result<usize> {
    let pods = client.list("/api/v1/namespaces/kube-system/pods")?.items;
    let mut removed = 0;
    for name in pods
        .iter()
        .filter(|pod| is_control_plane(pod) || pod["spec"]["nodeName"] == own)
        .map(name)
    {
        let path = format!("/api/v1/namespaces/kube-system/pods/{name}?gracePeriodSeconds=0");
        removed += usize::from(remove(client, &path)?);
    }
    Ok(removed)
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
    let mut names = REQUIRED.split(',').chain([CHECKPOINTER]);
    names.any(|name| name.strip_prefix("kube-system/") == Some(component(pod)))
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
