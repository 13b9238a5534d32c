//! The life cycle of a checkpointed workload: whatever people do to it on purpose leaves exactly the checkpoints that should be
//! there, and the data of those that went goes with them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::files::{self, Files};
use super::kept::{self, exactly, goes_with_data, kept};
use super::{Host, MENDING, is_well};
use crate::node::native::Node;
use crate::scenarios::cluster::{Inside, pods_of};
use crate::scenarios::reboot::{self, LEADERS, no_checkpoint_is_active};
use crate::scenarios::{Kubectl as _, cluster, rollout};
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
/// What the test's own Secret holds, first and later.
pub const OIL: [&str; 2] = ["whale-oil-for-a-year", "olive-oil-for-a-year"];
/// A look without a reason comes once a minute, and asks again for what is as old.
const LOOK: Duration = Duration::from_secs(150);
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
    rollout::status(node, SCHEDULER)?;
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
    let pod = kept::pod(&kept::of(node, "DaemonSet/lookout")?);
    edit(json!([{ "op": "remove", "path": ANNOTATIONS }]))?;
    goes_with_data(node, "DaemonSet/lookout", &pod)?;
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

/// What a pod reads changes, and the pod does not: its checkpoint follows, and what has not changed is not written again. Another workload is scaled
/// away meanwhile, because the unit asks again once a minute.
pub fn changed_upstream(node: &mut Node) -> Result<()> {
    let before = files::private(node)?;
    let asked = Instant::now();
    let edit = |object: &str, change| patch(node, "--namespace=watch", object, &json!([change]));
    edit(
        "configmap/horizon",
        json!({ "op": "remove", "path": "/data/depth" }),
    )?;
    edit(
        "secret/lamp",
        json!({ "op": "add", "path": "/stringData", "value": { "oil": OIL[1] } }),
    )?;
    let weather = [
        "create",
        "configmap",
        "weather",
        "--namespace=watch",
        "--from-literal=sky=grey",
    ];
    node.kubectl(&weather, "")?;
    scaled_away(node)?;
    let left = LOOK.saturating_sub(asked.elapsed());
    wait::until("files that follow", left, || followed(node, &before))
}

/// The beacon's checkpoint is what is upstream now, and else nothing has changed since `before` but the scheduler's.
fn followed(node: &Node, before: &Files) -> Result<()> {
    let pod = kept::pod(&kept::of(node, "DaemonSet/beacon")?);
    let manifest = format!("{}/{}.json", kept::KEPT, pod.replace('/', "-"));
    let [secrets, maps] = kept::DATA.map(|folder| format!("{folder}/{pod}"));
    let now = files::private(node)?;
    let holds = |path: &str| now.get(path).map(|file| &*file.bytes);
    let (oil, sky) = (format!("{secrets}/lamp/oil"), format!("{maps}/weather/sky"));
    let depth = format!("{maps}/horizon/depth");
    ensure!(holds(&oil) == Some(OIL[1].as_bytes()), "{oil} is as it was");
    ensure!(holds(&sky) == Some(b"grey"), "{sky} is missing");
    ensure!(before.contains_key(&depth), "{depth} was missing");
    ensure!(holds(&depth).is_none(), "{depth} is left");
    let changed = [oil, depth, manifest];
    let stays = |path: &String| !changed.contains(path) && !path.contains("kube-scheduler");
    for (path, file) in before.iter().filter(|(path, _)| stays(path)) {
        ensure!(now.get(path) == Some(file), "{path} was written again");
    }
    Ok(())
}

/// One that is scaled away loses its checkpoint after the grace period and not before; back again, it has one at once. There is nobody
/// left by then who would place a scheduler's pod but a person.
fn scaled_away(node: &Node) -> Result<()> {
    let workload = "Deployment/kube-scheduler";
    let pod = kept::pod(&kept::of(node, workload)?);
    let asked = Instant::now();
    node.kubectl(&["scale", NAMESPACE, "--replicas=0", SCHEDULER], "")?;
    goes_with_data(node, workload, &pod)?;
    let took = asked.elapsed();
    ensure!(took >= GRACE, "the checkpoint was removed after {took:?}");
    node.kubectl(&["scale", NAMESPACE, "--replicas=1", SCHEDULER], "")?;
    wait::until("pod that is placed", MENDING, || place_scheduler(node))?;
    exactly(node, &["DaemonSet/beacon"])
}

fn place_scheduler(node: &Node) -> Result<()> {
    let pods = pods_of(node, "kube-scheduler")?;
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
    let is_one = |name: &String| LEADERS.iter().any(|one| name.starts_with(one));
    Ok(names.filter(is_one).collect())
}

/// Without its Node object the cluster forgets everything that runs there, the API server's pod too: its checkpoint answers, and stays. A
/// kubelet that starts registers the node anew, without the label that its workloads ask for.
pub fn node_deleted(node: &mut Node) -> Result<()> {
    node.kubectl(&["delete", "node", NODE], "")?;
    wait::until("answer of a checkpoint", MENDING, || {
        let active = node.shell(reboot::ACTIVE)?;
        ensure!(active.contains("kube-apiserver"), "active: {active}");
        Inside(node).answers()
    })?;
    super::run(node, &["systemctl", "restart", "kubelet.service"])?;
    wait::until("a new Node object", MENDING, || {
        let label = ["label", "node", NODE, "--overwrite", LABEL];
        Inside(node).kubectl(&label, "").map(drop)
    })?;
    // Other pods may want another pod network than the one that stands, which is another matter.
    for workload in [
        "daemonset/kube-apiserver",
        "deployment/kube-controller-manager",
        SCHEDULER,
    ] {
        wait::until("rollout", MENDING, || {
            rollout::status(&Inside(node), workload)
        })?;
    }
    no_checkpoint_is_active(node)?;
    exactly(node, &[])
}

/// Puts the test's own workload into the cluster under this name.
fn apply_lookout(node: &Node, name: &str) -> Result<()> {
    let manifest = include_str!("lookout.yaml").replace("@NAME@", name);
    let manifest = manifest.replace("@OIL@", OIL[0]);
    let apply = ["apply", "--server-side", "--filename=-"];
    node.kubectl(&apply, &manifest).map(drop)
}

fn patch(node: &Node, namespace: &str, workload: &str, patch: &serde_json::Value) -> Result<()> {
    let patch = format!("--patch={patch}");
    node.kubectl(&["patch", namespace, workload, "--type=json", &patch], "")
        .map(drop)
}
