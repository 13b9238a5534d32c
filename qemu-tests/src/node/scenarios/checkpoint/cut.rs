//! The unit does not reach the API, and nobody else is cut off: nothing that is kept goes, and nothing starts.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::kept::{exactly, kept};
use super::{MENDING, is_well, nothing_starts, run};
use crate::node::native::Node;
use crate::scenarios::cluster::pods_of;
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
pub fn at_start(node: &mut Node) -> Result<f64> {
    redirect(node, API, NOBODY)?;
    run(
        node,
        &["systemctl", "restart", "slipway-checkpoint.service"],
    )?;
    stays(node, Duration::from_secs(75))
}

/// It loses the API while it runs, for ten minutes.
pub fn for_ten_minutes(node: &mut Node) -> Result<f64> {
    redirect(node, API, NOBODY)?;
    wait::until("the unit's word", WATCH, || is_ready(node, "False"))?;
    stays(node, Duration::from_secs(600))
}

/// For as long as that everything is as it was; afterwards the unit reaches the API again. Returns after how many seconds.
fn stays(node: &mut Node, long: Duration) -> Result<f64> {
    let before = kept(node)?;
    wait::until("the unit's word", MENDING, || is_ready(node, "False"))?;
    nothing_starts(node, long, |node| {
        ensure!(kept(node)? == before, "kept was {before:?}");
        Ok(())
    })?;
    is_ready(node, "False").context("the unit must have been cut off all the time")?;
    redirect(node, NOBODY, API)?;
    let again = Instant::now();
    is_well(node)?;
    exactly(node, &[])?;
    Ok(again.elapsed().as_secs_f64())
}

/// Whether the checkpointer's pod is Ready, which says what the unit says.
pub fn is_ready(node: &Node, expected: &str) -> Result<()> {
    let pods = pods_of(node, "pod-checkpointer")?;
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
