//! Upgrades by the book: `kubectl rollout restart`, and the cluster answers afterwards.

use anyhow::{Context as _, Result};

use super::{Kubectl, cluster};

const NAMESPACE: &str = "--namespace=kube-system";

/// Restarts the control plane's workloads one after the other, the API server twice: the second
/// time, the one that was rolled in has to go in its turn.
pub fn control_plane(cluster: &dyn Kubectl) -> Result<()> {
    for workload in [
        "daemonset/kube-apiserver",
        "daemonset/kube-apiserver",
        "deployment/kube-controller-manager",
        "deployment/kube-scheduler",
    ] {
        restart(cluster, workload)?;
    }
    cluster::wait_until_ready(cluster)
}

/// Restarts one workload of kube-system, and waits until it is restarted.
pub fn restart(cluster: &dyn Kubectl, workload: &str) -> Result<()> {
    cluster.kubectl(&["rollout", "restart", NAMESPACE, workload], "")?;
    status(cluster, workload)
}

/// Gives one, `KIND/NAME`, whose container has its name, another image.
pub fn set_image(cluster: &dyn Kubectl, workload: &str, image: &str) -> Result<()> {
    let (_, container) = workload.split_once('/').context("a workload has a kind")?;
    let image = format!("{container}={image}");
    let set = ["set", "image", NAMESPACE, workload, &image];
    cluster.kubectl(&set, "").map(drop)
}

/// Waits until all pods of one are of its last revision.
pub fn status(cluster: &dyn Kubectl, workload: &str) -> Result<()> {
    status_in(cluster, NAMESPACE, workload, 240)
}

/// The same in another namespace, given as kubectl's flag, for so many seconds on a free machine.
pub fn status_in(
    cluster: &dyn Kubectl,
    namespace: &str,
    workload: &str,
    seconds: u32,
) -> Result<()> {
    let timeout = cluster.timeout(seconds);
    let status = ["rollout", "status", namespace, &timeout, workload];
    cluster.kubectl(&status, "").map(drop)
}
