//! What a launched cluster does.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::node::launch;
use crate::node::native::{Node, NodeSpec};
use crate::node::process::Program;
use crate::scenario::Context;
use crate::scenarios::reboot::Host as _;
use crate::scenarios::{cluster, pods, rollout};
use crate::wait;

/// How long a kubelet may take to be another.
const RESTART: Duration = Duration::from_secs(60);

pub fn roll_control_plane(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launch::launch(&node)?;
    rollout::control_plane(&node)?;
    kubelet_comes_again(&node)
}

/// What renewal of the kubelet's files rests on: it is another process after `systemctl restart`, and
/// when it was killed.
fn kubelet_comes_again(node: &Node) -> Result<()> {
    let restart = ["systemctl", "restart", "kubelet.service"];
    let kill = [
        "sh",
        "-c",
        "kill -9 $(cat /run/harness/kubelet.service.pid)",
    ];
    for disturb in [&restart[..], &kill[..]] {
        let before = kubelet(node)?;
        node.run(&Program::new(disturb.iter().copied()))?
            .success()?;
        wait::until("another kubelet", RESTART, || {
            let after = kubelet(node)?;
            ensure!(after != before, "it is still process {before}");
            let active = Program::new(["systemctl", "is-active", "kubelet.service"]);
            node.run(&active)?.success()
        })?;
    }
    cluster::wait_until_ready(node)
}

fn kubelet(node: &Node) -> Result<String> {
    fs::read_to_string(node.path("/run/harness/kubelet.service.pid")).context("no kubelet runs")
}

pub fn dns_and_service(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launch::launch(&node)?;
    pods::deploy(&node, pods::INTERVAL)?;
    pods::resolve_and_reach(&node)?;
    cni_forgets_with_the_boot(&mut node)
}

/// What CNI plugins note of a pod is of no use after a reboot, and after a power cut it may be in their way.
fn cni_forgets_with_the_boot(node: &mut Node) -> Result<()> {
    let noted = node.shell("ls /run/cni/flannel /run/cni/networks/cbr0")?;
    ensure!(noted.contains("10.2."), "nobody noted an address: {noted}");
    let kept = node.shell("ls /var/lib/cni")?;
    let is_cache = kept.split_whitespace().all(|name| name == "results");
    ensure!(is_cache, "/var/lib/cni holds {kept}");
    Ok(())
}
