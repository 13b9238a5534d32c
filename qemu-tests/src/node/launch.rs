//! A launch as the image's units do it, one command after the other.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use qemu_tests::probe::Report;
use serde_json::Value;

use super::native::{Node, NodeSpec};
use super::process::{Finished, Process, Program};
use super::services;
use crate::scenarios::{cluster, pods};

/// The launch's journal.
pub const JOURNAL: &str = "/var/lib/slipway/journal";
/// The stage record.
pub const STATUS: &str = "/var/lib/slipway/status.json";
/// The machine document that is kept, for a person to edit.
pub const MACHINE: &str = slipway::metadata::KEPT;
/// The done-marker.
pub const HANDED_OVER: &str = "/var/lib/slipway/handed-over";
/// The kubelet's manifest folder.
pub const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// The kubeconfig for people.
pub const ADMIN: &str = "/etc/kubernetes/admin.kubeconfig";
/// The asset directory. The bootstrap scheduler's kubeconfig in it is that of a user whom RBAC
/// allows little, and who is there from the start.
pub const ASSETS: &str = "/var/lib/slipway/assets";

/// Where the document lies before `fetch` takes it.
const DOCUMENT: &str = "/tmp/machine.yaml";

/// How long a launch may take here: several times what it takes, on a machine that is busy.
pub const LAUNCH: Duration = Duration::from_secs(600);

/// The machine document of a node of this tier. `more` are further lines, e.g. `timeouts:`; they
/// begin in the mapping `cluster:` if they are indented.
pub fn document(spec: &NodeSpec, more: &str) -> String {
    let address = match &spec.second_address {
        None => spec.address.clone(),
        Some(second) => format!("[\"{}\", \"{second}\"]", spec.address),
    };
    format!(
        "apiVersion: slipway.dev/v1alpha1\nkind: Machine\n\
         node:\n  name: {}\n  address: {address}\ncluster:\n  name: harbour\n{more}",
        spec.name
    )
}

/// The stage `fetch` on a node that is on.
pub fn fetch(node: &Node, document: &str) -> Result<()> {
    fs::write(node.path(DOCUMENT), document)?;
    node.run(&Program::new(["slipway", "fetch", "--config", DOCUMENT]))?
        .success()?;
    Ok(())
}

/// The stages `fetch` and `render` on a node that is on; returns how `render` went.
pub fn prepare(node: &Node, document: &str) -> Result<Finished> {
    fetch(node, document)?;
    node.run(&Program::new(["slipway", "render"]))
}

/// Everything before the stage `start`, on a node that is on: document, assets, services.
pub fn up_to_start(node: &Node, document: &str) -> Result<()> {
    prepare(node, document)?.success()?;
    services::start(node)
}

/// The stage `start`.
pub fn start(node: &Node) -> Result<Process> {
    node.start(&Program::new(["slipway", "start"]))
}

/// A command that does nothing before somebody traces it: its first steps take a millisecond.
pub fn held(command: &[&str]) -> Program {
    let hold = ["sh", "-c", "kill -STOP $$; exec \"$@\"", "sh"];
    Program::new([&hold, command].concat())
}

/// The stage `start` to its successful end.
pub fn start_to_the_end(node: &Node) -> Result<Finished> {
    to_the_end(node, start(node)?)
}

fn to_the_end(node: &Node, start: Process) -> Result<Finished> {
    let finished = start.wait_within(LAUNCH)?;
    let output = format!("{}{}", finished.stdout, finished.stderr);
    fs::write(node.logs().join("start.log"), output)?;
    finished.check()
}

/// A node that is on, launched and handed over.
pub fn launch(node: &Node) -> Result<()> {
    up_to_start(node, &document(node.spec(), ""))?;
    start_to_the_end(node)?;
    Ok(())
}

/// A launch that was watched from outside slipway.
#[derive(Debug)]
pub struct Observed {
    /// How the stage `render` went.
    pub render: Finished,
    /// How the stage `start` went.
    pub start: Finished,
    /// What the probers saw: two users at two doors, and one in a pod.
    pub report: Report,
}

/// What `slipway start` waits for before it hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Required {
    /// The control plane, as it does by default; the probers' pod comes after the handover.
    ControlPlane,
    /// The probers' pod and all that it needs too, so that it sees the handover.
    InPod,
}

impl Required {
    fn start(self, node: &Node) -> Result<Process> {
        match self {
            Self::ControlPlane => start(node),
            Self::InPod => {
                let all = format!(
                    "{},kube-system/coredns,{}",
                    slipway::start::REQUIRED,
                    pods::PROBER
                );
                node.start(&Program::new(["slipway", "start", "--required-pods", &all]))
            }
        }
    }
}

/// Launches a node that is on under the eyes of the probers, until all five have seen the cluster
/// after the handover.
pub fn observed(node: &Node, document: &str, required: Required) -> Result<Observed> {
    let render = prepare(node, document)?;
    let render = render.check()?;
    // slipway applies whatever lies in the asset directory, so the pod is there as early as can be.
    fs::write(
        node.path(ASSETS).join("manifests/prober.yaml"),
        pods::manifest(pods::INTERVAL),
    )?;
    services::start(node)?;
    let prober = probe(node)?;
    let start = to_the_end(node, required.start(node)?)?;
    cluster::wait_until_ready(node)?;
    let in_pod = pods::report_of_many(node)?;
    let mut report = end_probe(node, prober)?;
    report.series.extend(in_pod.series);
    Ok(Observed {
        render,
        start,
        report,
    })
}

/// Starts the prober on a node that was rendered: two users, two doors, everything observed.
pub fn probe(node: &Node) -> Result<Process> {
    let admin = format!("--user=admin={ADMIN}");
    let rbac = format!("--user=scheduler={ASSETS}/tls/kube-scheduler.kubeconfig");
    let door = format!("--door={}:6443", node.spec().address);
    let observe = format!("--observe={ADMIN}");
    let manifests = format!("--manifests={MANIFESTS}");
    let loopback = "--door=127.0.0.1:6443";
    node.start(&Program::new([
        "prober", &admin, &rbac, loopback, &door, &observe, &manifests,
    ]))
}

/// Ends the prober and reads its report, which is kept beside the node's logs too.
pub fn end_probe(node: &Node, prober: Process) -> Result<Report> {
    prober.signal(libc::SIGTERM)?;
    let report = prober.wait_within(Duration::from_secs(20))?.success()?;
    fs::write(node.logs().join("prober.json"), &report)?;
    serde_json::from_str(&report).context("the prober's report cannot be read")
}

/// The journal's entries so far; a line that is being written is left out.
pub fn journal(node: &Node) -> Vec<Value> {
    let text = fs::read_to_string(node.path(JOURNAL)).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// When the launch last entered a step, in seconds since 1970.
pub fn entered(node: &Node, step: &str) -> Result<f64> {
    journal(node)
        .iter()
        .rfind(|entry| entry["step"] == step)
        .and_then(|entry| entry["at"].as_f64())
        .with_context(|| format!("the journal has no step `{step}`"))
}

/// A JSON file of the node.
pub fn json_file(node: &Node, path: impl AsRef<Path>) -> Result<Value> {
    let path = node.path(path);
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_json::from_slice(&bytes)?)
}
