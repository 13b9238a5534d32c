//! Nodes and pods: all Ready, none left over.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{Kubectl, until};

/// How long after a handover everything may take to be Ready.
const SETTLING: Duration = Duration::from_secs(240);
/// kubectl's option for the control plane's own door, where a temporary or checkpointed API server answers.
pub const LOOPBACK: &str = "--server=https://127.0.0.1:6443";

/// The API as the control plane itself reaches it, through its own door.
pub struct Inside<'a>(pub &'a dyn Kubectl);

impl Kubectl for Inside<'_> {
    fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        self.0.kubectl(&[&[LOOPBACK], arguments].concat(), input)
    }

    fn patience(&self) -> u32 {
        self.0.patience()
    }
}

/// Waits until every node and every pod is Ready, and every workload has its pods.
pub fn wait_until_ready(cluster: &dyn Kubectl) -> Result<()> {
    until(cluster, "readiness of everything", SETTLING, || {
        all_ready(cluster)
    })
}

/// As [`wait_until_ready`], where of the pods on `node` only containers count that were started at `moment` or
/// later, a time in the API's form: after its reboot the API has the old word at first.
pub fn wait_until_ready_since(cluster: &dyn Kubectl, node: &str, moment: &str) -> Result<()> {
    let on_it = format!("/api/v1/pods?fieldSelector=spec.nodeName={node}");
    until(cluster, "readiness of everything", SETTLING, || {
        all_ready(cluster)?;
        let pods = cluster.list(&on_it)?;
        ensure!(!pods.is_empty(), "{node} has no pods");
        pods.iter()
            .try_for_each(|pod| is_started_since(pod, moment))
    })
}

fn is_started_since(pod: &Value, moment: &str) -> Result<()> {
    let containers = pod["status"]["containerStatuses"].as_array();
    for container in containers.into_iter().flatten() {
        let started = container["state"]["running"]["startedAt"].as_str();
        if started.is_none_or(|started| started < moment) {
            bail!(
                "{}: a container was not started since {moment}: {container}",
                name(pod)
            );
        }
    }
    Ok(())
}

/// Waits until no mirror pod of a static pod other than etcd is left: the kubelet deletes them in its own
/// time once the static pod has gone.
pub fn no_mirror_pod_but_etcd(cluster: &dyn Kubectl) -> Result<()> {
    until(cluster, "end of the mirror pods", SETTLING, || {
        only_etcd_is_mirrored(cluster)
    })
}

fn only_etcd_is_mirrored(cluster: &dyn Kubectl) -> Result<()> {
    for pod in cluster.list("/api/v1/namespaces/kube-system/pods")? {
        if is_mirror(&pod) && !name(&pod).starts_with("etcd") {
            bail!("static pod {} is left", name(&pod));
        }
    }
    Ok(())
}

/// How often the containers of these pods were restarted.
pub fn restarts<'a>(pods: impl IntoIterator<Item = &'a Value>) -> u64 {
    let statuses = pods
        .into_iter()
        .flat_map(|pod| pod["status"]["containerStatuses"].as_array());
    let counts = statuses
        .flatten()
        .filter_map(|container| container["restartCount"].as_u64());
    counts.sum()
}

/// The pods of kube-system that bear the label `k8s-app` with this name, without the mirrors of static ones.
pub fn pods_of(cluster: &dyn Kubectl, app: &str) -> Result<Vec<Value>> {
    let selector = format!("labelSelector=k8s-app%3D{app}");
    let mut pods = cluster.list(&format!("/api/v1/namespaces/kube-system/pods?{selector}"))?;
    pods.retain(|pod| !is_mirror(pod));
    Ok(pods)
}

/// Whether a pod in the API is the kubelet's word of a static one.
pub fn is_mirror(pod: &Value) -> bool {
    !pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null()
}

fn all_ready(cluster: &dyn Kubectl) -> Result<()> {
    are_ready(cluster, "/api/v1/nodes")?;
    let pods = are_ready(cluster, "/api/v1/pods")?;
    for path in ["/apis/apps/v1/deployments", "/apis/apps/v1/daemonsets"] {
        let workloads = cluster.list(path)?;
        workloads
            .iter()
            .try_for_each(|workload| has_its_pods(workload, &pods))?;
    }
    Ok(())
}

/// The objects at `path`, if there are any and all are Ready.
fn are_ready(cluster: &dyn Kubectl, path: &str) -> Result<Vec<Value>> {
    let all = cluster.list(path)?;
    ensure!(!all.is_empty(), "{path} is empty");
    match all.iter().find(|one| !is_ready(one)) {
        Some(one) => bail!("{} in {path} is not Ready: {}", name(one), one["status"]),
        None => Ok(all),
    }
}

/// A pod that was deleted or evicted is missed by nobody else: a workload's status is its controller's word, who may be away too.
fn has_its_pods(workload: &Value, pods: &[Value]) -> Result<()> {
    let wanted = [
        &workload["spec"]["replicas"],
        &workload["status"]["desiredNumberScheduled"],
    ];
    let wanted = wanted.iter().find_map(|number| number.as_u64());
    let labels = workload["spec"]["selector"]["matchLabels"].as_object();
    let (wanted, labels) = wanted.zip(labels).context("a workload asks for nothing")?;
    let is_its = |pod: &&Value| {
        let (its, carried) = (&pod["metadata"], &pod["metadata"]["labels"]);
        its["namespace"] == workload["metadata"]["namespace"]
            && labels.iter().all(|(key, value)| carried[key] == *value)
            && !is_mirror(pod)
    };
    let there = pods.iter().filter(is_its).count() as u64;
    let name = name(workload);
    ensure!(there >= wanted, "{name} has {there} pods of {wanted}");
    Ok(())
}

/// Whether an object says that it is Ready, and nobody deletes it.
pub fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    object["metadata"]["deletionTimestamp"].is_null()
        && conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// An object's name.
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}
