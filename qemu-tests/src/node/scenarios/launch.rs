//! The whole launch, and what the handover may cost.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use qemu_tests::probe::{Kind, Report};
use serde_json::Value;

use crate::node::launch::{self, Required};
use crate::node::native::{Node, NodeSpec};
use crate::node::{reboot, services};
use crate::scenario::Context;
use crate::scenarios::Kubectl as _;
use crate::scenarios::cluster::{self, Inside};

/// Nobody may notice a handover but by one failed request on a connection that was just accepted;
/// two leave room for two series at once.
const FAILURES_ALLOWED: usize = 2;

pub fn native(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launches(&node, &launch::document(node.spec(), ""), &["etcd.yaml"])
}

/// What every launch has to do, whatever its document says, on a node that is on. `left` are the
/// static pods that stay.
pub fn launches(node: &Node, document: &str, left: &[&str]) -> Result<()> {
    let observed = launch::observed(node, document, Required::ControlPlane)?;
    judge(&observed.report)?;
    handed_over(node, left)?;
    second_start_touches_nothing(node, "already handed over")
}

/// The same as a pod sees it, through the Service: it asks before, during and after the handover.
pub fn in_pod(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    let observed = launch::observed(&node, &launch::document(node.spec(), ""), Required::InPod)?;
    judge(&observed.report)?;
    let handover = launch::entered(&node, "handover")?;
    for series in &observed.report.series {
        let first = series.first_success;
        ensure!(
            first.is_some_and(|first| first < handover),
            "{} asked {} first at {first:?}, after the handover began at {handover}",
            series.user,
            series.door
        );
    }
    handed_over(&node, &["etcd.yaml"])
}

/// The launch's steps, as its journal names them, but the last.
pub const STEPS: [&str; 15] = [
    "start",
    "seed-etcd",
    "seed-apiserver",
    "api",
    "heard",
    "seed-controllers",
    "apply",
    "wait",
    "handover",
    "controllers-gone",
    "leases-released",
    "apiserver-gone",
    "endpoints",
    "secrets-removed",
    "add-ons",
];

/// Kills `slipway start` as soon as its journal says that it enters step number `STEP`, runs it
/// again, and expects a launch like any other.
pub fn killed<const STEP: usize>(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launch::up_to_start(&node, &launch::document(node.spec(), ""))?;
    kill_at(&node, STEPS[STEP])?;
    launch::start_to_the_end(&node)?;
    handed_over(&node, &["etcd.yaml"])
}

/// The power fails while the launch waits for pods. The next boot finishes it: the same cluster, not a new one.
pub fn power_cut(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launch::up_to_start(&node, &launch::document(node.spec(), ""))?;
    kill_at(&node, "wait")?;
    let uid = cluster_uid(&node)?;
    reboot::boot_again(&mut node)?;
    services::start(&node)?;
    launch::start_to_the_end(&node)?;
    handed_over(&node, &["etcd.yaml"])?;
    let now = cluster_uid(&node)?;
    ensure!(now == uid, "it was {uid}, now it is another cluster: {now}");
    Ok(())
}

/// The UID of kube-system, by whoever answers on loopback.
fn cluster_uid(node: &Node) -> Result<String> {
    let uid = "--output=jsonpath={.metadata.uid}";
    Inside(node).kubectl(&["get", "namespace", "kube-system", uid], "")
}

/// Kills `slipway start` as soon as its journal says that it enters `step`.
pub fn kill_at(node: &Node, step: &str) -> Result<()> {
    let start = node.start(&launch::held(&["slipway", "start"]))?;
    let path = node.path(launch::JOURNAL);
    let mut length = 0;
    node.kill_when(&start, || {
        let grown = fs::metadata(&path).map_or(0, |meta| meta.len());
        let is_new = std::mem::replace(&mut length, grown) != grown;
        is_new
            && launch::journal(node)
                .last()
                .is_some_and(|entry| entry["step"] == step)
    })
    .with_context(|| format!("cannot kill it at {step}"))?;
    let last = launch::journal(node).pop().unwrap_or_default();
    ensure!(last["step"] == step, "killed too late, at {last}");
    let killed = start.wait()?;
    ensure!(
        killed.ended.code().is_none(),
        "it was not killed: {killed:?}"
    );
    Ok(())
}

