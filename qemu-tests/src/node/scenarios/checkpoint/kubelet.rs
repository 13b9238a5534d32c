//! The kubelet's trap: one that has not read the API since it started ends no static pod. Until it has, an active checkpoint is left
//! alone, whatever speaks for ending it; and what runs without a manifest is ended through the container runtime.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use slipway::node::cri::{self, Runtime};

use super::kept::OF;
use super::{COMPONENTS, Host, MENDING, is_well, log, run, signal_apiserver};
use crate::node::native::Node;
use crate::scenarios::Kubectl as _;
use crate::scenarios::cluster::Inside;
use crate::wait;

const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// The kubelet's further arguments.
const ARGUMENTS: &str = "/etc/kubernetes/kubelet/kubelet.env";
/// A kubeconfig of the kubelet's that leads nowhere.
const NOWHERE: &str = "/etc/kubernetes/nowhere.kubeconfig";
/// Longer than anything is waited for that speaks for ending a checkpoint (a closed form's 30 s are the longest).
const HOLD: Duration = Duration::from_secs(40);
const UNITS: [&str; 2] = ["kubelet.service", "slipway-checkpoint.service"];

/// The API server hangs. A kubelet starts, and reads no API even when one answers again.
pub fn without_api(node: &mut Node) -> Result<()> {
    signal_apiserver(node, "STOP")?;
    cut_off(node)?;
    for unit in UNITS {
        run(node, &["systemctl", "restart", unit])?;
    }
    wait::until("answer of a checkpoint", MENDING, || {
        ensure!(active(node)?.contains(COMPONENTS[0]), "none is active");
        Inside(node).answers()
    })?;
    // Its own pod answers again: there are two of them, and one should go.
    signal_apiserver(node, "CONT")?;
    wait::until("answer at the node's address", MENDING, || node.answers())?;
    let before = apiserver_manifest(node)?;
    wait::holds(HOLD, || {
        let now = apiserver_manifest(node)?;
        ensure!(now == before, "it was {before} and is {now}");
        Ok(())
    })
}

/// A person takes the manifest away. The kubelet lets the pod run on; the unit does not.
pub fn forgotten(node: &mut Node) -> Result<()> {
    node.shell(&format!("rm {MANIFESTS}/*{}*.json", COMPONENTS[0]))?;
    let is_over = || ensure_none_runs(node, COMPONENTS[0]);
    ensure!(
        is_over().is_err(),
        "it has ended before anybody could end it"
    );
    wait::until("end of the forgotten checkpoint", MENDING, is_over)?;
    let log = log(node)?;
    let said = "its kubelet does not end it";
    ensure!(log.contains(said), "the unit has not said: {said}");
    Ok(())
}

/// The kubelet reads the API: what should have gone goes, and nothing runs twice.
pub fn informed(node: &mut Node) -> Result<()> {
    let path = node.path(ARGUMENTS);
    let text = fs::read_to_string(&path)?;
    fs::write(&path, text.replace(&argument(), ""))?;
    run(node, &["systemctl", "restart", UNITS[0]])?;
    is_well(node)?;
    wait::until("end of all checkpoints", MENDING, || {
        ensure_none_runs(node, "")
    })
}

/// The next kubelet will not reach the API.
fn cut_off(node: &mut Node) -> Result<()> {
    let kubeconfig = fs::read_to_string(node.path("/etc/kubernetes/kubeconfig"))?;
    fs::write(node.path(NOWHERE), kubeconfig.replace(":6443", ":1"))?;
    let path = node.path(ARGUMENTS);
    let text = fs::read_to_string(&path)?;
    let (name, words) = text.trim_end().split_once('=').unwrap_or((&text, ""));
    Ok(fs::write(&path, format!("{name}={words}{}\n", argument()))?)
}

fn argument() -> String {
    format!(" --kubeconfig={NOWHERE}")
}

fn active(node: &mut Node) -> Result<String> {
    node.shell(crate::scenarios::reboot::ACTIVE)
}

/// The API server's active checkpoint, to the letter.
fn apiserver_manifest(node: &mut Node) -> Result<String> {
    node.shell(&format!("cat {MANIFESTS}/*{}*.json", COMPONENTS[0]))
}

/// That no checkpoint runs whose pod's name contains this.
fn ensure_none_runs(node: &Node, name: &str) -> Result<()> {
    let sandboxes = Runtime::new(&node.path(cri::CONTAINERD)).sandboxes()?;
    let mut running = sandboxes.iter().filter(|one| {
        one.annotations.contains_key(OF) && one.name.contains(name) && (one.ready || one.runs())
    });
    let left = running.next();
    ensure!(left.is_none(), "{left:?} runs");
    Ok(())
}
