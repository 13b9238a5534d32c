//! Which checkpoints lie on a node's disk, and whose data.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::MENDING;
use crate::node::native::Node;
use crate::scenarios::cluster::{self, pods_of};
use crate::wait;

/// Where the manifests lie.
pub const KEPT: &str = "/etc/kubernetes/inactive-manifests";
/// Where what they read lies.
pub const DATA: [&str; 2] = [
    "/etc/kubernetes/checkpoint-secrets",
    "/etc/kubernetes/checkpoint-configmaps",
];
/// Names the pod that a checkpoint was taken from.
pub const OF: &str = "checkpointer.alpha.coreos.com/checkpoint-of";
/// Names the workload, `KIND/NAME`.
pub const WORKLOAD: &str = "slipway.dev/checkpoint-workload";
/// Data goes in the same look as its manifest.
const AT_ONCE: Duration = Duration::from_secs(5);

/// The workloads of which there is one after a launch.
pub const CONTROL_PLANE: [&str; 3] = [
    "DaemonSet/kube-apiserver",
    "Deployment/kube-controller-manager",
    "Deployment/kube-scheduler",
];

/// The kept manifests of each workload, `KIND/NAME`.
pub fn kept(node: &Node) -> Result<BTreeMap<String, Vec<Value>>> {
    let mut kept: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for name in names(node, KEPT)? {
        if name.starts_with('.') {
            continue;
        }
        let bytes = fs::read(node.path(KEPT).join(&name))?;
        let manifest: Value = serde_json::from_slice(&bytes).with_context(|| name.clone())?;
        let workload = text(&manifest["metadata"]["annotations"][WORKLOAD]);
        kept.entry(workload).or_default().push(manifest);
    }
    Ok(kept)
}

/// The pods whose data is on the disk, `NAMESPACE/POD`.
pub fn data(node: &Node) -> Result<BTreeSet<String>> {
    let mut pods = BTreeSet::new();
    for folder in DATA {
        for namespace in names(node, folder)? {
            let all = names(node, &format!("{folder}/{namespace}"))?;
            pods.extend(all.iter().map(|pod| format!("{namespace}/{pod}")));
        }
    }
    Ok(pods)
}

/// Waits until there is one checkpoint of each of these and of the control plane's, nothing else, and nobody else's data.
pub fn exactly(node: &Node, others: &[&str]) -> Result<()> {
    wait::until("the right checkpoints", MENDING, || are(node, others))
}

fn are(node: &Node, others: &[&str]) -> Result<()> {
    let kept = kept(node)?;
    let expected = CONTROL_PLANE.iter().chain(others).copied();
    let expected: BTreeSet<_> = expected.collect();
    let found: BTreeSet<_> = kept.keys().map(String::as_str).collect();
    ensure!(found == expected, "kept are {found:?}");
    let mut pods = BTreeSet::new();
    for (workload, manifests) in &kept {
        ensure!(manifests.len() == 1, "{} of {workload}", manifests.len());
        pods.extend(manifests.iter().map(pod));
    }
    let data = data(node)?;
    let orphans: Vec<_> = data.difference(&pods).collect();
    ensure!(orphans.is_empty(), "there is data of {orphans:?}");
    Ok(())
}

/// Waits until a workload's checkpoint is gone, and requires that the data goes with it, which is that of `pod`.
pub fn goes_with_data(node: &Node, workload: &str, pod: &str) -> Result<()> {
    wait::until("end of a checkpoint", MENDING, || {
        ensure!(!kept(node)?.contains_key(workload), "{workload} is kept");
        Ok(())
    })?;
    wait::until("end of its data", AT_ONCE, || {
        ensure!(!data(node)?.contains(pod), "there is data of {pod}");
        Ok(())
    })
}

/// The only checkpoint of a workload, if it is kept.
pub fn of(node: &Node, workload: &str) -> Result<Value> {
    let mut kept = kept(node)?;
    let mut manifests = kept.remove(workload).unwrap_or_default();
    ensure!(manifests.len() == 1, "{} of {workload}", manifests.len());
    Ok(manifests.remove(0))
}

/// As [`of`], if it was taken from a pod of kube-system that there is now.
pub fn of_its_pod(node: &Node, workload: &str) -> Result<Value> {
    let manifest = of(node, workload)?;
    let (_, app) = workload.split_once('/').context("a workload has a kind")?;
    let (of, pods) = (pod(&manifest), pods_of(node, app)?);
    let is_it = |pod: &Value| of == format!("kube-system/{}", cluster::name(pod));
    ensure!(pods.iter().any(is_it), "the checkpoint of {app} is of {of}");
    Ok(manifest)
}

/// The pod that a checkpoint was taken from, `NAMESPACE/POD`.
pub fn pod(manifest: &Value) -> String {
    let metadata = &manifest["metadata"];
    let name = text(&metadata["annotations"][OF]);
    format!("{}/{name}", text(&metadata["namespace"]))
}

fn names(node: &Node, folder: &str) -> Result<Vec<String>> {
    let folder = node.path(folder);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(&folder)?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
