//! The life cycle of a checkpointed workload: whatever people do to it on purpose leaves exactly the checkpoints that should be
//! there, and the data of those that went goes with them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::kept::{self, exactly, kept};
use super::{Host, MENDING, at_loopback, is_well};
use crate::node::native::Node;
use crate::scenarios::reboot::{self, no_checkpoint_is_active};
use crate::scenarios::{Kubectl, cluster, rollout};
use crate::wait;

/// Short, so that it is seen to pass; `watch` is the namespace of a workload that is the test's own.
pub const DOCUMENT: &str = "checkpoints:\n  namespaces: [kube-system, watch]\n  gracePeriod: 15s\n";
/// As the document says.
const GRACE: Duration = Duration::from_secs(15);

const NAMESPACE: &str = "--namespace=kube-system";
const SCHEDULER: &str = "deployment/kube-scheduler";
/// An argument that changes nothing but its pod.
const ARGUMENT: &str = "--v=1";
/// What makes a workload one that wants checkpoints.
const PARENT: &str = "checkpointer.alpha.coreos.com/checkpoint";
const ANNOTATIONS: &str = "/spec/template/metadata/annotations";
/// The only node.
const NODE: &str = "node-a";
const LABEL: &str = "node-role.kubernetes.io/control-plane=";

/// Rolling the checkpointer touches no checkpoint.
pub fn checkpointer_rolled(node: &mut Node) -> Result<()> {
    let before = kept(node)?;
    rollout::restart(node, "daemonset/pod-checkpointer")?;
    ensure!(kept(node)? == before, "the checkpoints were {before:?}");
    exactly(node, &[])
}

/// A new revision's checkpoint takes the place of the old one's. What else is done to another workload is done meanwhile,
/// because a revision has to prove itself first.
pub fn edited_and_renamed(node: &mut Node) -> Result<()> {
    let add = json!([{ "op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": ARGUMENT }]);
    patch(node, NAMESPACE, SCHEDULER, &add)?;
    annotation_removed(node)?;
    renamed(node)?;
    let restarted = ["rollout", "status", NAMESPACE, "--timeout=240s", SCHEDULER];
    node.kubectl(&restarted, "")?;
    wait::until("the new revision's checkpoint", MENDING, || {
        let manifest = kept::of(node, "Deployment/kube-scheduler")?;
        let arguments = &manifest["spec"]["containers"][0]["args"];
        let arguments = arguments.as_array().into_iter().flatten();
        ensure!(
            arguments.into_iter().any(|one| one == ARGUMENT),
            "kept is {manifest}"
        );
        Ok(())
    })?;
    exactly(node, &["DaemonSet/beacon"])
}

/// A workload that has lost its annotation loses its checkpoint, and has one again when it has it again.
fn annotation_removed(node: &Node) -> Result<()> {
    apply_lookout(node, "lookout")?;
    exactly(node, &["DaemonSet/lookout"])?;
    let edit = |patch| self::patch(node, "--namespace=watch", "daemonset/lookout", &patch);
    edit(json!([{ "op": "remove", "path": ANNOTATIONS }]))?;
    exactly(node, &[])?;
    edit(json!([{ "op": "add", "path": ANNOTATIONS, "value": { PARENT: "true" } }]))?;
    exactly(node, &["DaemonSet/lookout"])
}

/// One that is deleted and made under another name leaves nothing behind.
fn renamed(node: &Node) -> Result<()> {
    let delete = ["delete", "--namespace=watch", "daemonset/lookout"];
    node.kubectl(&delete, "")?;
    apply_lookout(node, "beacon")?;
    exactly(node, &["DaemonSet/beacon"])
}