/// What is true after every launch that was handed over.
fn handed_over(node: &Node, left: &[&str]) -> Result<()> {
    cluster::wait_until_ready(node)?;
    only_these_are_static(node, left)?;
    ensure!(
        node.path(launch::HANDED_OVER).exists(),
        "there is no done-marker"
    );
    let status = launch::json_file(node, launch::STATUS)?;
    ensure!(
        status["outcome"] == "handed-over",
        "the stage record says {}",
        status["outcome"]
    );
    Ok(())
}

/// The outcomes that the design promises for every handover; milliseconds are `./x bench`'s.
pub fn judge(report: &Report) -> Result<()> {
    let doors: Vec<_> = report.series.iter().map(|one| &one.door).collect();
    ensure!(doors.len() == 5, "five series are due, not {doors:?}");
    for series in &report.series {
        let asked = series.requests;
        ensure!(
            asked > 20,
            "{} asked {} only {asked} times",
            series.user,
            series.door
        );
    }
    let failures: Vec<_> = report.failures().collect();
    ensure!(
        !failures
            .iter()
            .any(|(_, failure)| failure.kind == Kind::Forbidden),
        "somebody was refused: {failures:?}"
    );
    ensure!(
        failures.len() <= FAILURES_ALLOWED,
        "too many failed requests: {failures:?}"
    );
    ensure!(
        failures.iter().all(|(_, failure)| failure.cured),
        "a failed request was not cured by one retry: {failures:?}"
    );
    ensure!(
        report.endpoints.filled.is_some(),
        "default/kubernetes was never filled"
    );
    ensure!(
        report.endpoints.emptied.is_empty(),
        "default/kubernetes was emptied at {:?}",
        report.endpoints.emptied
    );
    report.leases.iter().try_for_each(|lease| {
        ensure!(
            lease.holders.len() == 2,
            "{} changed hands otherwise: {lease:?}",
            lease.name
        );
        Ok(())
    })
}

/// No static control-plane pod is left but etcd, if it is this node's: no file, no mirror pod, no
/// bootstrap secret.
fn only_these_are_static(node: &Node, left: &[&str]) -> Result<()> {
    let mut files: Vec<_> = fs::read_dir(node.path(launch::MANIFESTS))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|name| !name.starts_with('.'));
    ensure!(files == left, "static pods left: {files:?}");
    let secrets = node.path("/etc/kubernetes/bootstrap-secrets");
    ensure!(!secrets.exists(), "the bootstrap secrets are still there");
    cluster::no_mirror_pod_but_etcd(node)
}

/// A second `slipway start` says that it is done, exits 0 and touches nothing.
pub fn second_start_touches_nothing(node: &Node, says: &str) -> Result<()> {
    let record = || launch::json_file(node, launch::STATUS);
    let before = (files(node)?, marks(node)?, record()?);
    let again = launch::start(node)?.wait_within(Duration::from_secs(60))?;
    ensure!(again.ended.code() == Some(0), "the second start: {again:?}");
    let said = format!("{}{}", again.stdout, again.stderr);
    ensure!(
        said.contains(says),
        "the second start does not say that it is done: {said}"
    );
    let after = (files(node)?, marks(node)?, record()?);
    ensure!(
        before == after,
        "the second start changed something: {before:?} became {after:?}"
    );
    Ok(())
}

/// Static pods and their changes.
fn files(node: &Node) -> Result<BTreeMap<String, SystemTime>> {
    fs::read_dir(node.path(launch::MANIFESTS))?
        .map(|entry| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok((name, entry.metadata()?.modified()?))
        })
        .collect()
}

/// Objects that a launch applies, with what changes when it writes to them again.
fn marks(node: &Node) -> Result<BTreeMap<String, Value>> {
    let mut marks = BTreeMap::new();
    for kind in [
        "apis/apps/v1/daemonsets",
        "apis/apps/v1/deployments",
        "api/v1/configmaps",
    ] {
        for object in node.list(&format!("/{kind}"))? {
            let managers = object["metadata"]["managedFields"]
                .as_array()
                .into_iter()
                .flatten();
            let ours = managers
                .filter(|one| one["manager"] == "slipway")
                .cloned()
                .collect();
            marks.insert(
                format!("{kind}/{}", cluster::name(&object)),
                Value::Array(ours),
            );
        }
    }
    Ok(marks)
}
