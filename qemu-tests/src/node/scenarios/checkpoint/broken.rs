//! Broken revisions, rolled out and back: checkpoints survive them, and so does the API.

use anyhow::{Context as _, Result, ensure};
use qemu_tests::probe::{now, seconds};
use serde_json::{Map, Value, json};

use super::kept::{self, exactly, kept};
use super::{COMPONENTS, Case, Host, MENDING, answers_inside_only, files, is_well, says};
use crate::node::native::Node;
use crate::node::{reboot, services};
use crate::scenarios::cluster::{Inside, pods_of};
use crate::scenarios::{Kubectl, rollout};
use crate::wait;

const NAMESPACE: &str = "--namespace=kube-system";
const APISERVER: &str = "daemonset/kube-apiserver";
const CHECKPOINTER: &str = "daemonset/pod-checkpointer";
/// An image that nobody has.
const MISSING: &str = "registry.k8s.io/kube-apiserver:v0.0.0-missing";
/// With it the API server exits at once.
const WRONG: &str = "--no-such-flag";
/// The grace period of a document that names none, in seconds.
const GRACE: f64 = 60.0;
/// At this age, in seconds, any pod is taken that has worked from its beginning: without a gate at 45.
const OLD: f64 = 50.0;

/// What people see through.
pub const CASES: [Case; 1] = [("cannot-start", cannot_start)];
/// What they do not, without a checkpoint.
pub const LAST_GOOD: Case = ("apiserver-exits", apiserver_exits);

/// The checkpointer gets an image that is there and cannot start.
fn checkpointer(node: &mut Node) -> Result<()> {
    let before = kept(node)?;
    rollout::set_image(node, CHECKPOINTER, "registry.k8s.io/pause:3.10.1")?;
    is_stuck(node, "pod-checkpointer")?;
    ensure!(kept(node)? == before, "the checkpoints were {before:?}");
    undo(node, CHECKPOINTER)?;
    exactly(node, &[])
}

/// The API server gets an image that is missing: the old pod goes on until the roll is undone. The checkpointer's revision comes and
/// goes meanwhile, because the API server's has to be old enough to be taken by whoever takes anything.
fn cannot_start(node: &mut Node) -> Result<()> {
    let before = kept::of(node, kept::CONTROL_PLANE[0])?;
    rollout::set_image(node, APISERVER, MISSING)?;
    is_stuck(node, COMPONENTS[0])?;
    checkpointer(node).context("the checkpointer's revision")?;
    wait::until("old broken pod", MENDING, || {
        let pods = pods_of(node, COMPONENTS[0])?;
        let broken = pods.iter().find(|pod| has_failed(pod));
        let made = &broken.context("none is broken")?["metadata"]["creationTimestamp"];
        let made = made.as_str().and_then(seconds).context("it has no age")?;
        ensure!(now() - made > OLD, "it was made at {made}");
        Ok(())
    })?;
    let now = kept::of(node, kept::CONTROL_PLANE[0])?;
    ensure!(now == before, "kept was {before} and is {now}");
    undo(node, APISERVER)?;
    exactly(node, &[])
}

/// The API server gets an argument with which it exits at once, and nothing is left of the old revision: the last good
/// checkpoint answers, and the unit says so.
fn apiserver_exits(node: &mut Node) -> Result<()> {
    let name = last_good(node)?;
    let add =
        json!([{ "op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": WRONG }]);
    let patch = format!("--patch={add}");
    node.kubectl(&["patch", NAMESPACE, APISERVER, "--type=json", &patch], "")?;
    is_stuck(node, COMPONENTS[0])?;
    node.kubectl(&["delete", NAMESPACE, "pod", &name, "--wait=false"], "")?;
    stands_in(node, &name)?;
    says(node, 0, &format!("pod {name} was the last that worked"))
}

/// So it does after a power cut, and through it the roll is undone.
pub fn back_after_power_cut(node: &mut Node) -> Result<()> {
    let before = kept(node)?;
    boot(node)?;
    stands_in(node, &last_good(node)?)?;
    ensure!(kept(node)? == before, "kept was {before:?}");
    undo(&Inside(node), APISERVER)?;
    is_well(node)?;
    exactly(node, &[])
}

/// Nobody was without the API for longer than a workload may be, at either door. But for the last good one, which answers at loopback
/// only: at the other nobody does until the roll is undone, so that gap has no end yet.
pub fn within_grace(figures: &Map<String, Value>) -> Result<()> {
    for (name, gaps) in figures {
        let doors = ["loopback_gap_s", "node_address_gap_s"];
        let doors = doors
            .into_iter()
            .take(if name == LAST_GOOD.0 { 1 } else { 2 });
        for door in doors {
            let gap = gaps[door].as_f64().context("no figure")?;
            ensure!(gap < GRACE, "{name}: {door} is {gap}");
        }
    }
    Ok(())
}

/// The pod that the API server's checkpoint was taken from.
fn last_good(node: &Node) -> Result<String> {
    let pod = kept::pod(&kept::of(node, kept::CONTROL_PLANE[0])?);
    let (_, name) = pod.split_once('/').context("a pod without namespace")?;
    Ok(name.to_owned())
}

/// A checkpoint answers that was taken from this pod, and nobody else does.
fn stands_in(node: &mut Node, pod: &str) -> Result<()> {
    wait::until("answer of a checkpoint", MENDING, || {
        let active = node.shell(crate::scenarios::reboot::ACTIVE)?;
        ensure!(active.contains(pod), "active: {active}");
        answers_inside_only(node)
    })?;
    files::active_are_private(node)?;
    // Only the broken revision is left.
    is_stuck(&Inside(node), COMPONENTS[0])
}

/// Waits until one of a component's pods cannot start its container.
fn is_stuck(cluster: &dyn Kubectl, component: &str) -> Result<()> {
    wait::until("broken pod", MENDING, || {
        let pods = pods_of(cluster, component)?;
        ensure!(pods.iter().any(has_failed), "the pods are {pods:?}");
        Ok(())
    })
}

fn has_failed(pod: &Value) -> bool {
    const REASONS: [&str; 5] = [
        "CrashLoopBackOff",
        "CreateContainerError",
        "ErrImagePull",
        "ImagePullBackOff",
        "RunContainerError",
    ];
    let state = &pod["status"]["containerStatuses"][0]["state"];
    let reason = state["waiting"]["reason"].as_str();
    reason.is_some_and(|reason| REASONS.contains(&reason))
}

/// Goes back to the revision before, and waits until that works.
fn undo(cluster: &dyn Kubectl, workload: &str) -> Result<()> {
    cluster.kubectl(&["rollout", "undo", NAMESPACE, workload], "")?;
    // A watch breaks when the one who answers changes.
    wait::until("rollout", MENDING, || rollout::status(cluster, workload))
}

/// Cuts the power and starts everything as the image's units do.
fn boot(node: &mut Node) -> Result<()> {
    reboot::boot_again(node)?;
    services::start(node)
}