/// One that is scaled away loses its checkpoint after the grace period and not before; back again, it has one at once. There is nobody
/// left by then who would place a scheduler's pod but a person.
pub fn scaled_away(node: &mut Node) -> Result<()> {
    let asked = Instant::now();
    node.kubectl(&["scale", NAMESPACE, "--replicas=0", SCHEDULER], "")?;
    wait::until("end of the scheduler's checkpoint", MENDING, || {
        let data = kept::data(node)?;
        let left = data.iter().find(|pod| pod.contains("kube-scheduler"));
        ensure!(left.is_none(), "there is data of {left:?}");
        ensure!(
            !kept(node)?.contains_key("Deployment/kube-scheduler"),
            "it is kept"
        );
        Ok(())
    })?;
    let took = asked.elapsed();
    ensure!(took >= GRACE, "the checkpoint was removed after {took:?}");
    node.kubectl(&["scale", NAMESPACE, "--replicas=1", SCHEDULER], "")?;
    wait::until("pod that is placed", MENDING, || place_scheduler(node))?;
    exactly(node, &["DaemonSet/beacon"])
}

fn place_scheduler(node: &Node) -> Result<()> {
    let selector = "labelSelector=k8s-app%3Dkube-scheduler";
    let pods = node.list(&format!("/api/v1/namespaces/kube-system/pods?{selector}"))?;
    let pod = pods.first().context("there is no pod")?;
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": { "name": cluster::name(pod), "namespace": "kube-system" },
        "target": { "apiVersion": "v1", "kind": "Node", "name": NODE },
    });
    let create = ["create", "--filename=-"];
    node.kubectl(&create, &binding.to_string()).map(drop)
}

/// A drain evicts the controller-manager and the scheduler. Others come, and nothing that is kept goes.
pub fn drained(node: &mut Node) -> Result<()> {
    let before = evictable(node)?;
    let drain = [
        "drain",
        NODE,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        "--timeout=240s",
    ];
    node.kubectl(&drain, "")?;
    node.kubectl(&["uncordon", NODE], "")?;
    // Who would make them was evicted too, so for a while there may be none.
    wait::until("other pods", MENDING, || {
        let after = evictable(node)?;
        ensure!(
            after.len() == before.len() && after.is_disjoint(&before),
            "the pods were {before:?} and are {after:?}"
        );
        Ok(())
    })?;
    is_well(node)?;
    exactly(node, &["DaemonSet/beacon"])
}

/// The names of the controller-manager's and the scheduler's pods.
fn evictable(node: &Node) -> Result<BTreeSet<String>> {
    let names = reboot::identities(node)?.into_keys();
    let evictable = ["kube-controller-manager", "kube-scheduler"];
    let is_one = |name: &String| evictable.iter().any(|one| name.starts_with(one));
    Ok(names.filter(is_one).collect())
}

/// Without its Node object the cluster forgets everything that runs there, the API server's pod too: its checkpoint answers, and stays. A
/// kubelet that starts registers the node anew, without the label that its workloads ask for.
pub fn node_deleted(node: &mut Node) -> Result<()> {
    node.kubectl(&["delete", "node", NODE], "")?;
    wait::until("answer of a checkpoint", MENDING, || {
        let active = node.shell(reboot::ACTIVE)?;
        ensure!(active.contains("kube-apiserver"), "active: {active}");
        at_loopback(node, &["get", "--raw", "/readyz"]).map(drop)
    })?;
    super::run(node, &["systemctl", "restart", "kubelet.service"])?;
    wait::until("a new Node object", MENDING, || {
        at_loopback(node, &["label", "node", NODE, "--overwrite", LABEL]).map(drop)
    })?;
    // Other pods may want another pod network than the one that stands, which is another matter.
    for workload in [
        "daemonset/kube-apiserver",
        "deployment/kube-controller-manager",
        SCHEDULER,
    ] {
        let status = ["rollout", "status", NAMESPACE, "--timeout=240s", workload];
        wait::until("rollout", MENDING, || at_loopback(node, &status))?;
    }
    no_checkpoint_is_active(node)?;
    exactly(node, &[])
}

/// Puts the test's own workload into the cluster under this name.
fn apply_lookout(node: &Node, name: &str) -> Result<()> {
    let manifest = include_str!("lookout.yaml").replace("@NAME@", name);
    let apply = ["apply", "--server-side", "--filename=-"];
    node.kubectl(&apply, &manifest).map(drop)
}

fn patch(node: &Node, namespace: &str, workload: &str, patch: &serde_json::Value) -> Result<()> {
    let patch = format!("--patch={patch}");
    node.kubectl(&["patch", namespace, workload, "--type=json", &patch], "")
        .map(drop)
}
