//! The unit does not reach the API, and nobody else is cut off: nothing that is kept goes, and nothing starts.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::kept::{exactly, kept};
use super::{Host, MENDING, is_well, run};
use crate::node::native::Node;
use crate::scenarios::Kubectl;
use crate::wait;

/// Shorter than the cut.
pub const DOCUMENT: &str = "checkpoints:\n  gracePeriod: 15s\n";

/// The kubeconfig that the unit reads for every request, and the kubelet once, when it starts.
const KUBECONFIG: &str = "/etc/kubernetes/kubeconfig";
/// Where nobody listens.
const NOBODY: &str = "https://127.0.0.1:1";
const API: &str = "https://127.0.0.1:6443";
/// The longest that one of the unit's watches lasts, and a little more.
const WATCH: Duration = Duration::from_secs(330);

/// The unit starts and meets no API for longer than the grace period, and than an API server may be mute.
pub fn at_start(node: &mut Node) -> Result<()> {
    redirect(node, API, NOBODY)?;
    run(
        node,
        &["systemctl", "restart", "slipway-checkpoint.service"],
    )?;
    stays(node, Duration::from_secs(75))
}

/// It loses the API while it runs, for ten minutes.
pub fn for_ten_minutes(node: &mut Node) -> Result<()> {
    redirect(node, API, NOBODY)?;
    wait::until("the unit's word", WATCH, || is_ready(node, "False"))?;
    stays(node, Duration::from_secs(600))
}

/// For as long as that everything is as it was; afterwards the unit reaches the API again.
fn stays(node: &mut Node, long: Duration) -> Result<()> {
    let before = kept(node)?;
    wait::until("the unit's word", MENDING, || is_ready(node, "False"))?;
    let begun = Instant::now();
    while begun.elapsed() < long {
        let active = node.shell(crate::scenarios::reboot::ACTIVE)?;
        ensure!(active.is_empty(), "without the API {active} was activated");
        ensure!(kept(node)? == before, "kept was {before:?}");
        thread::sleep(Duration::from_secs(1));
    }
    is_ready(node, "False").context("the unit must have been cut off all the time")?;
    redirect(node, NOBODY, API)?;
    is_well(node)?;
    exactly(node, &[])
}

/// Whether the checkpointer's pod is Ready, which says what the unit says.
pub fn is_ready(node: &Node, expected: &str) -> Result<()> {
    let selector = "labelSelector=k8s-app%3Dpod-checkpointer";
    let pods = node.list(&format!("/api/v1/namespaces/kube-system/pods?{selector}"))?;
    let conditions = pods
        .iter()
        .flat_map(|pod| pod["status"]["conditions"].as_array());
    let mut conditions = conditions.flatten();
    let is_it = |one: &Value| one["type"] == "Ready" && one["status"] == expected;
    ensure!(conditions.any(is_it), "the pods are {pods:?}");
    Ok(())
}

fn redirect(node: &Node, from: &str, to: &str) -> Result<()> {
    let path = node.path(KUBECONFIG);
    let text = fs::read_to_string(&path)?;
    ensure!(text.contains(from), "{KUBECONFIG} does not name {from}");
    Ok(fs::write(&path, text.replace(from, to))?)
}
