//! Checkpoints of the add-ons: a reboot after which the API server answers on loopback only. Their own pods start, because the
//! kubelet reads of them there, but reach no API: flannel ends each time, kube-proxy waits for ever. Their checkpoints do their
//! work, beside them, until the node's address opens.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use qemu_tests::probe::now;
use serde_json::{Value, json};
use slipway::node::cri::{self, Runtime, Sandbox};

use super::kept::{OF, WORKLOAD, exactly};
use super::{Host as _, MENDING};
use crate::node::native::Node;
use crate::node::scenarios::workers::{close, open};
use crate::node::{reboot, services};
use crate::scenarios::Kubectl as _;
use crate::scenarios::cluster::{self, Inside};
use crate::scenarios::reboot::{identities, is_back};
use crate::wait;

/// All that can be named. The kubelet keeps nobody waiting for long, so that flannel's pod runs again and again.
pub const DOCUMENT: &str = "checkpoints:\n  also: [kube-proxy, flannel]\n\
    kubelet:\n  config: {crashLoopBackOff: {maxContainerRestartPeriod: 10s}}\n";
/// What it names.
const WORKLOADS: [&str; 2] = ["DaemonSet/kube-flannel", "DaemonSet/kube-proxy"];
/// How long checkpoints that work have to go on: flannel's pod comes some three times meanwhile.
const HOLD: Duration = Duration::from_secs(30);
/// What only flannel writes, and what only kube-proxy makes. Neither outlives a reboot.
const MADE: &str = "cat /run/flannel/subnet.env; nft list chain ip kube-proxy services";

pub fn stand_in(node: &mut Node) -> Result<Value> {
    exactly(node, &WORKLOADS)?;
    let before = identities(node)?;
    reboot::boot_again(node)?;
    close(node)?;
    services::start_before_kubelet(node)?;
    let since = now();
    services::start_kubelet(node)?;
    wait::until("the add-ons' checkpoints", MENDING, || are_ready(node))?;
    let stood_in = now();
    let running = containers(node)?;
    wait::holds(HOLD, || {
        let now = containers(node)?;
        ensure!(now == running, "there were {running:?} and are {now:?}");
        Ok(())
    })?;
    are_ready(node)?;
    ensure!(
        runs(node, "kube-proxy-")?,
        "kube-proxy's own pod does not run"
    );
    let made = node.shell(MADE)?;
    ensure!(made.contains("FLANNEL_SUBNET"), "{made}");
    wait::until("a pod of the pod network", MENDING, || {
        ensure!(runs(node, "coredns-")?, "no pod of CoreDNS runs");
        Ok(())
    })?;
    // Why there is no checkpoint of it: from the pod network nobody reaches the API.
    let ready = pods(node, "coredns")?.into_iter().find(cluster::is_ready);
    ensure!(ready.is_none(), "CoreDNS has read Services: {ready:?}");
    let opened = now();
    open(node)?;
    is_back(node, &before, since)?;
    Ok(json!({
        "checkpoints_ready_s": stood_in - since,
        "opened_at_s": opened - since,
        "back_after_opening_s": now() - opened,
    }))
}

/// Both checkpoints are Ready by their own word, and neither pod of their own is.
fn are_ready(node: &Node) -> Result<()> {
    let pods = pods(node, "flannel,kube-proxy")?;
    let (stand_ins, own): (Vec<_>, Vec<_>) = pods.iter().partition(|pod| cluster::is_mirror(pod));
    let numbers = (stand_ins.len(), own.len());
    ensure!(numbers == (2, 2), "checkpoints and pods: {numbers:?}");
    for pod in stand_ins {
        let status = &pod["status"];
        ensure!(
            cluster::is_ready(pod),
            "{} is not Ready: {status}",
            cluster::name(pod)
        );
    }
    let ready = own.into_iter().find(|pod| cluster::is_ready(pod));
    ensure!(ready.is_none(), "its own pod is Ready: {ready:?}");
    Ok(())
}

/// The pods of these applications, by the control plane's own door.
fn pods(node: &Node, names: &str) -> Result<Vec<Value>> {
    let selector = format!("labelSelector=k8s-app%20in%20({names})");
    Inside(node).list(&format!("/api/v1/namespaces/kube-system/pods?{selector}"))
}

/// The one container of each checkpoint that runs; none ended before it.
fn containers(node: &Node) -> Result<BTreeMap<&'static str, String>> {
    let sandboxes = sandboxes(node)?;
    let mut all = BTreeMap::new();
    for workload in WORKLOADS {
        let of_it = |sandbox: &&Sandbox| {
            let marks = &sandbox.annotations;
            marks.contains_key(OF) && marks.get(WORKLOAD).is_some_and(|of| of == workload)
        };
        let containers = sandboxes
            .iter()
            .filter(of_it)
            .flat_map(|sandbox| &sandbox.containers);
        let running: Vec<_> = containers.filter(|container| container.running).collect();
        ensure!(
            running.len() == 1 && running[0].attempt == 0,
            "of {workload} run {running:?}"
        );
        all.insert(workload, running[0].id.clone());
    }
    Ok(all)
}

/// Whether a container runs of a pod that the API made, whose name begins so.
fn runs(node: &Node, name: &str) -> Result<bool> {
    let sandboxes = sandboxes(node)?;
    let mut own = sandboxes
        .iter()
        .filter(|one| one.name.starts_with(name) && !one.annotations.contains_key(OF));
    Ok(own.any(Sandbox::runs))
}

fn sandboxes(node: &Node) -> Result<Vec<Sandbox>> {
    Runtime::new(&node.path(cri::CONTAINERD)).sandboxes()
}
