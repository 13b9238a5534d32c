//! Pods deleted, processes killed, the runtime away.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{
    COMPONENTS, Host, MENDING, answers_inside_only, files, log, nothing_starts, run, says,
    signal_apiserver,
};
use crate::node::native::Node;
use crate::scenarios::Kubectl as _;
use crate::scenarios::cluster::{self, Inside, pods_of};
use crate::scenarios::reboot::{self, LEADERS};
use crate::wait;

/// How long the container runtime is away.
const AWAY: Duration = Duration::from_secs(60);
/// How long the API server is known to be silent meanwhile: longer than one may be that does not run (5 s), shorter than one that
/// does (60 s), and so short that no leader misses it for as long as its Lease lets it (40 s).
const SILENT: Duration = Duration::from_secs(12);
/// A server that accepts a connection and says nothing is called silent after 10 s.
const NOTICED: Duration = Duration::from_secs(30);
const NAMESPACE: &str = "--namespace=kube-system";

/// The only API server's pod is deleted while nobody is there who would make another: a checkpoint answers,
/// until the controllers are back.
pub fn apiserver_deleted(node: &mut Node) -> Result<()> {
    let controllers = "deployment/kube-controller-manager";
    node.kubectl(&["scale", NAMESPACE, "--replicas=0", controllers], "")?;
    wait::until("end of the controller-manager", MENDING, || {
        ensure!(pods_of(node, COMPONENTS[1])?.is_empty(), "it is there");
        Ok(())
    })?;
    delete(node, &[COMPONENTS[0]])?;
    wait::until("answer of a checkpoint", MENDING, || {
        let left = pods_of(&Inside(node), COMPONENTS[0])?;
        ensure!(left.is_empty(), "the pod is still there");
        answers_inside_only(node)
    })?;
    files::active_are_private(node)?;
    let scale = ["scale", NAMESPACE, "--replicas=1", controllers];
    Inside(node).kubectl(&scale, "").map(drop)
}

/// Every pod of the three goes at once; others come.
pub fn all_deleted(node: &mut Node) -> Result<()> {
    let before = uids(node)?;
    delete(node, &COMPONENTS)?;
    wait::until("other pods", MENDING, || {
        let now = uids(node)?;
        ensure!(now.len() >= COMPONENTS.len(), "there are {now:?}");
        let left = now.iter().find(|uid| before.contains(uid));
        ensure!(left.is_none(), "{left:?} is left");
        Ok(())
    })
}

/// One after the other is killed; the kubelet starts its container again.
pub fn killed(node: &mut Node) -> Result<()> {
    for component in COMPONENTS {
        let before = restarts(node, component)?;
        let said = log(node)?.len();
        let moment = node.shell("date --utc +%FT%T.%6NZ")?;
        let kill = format!(
            "kill -9 $(grep -lz '^/usr/local/bin/{component}$' /proc/[0-9]*/cmdline | cut -d/ -f3)"
        );
        node.shell(&kill)?;
        wait::until("start after the kill", MENDING, || {
            let now = restarts(node, component)?;
            ensure!(now > before, "{component} was restarted {now} times");
            leads_again(node, component, said, moment.trim())
        })?;
        cluster::wait_until_ready(node)?;
    }
    Ok(())
}

/// A component of which one leads has another leader since `moment`, which did not have to wait for the Lease of the last one.
fn leads_again(node: &Node, component: &str, said: usize, moment: &str) -> Result<()> {
    if !LEADERS.contains(&component) {
        return Ok(());
    }
    says(node, said, &format!("released: Lease {component}\n"))?;
    reboot::leads_since(node, &[component], moment)
}

/// What runs goes on, and nobody takes silence for an end: not the runtime's, while the API server hangs.
pub fn containerd_stopped(node: &mut Node) -> Result<()> {
    run(node, &["systemctl", "stop", "containerd.service"])?;
    let begun = Instant::now();
    // Its kubelet's probes give it 80 s, and could not end it without a runtime.
    signal_apiserver(node, "STOP")?;
    let held = nobody_knows_what_runs(node);
    signal_apiserver(node, "CONT")?;
    held?;
    nothing_starts(node, AWAY.saturating_sub(begun.elapsed()), |_| Ok(()))?;
    run(node, &["systemctl", "start", "containerd.service"]).map(drop)
}

/// An open watch tells of a server that hangs only when it ends; a unit that starts meets it at once.
fn nobody_knows_what_runs(node: &mut Node) -> Result<()> {
    let said = log(node)?.len();
    run(
        node,
        &["systemctl", "restart", "slipway-checkpoint.service"],
    )?;
    wait::until("the unit's word", NOTICED, || {
        says(node, said, "no API server answers")
    })?;
    nothing_starts(node, SILENT, |_| Ok(()))
}

fn delete(node: &Node, components: &[&str]) -> Result<()> {
    let label = format!("--selector=k8s-app in ({})", components.join(","));
    node.kubectl(&["delete", "pods", NAMESPACE, "--wait=false", &label], "")
        .map(drop)
}

/// The UIDs of all three components' pods.
fn uids(node: &Node) -> Result<Vec<Value>> {
    let mut uids = Vec::new();
    for component in COMPONENTS {
        let pods = pods_of(node, component)?;
        uids.extend(pods.iter().map(|pod| pod["metadata"]["uid"].clone()));
    }
    Ok(uids)
}

/// How often the containers of a component's pods were restarted.
fn restarts(node: &Node, component: &str) -> Result<u64> {
    Ok(cluster::restarts(&pods_of(node, component)?))
}
