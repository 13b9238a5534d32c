//! Upgrades by the book: `kubectl rollout restart`, and the cluster answers afterwards.

use anyhow::Result;

use super::{Kubectl, cluster};

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
    let namespace = "--namespace=kube-system";
    let timeout = cluster.timeout(240);
    cluster.kubectl(&["rollout", "restart", namespace, workload], "")?;
    cluster.kubectl(&["rollout", "status", namespace, &timeout, workload], "")?;
    Ok(())
}
