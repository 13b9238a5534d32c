//! Pods deleted, processes killed, the runtime away.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{COMPONENTS, Host, MENDING, at_loopback, run};
use crate::node::native::Node;
use crate::scenarios::{Kubectl, cluster};
use crate::wait;

/// How long the container runtime is away.
const AWAY: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "--namespace=kube-system";

/// The only API server's pod is deleted while nobody is there who would make another: a checkpoint answers,
/// until the controllers are back.
pub fn apiserver_deleted(node: &mut Node) -> Result<()> {
    let controllers = "deployment/kube-controller-manager";
    node.kubectl(&["scale", NAMESPACE, "--replicas=0", controllers], "")?;
    wait::until("end of the controller-manager", MENDING, || {
        ensure!(pods(node, &[], COMPONENTS[1])?.is_empty(), "it is there");
        Ok(())
    })?;
    delete(node, &[COMPONENTS[0]])?;
    wait::until("answer of a checkpoint", MENDING, || {
        at_loopback(node, &["get", "--raw", "/readyz"])?;
        ensure!(
            pods(node, &[super::LOOPBACK], COMPONENTS[0])?.is_empty(),
            "the pod is still there"
        );
        // Whoever answers here is on loopback only.
        let outside = node.kubectl(&["get", "--raw", "/readyz"], "");
        ensure!(outside.is_err(), "the node's address answers");
        Ok(())
    })?;
    at_loopback(node, &["scale", NAMESPACE, "--replicas=1", controllers]).map(drop)
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
        let kill = format!(
            "kill -9 $(grep -lz '^/usr/local/bin/{component}$' /proc/[0-9]*/cmdline | cut -d/ -f3)"
        );
        node.shell(&kill)?;
        wait::until("start after the kill", MENDING, || {
            let now = restarts(node, component)?;
            ensure!(now > before, "{component} was restarted {now} times");
            Ok(())
        })?;
        cluster::wait_until_ready(node)?;
    }
    Ok(())
}

/// What runs goes on, and nobody takes silence for an end.
pub fn containerd_stopped(node: &mut Node) -> Result<()> {
    run(node, &["systemctl", "stop", "containerd.service"])?;
    let begun = Instant::now();
    while begun.elapsed() < AWAY {
        let active = node.shell(crate::scenarios::reboot::ACTIVE)?;
        ensure!(
            active.is_empty(),
            "without a runtime {active} was activated"
        );
        thread::sleep(Duration::from_secs(1));
    }
    run(node, &["systemctl", "start", "containerd.service"]).map(drop)
}

fn delete(node: &Node, components: &[&str]) -> Result<()> {
    let label = format!("--selector=k8s-app in ({})", components.join(","));
    node.kubectl(&["delete", "pods", NAMESPACE, "--wait=false", &label], "")
        .map(drop)
}

/// A component's pods, without the mirror of a checkpoint.
fn pods(node: &Node, options: &[&str], component: &str) -> Result<Vec<Value>> {
    let label = format!("--selector=k8s-app={component}");
    let get = ["get", "pods", NAMESPACE, "--output=json", &label];
    let list: Value = serde_json::from_str(&node.kubectl(&[options, &get].concat(), "")?)?;
    let items = list["items"].as_array().context("no list of pods")?;
    let own = items.iter().filter(|pod| !cluster::is_mirror(pod));
    Ok(own.cloned().collect())
}

/// The UIDs of all three components' pods.
fn uids(node: &Node) -> Result<Vec<Value>> {
    let mut uids = Vec::new();
    for component in COMPONENTS {
        let pods = pods(node, &[], component)?;
        uids.extend(pods.iter().map(|pod| pod["metadata"]["uid"].clone()));
    }
    Ok(uids)
}

/// How often the containers of a component's pods were restarted.
fn restarts(node: &Node, component: &str) -> Result<u64> {
    let pods = pods(node, &[], component)?;
    let counts = pods
        .iter()
        .flat_map(|pod| pod["status"]["containerStatuses"].as_array())
        .flatten()
        .filter_map(|container| container["restartCount"].as_u64());
    Ok(counts.sum())
}
