//! A machine comes back: what has to be true of its cluster then, whatever it runs on.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Kubectl, cluster, until};
use crate::wait;

/// How long the last checkpoint may stay active after everything is Ready.
const INACTIVE: Duration = Duration::from_secs(120);
/// How long the control plane's Leases may take to be somebody's, likewise.
const LEADING: Duration = Duration::from_secs(120);

/// The components of which one leads.
pub const LEADERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
/// Static pods that are a checkpoint; the command prints nothing where there is none.
pub const ACTIVE: &str =
    "grep -ls checkpointer.alpha.coreos.com/checkpoint-of /etc/kubernetes/manifests/* || true";

/// A launched machine that kubectl reaches and that runs commands.
pub trait Host: Kubectl {
    /// Runs a line of shell as root; what it printed if it exited 0.
    fn shell(&mut self, line: &str) -> Result<String>;
}

/// The pods of kube-system that the API made, by name, with their UIDs: not static ones, whose mirrors come
/// and go with their files.
pub fn identities(cluster: &dyn Kubectl) -> Result<BTreeMap<String, String>> {
    let pods = cluster.list("/api/v1/namespaces/kube-system/pods")?;
    let own = pods.iter().filter(|pod| !cluster::is_mirror(pod));
    own.map(|pod| {
        let uid = pod["metadata"]["uid"]
            .as_str()
            .context("a pod without uid")?;
        Ok((cluster::name(pod).to_owned(), uid.to_owned()))
    })
    .collect()
}

/// Waits until the cluster is what it was before its kubelet was started at `since` (in seconds since 1970):
/// every container of its own is a new one and everything is Ready, new processes lead, no checkpoint is active,
/// and the pods are those of `before`.
pub fn is_back(host: &mut dyn Host, before: &BTreeMap<String, String>, since: f64) -> Result<()> {
    let moment = format!("date --utc --date=@{} +%FT%TZ", since.floor());
    let moment = host.shell(&moment)?.trim().to_owned();
    let node = host.shell("uname -n")?.trim().to_owned();
    cluster::wait_until_ready_since(host, &node, &moment)?;
    until(host, "leader", LEADING, || {
        leads_since(host, &LEADERS, &moment)
    })?;
    no_checkpoint_is_active(host)?;
    cluster::no_mirror_pod_but_etcd(host)?;
    cluster::wait_until_ready_since(host, &node, &moment)?;
    let after = identities(host)?;
    ensure!(
        *before == after,
        "the pods were {before:?} and are {after:?}"
    );
    Ok(())
}

/// Waits until no static pod is a checkpoint.
pub fn no_checkpoint_is_active(host: &mut dyn Host) -> Result<()> {
    let limit = INACTIVE * host.patience();
    wait::until("end of the checkpoints", limit, || {
        let active = host.shell(ACTIVE)?;
        ensure!(active.trim().is_empty(), "active: {active}");
        Ok(())
    })
}

/// Whether the Leases of these components were taken after `moment`: a time in the API's form, which sorts as text.
pub fn leads_since(cluster: &dyn Kubectl, names: &[&str], moment: &str) -> Result<()> {
    let leases = cluster.list(LEASES)?;
    for name in names {
        let lease = leases.iter().find(|lease| cluster::name(lease) == *name);
        let spec = &lease.with_context(|| format!("there is no Lease {name}"))?["spec"];
        let acquired = spec["acquireTime"].as_str().unwrap_or_default();
        let holder = spec["holderIdentity"].as_str().unwrap_or_default();
        ensure!(
            acquired >= moment && !holder.is_empty(),
            "{name} is {holder:?}'s since {acquired}"
        );
    }
    Ok(())
}

/// What a scenario's figures are, from what the prober saw and what it asked for besides.
pub fn figures(reboots: &[qemu_tests::probe::Reboot]) -> Result<Value> {
    Ok(serde_json::json!({ "reboots": serde_json::to_value(reboots)? }))
}
