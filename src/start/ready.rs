//! Whether a workload's current pods are Ready now: a pure judgement over listed objects.
//!
//! The original matched name prefixes and believed phase Running, so it called a control plane ready
//! that never answered. Here a pod counts if its owner's UID says that it belongs to the workload's
//! *current* revision, it is not going away, its Ready condition is true, and its containers were
//! started in this life of the machine: a status from before a power cut says nothing about now.
//!
//! When a container was started is told by the clock of that moment, and when this life began by today's.
//! Whoever sets the clock forward makes every container look older than the machine's start, so one that
//! looks so and has a process counts all the same.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::SystemTime;

use anyhow::{Result, bail};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::nodes::Nodes;

/// The readiness gate of API servers, which slipway-checkpoint.service of their node opens.
pub const GATE: &str = "slipway.dev/serving";

/// A DaemonSet or Deployment that must be Ready before the handover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its name; the kind is found out.
    pub name: String,
}

impl FromStr for Workload {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split('/').collect::<Vec<_>>()[..] {
            [namespace, name] if !namespace.is_empty() && !name.is_empty() => Ok(Self {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
            _ => bail!(
                "a required pod is named NAMESPACE/WORKLOAD, e.g. kube-system/kube-apiserver, not {text:?}"
            ),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The objects of one namespace that a judgement needs.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// apps/v1 DaemonSets.
    pub daemonsets: Vec<Value>,
    /// apps/v1 Deployments.
    pub deployments: Vec<Value>,
    /// apps/v1 ReplicaSets, by which a Deployment owns pods.
    pub replicasets: Vec<Value>,
    /// apps/v1 ControllerRevisions, by which a DaemonSet knows its current pods.
    pub revisions: Vec<Value>,
    /// v1 Pods.
    pub pods: Vec<Value>,
    /// IDs of the containers that have a process on this node, if one of the pods looks older than this boot.
    pub running: BTreeSet<String>,
    /// The nodes, if it matters which of them live.
    pub nodes: Nodes,
}

/// This node, for the question whether a status is from this life.
#[derive(Clone, Copy, Debug)]
pub struct Here {
    /// Its address, which its pods carry as `status.hostIP`.
    pub address: IpAddr,
    /// When this life of the machine began.
    pub since: SystemTime,
    /// The revision of the API when it began to serve: who has written nothing since may be dead. `None` if it
    /// served all the time.
    pub heard: Option<u64>,
    /// Whether the cluster is being recovered: no status of this node's is believed without its processes.
    pub recovers: bool,
}

/// What became of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How many current pods are Ready.
    pub ready: usize,
    /// How many there should be; 0 while that is unknown.
    pub desired: usize,
    /// Why they are not all Ready; empty if they are.
    pub why: String,
    /// The pod to look at, if one is to blame.
    pub pod: Option<String>,
    /// Start of the earliest container of the Ready pods, seconds since the epoch.
    pub since: Option<i64>,
}

impl Verdict {
    /// Whether every wanted pod is Ready.
    pub fn is_ready(&self) -> bool {
        self.desired > 0 && self.ready >= self.desired
    }

    fn not_yet(why: impl Into<String>) -> Self {
        Self {
            ready: 0,
            desired: 0,
            why: why.into(),
            pod: None,
            since: None,
        }
    }
}

/// Judges `workload` by the objects of its namespace.
pub fn judge(workload: &Workload, lists: &Lists, here: Here) -> Verdict {
    let named = |objects: &[Value]| {
        objects
            .iter()
            .find(|object| object["metadata"]["name"] == workload.name.as_str())
            .cloned()
    };
    if let Some(set) = named(&lists.daemonsets) {
        return judge_daemonset(&set, lists, here);
    }
    match named(&lists.deployments) {
        Some(deployment) => judge_deployment(&deployment, lists, here),
        None => Verdict::not_yet("no DaemonSet or Deployment of this name exists"),
    }
}

fn judge_daemonset(set: &Value, lists: &Lists, here: Here) -> Verdict {
    if !is_observed(set) {
        return Verdict::not_yet("the controller-manager has not acted on it yet");
    }
    let desired = set["status"]["desiredNumberScheduled"]
        .as_u64()
        .unwrap_or(0) as usize;
    // It wants a pod on a node that is gone, too, as long as the API knows the node.
    let silent = lists.nodes.silent_with(owned(&lists.pods, set));
    let desired = desired.saturating_sub(silent);
    if desired == 0 {
        return Verdict::not_yet("no node that lives matches its nodeSelector");
    }
    let newest = owned(&lists.revisions, set).max_by_key(|revision| revision["revision"].as_u64());
    let hash = newest.map(|revision| &revision["metadata"]["labels"][HASH]);
    let current =
        owned(&lists.pods, set).filter(|pod| Some(&pod["metadata"]["labels"][HASH]) == hash);
    judge_pods(&current.collect::<Vec<_>>(), desired, lists, here)
}

/// The label that ties a DaemonSet's pod to a ControllerRevision.
const HASH: &str = "controller-revision-hash";
/// The annotation that ties a Deployment to its current ReplicaSet.
const REVISION: &str = "deployment.kubernetes.io/revision";

fn judge_deployment(deployment: &Value, lists: &Lists, here: Here) -> Verdict {
    if !is_observed(deployment) {
        return Verdict::not_yet("the controller-manager has not acted on it yet");
    }
    let desired = deployment["spec"]["replicas"].as_u64().unwrap_or(1) as usize;
    let revision = &deployment["metadata"]["annotations"][REVISION];
    let current = owned(&lists.replicasets, deployment)
        .find(|set| !revision.is_null() && &set["metadata"]["annotations"][REVISION] == revision);
    let Some(set) = current else {
        return Verdict::not_yet("it has no ReplicaSet of its current revision yet");
    };
    let pods: Vec<_> = owned(&lists.pods, set).collect();
    let mut verdict = judge_pods(&pods, desired, lists, here);
    if pods.is_empty()
        && let Some(failure) = condition(deployment, "ReplicaFailure")
    {
        verdict.why = text(&failure["message"]);
    }
    verdict
}

/// Whether the controller has seen the latest spec.
fn is_observed(workload: &Value) -> bool {
    let seen = &workload["status"]["observedGeneration"];
    !seen.is_null() && seen == &workload["metadata"]["generation"]
}

pub(crate) fn owned<'a>(objects: &'a [Value], owner: &'a Value) -> impl Iterator<Item = &'a Value> {
    let uid = &owner["metadata"]["uid"];
    objects.iter().filter(move |object| {
        let owners = object["metadata"]["ownerReferences"].as_array();
        owners.is_some_and(|owners| owners.iter().any(|owner| &owner["uid"] == uid))
    })
}

fn judge_pods(pods: &[&Value], desired: usize, lists: &Lists, here: Here) -> Verdict {
    let mut verdict = Verdict {
        ready: 0,
        desired,
        why: String::new(),
        pod: None,
        since: None,
    };
    for pod in pods {
        match trouble(pod, lists, here) {
            None => {
                verdict.ready += 1;
                verdict.since = [verdict.since, started(pod).min()]
                    .into_iter()
                    .flatten()
                    .min();
            }
            Some(why) => {
                verdict.why = why;
                verdict.pod = Some(text(&pod["metadata"]["name"]));
            }
        }
    }
    if verdict.is_ready() {
        (verdict.why, verdict.pod) = (String::new(), None);
    } else if verdict.why.is_empty() {
        verdict.why = "its pods are not made yet".to_owned();
    }
    verdict
}

/// Why a pod does not count as Ready, if so.
fn trouble(pod: &Value, lists: &Lists, here: Here) -> Option<String> {
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return Some("its pod is being deleted".to_owned());
    }
    if let Some(why) = lists.nodes.trouble(pod) {
        return Some(why);
    }
    if let Some(why) = container_trouble(pod) {
        return Some(why);
    }
    let unscheduled = condition(pod, "PodScheduled").filter(|found| found["status"] != "True");
    if let Some(unscheduled) = unscheduled {
        let message = text(&unscheduled["message"]);
        return Some(format!("its pod has no node: {message}"));
    }
    if pod["status"]["conditions"].is_null() || pod["spec"]["nodeName"].is_null() {
        return Some("its pod waits for the scheduler".to_owned());
    }
    if condition(pod, "Ready").is_none_or(|ready| ready["status"] != "True") {
        return Some(
            gate_trouble(pod).unwrap_or_else(|| "its pod runs but is not Ready yet".into()),
        );
    }
    is_stale(pod, here, &lists.running).then(|| "its status is from before this boot".to_owned())
}

/// Whether a pod's containers were started before this life of the machine, and none of today's is one of them.
pub fn is_stale(pod: &Value, here: Here, running: &BTreeSet<String>) -> bool {
    older(pod, here).any(|id| !running.contains(id))
}

/// What a pod whose containers are ready waits for still, if that is its gate.
fn gate_trouble(pod: &Value) -> Option<String> {
    let ready = condition(pod, "ContainersReady")?;
    let gates = pod["spec"]["readinessGates"].as_array()?;
    let is_waiting =
        ready["status"] == "True" && gates.iter().any(|gate| gate["conditionType"] == GATE);
    let gate = condition(pod, GATE);
    if !is_waiting || gate.is_some_and(|gate| gate["status"] == "True") {
        return None;
    }
    Some(match gate {
        Some(gate) => format!("its gate {GATE} is shut: {}", text(&gate["message"])),
        None => format!(
            "nobody has opened its gate {GATE}; does slipway-checkpoint.service run on its node?"
        ),
    })
}

/// What the kubelet says about containers that do not run.
fn container_trouble(pod: &Value) -> Option<String> {
    let statuses = ["initContainerStatuses", "containerStatuses"];
    let statuses = statuses
        .iter()
        .filter_map(|field| pod["status"][field].as_array())
        .flatten();
    for status in statuses {
        let waiting = &status["state"]["waiting"];
        if waiting.is_null() {
            continue;
        }
        let reason = text(&waiting["reason"]);
        let restarts = status["restartCount"].as_u64().unwrap_or(0);
        let message = match text(&status["lastState"]["terminated"]["message"]) {
            last if last.is_empty() => text(&waiting["message"]),
            last => last,
        };
        return Some(match (reason.as_str(), restarts) {
            ("ContainerCreating" | "PodInitializing", 0) => {
                "its container is being made".to_owned()
            }
            (_, 0) => format!("{reason}: {message}"),
            _ => format!("{reason} after {restarts} restarts: {message}"),
        });
    }
    None
}

/// The IDs of the running containers of this node's pods that, by the clock, were started before this life of
/// the machine; all of them in a recovery, where their end may not have been told.
pub fn older(pod: &Value, here: Here) -> impl Iterator<Item = &str> {
    let host = pod["status"]["hostIP"].as_str();
    let is_here = host.and_then(|ip| ip.parse().ok()) == Some(here.address);
    // Container times are whole seconds, rounded down.
    let is_older = move |at: Option<i64>| {
        is_here && at.is_some_and(|at| here.recovers || at + 1 < epoch(here.since))
    };
    let old = statuses(pod).filter(move |status| is_older(begun(status)));
    // `containerd://ID`
    old.map(|status| {
        let id = status["containerID"].as_str().unwrap_or_default();
        id.rsplit_once("//").map_or(id, |(_, id)| id)
    })
}

/// When each running container was started, in seconds since the epoch.
fn started(pod: &Value) -> impl Iterator<Item = i64> {
    statuses(pod).filter_map(begun)
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    let statuses = pod["status"]["containerStatuses"].as_array();
    statuses.into_iter().flatten()
}

fn begun(status: &Value) -> Option<i64> {
    seconds(&status["state"]["running"]["startedAt"])
}

/// An RFC 3339 time of the API.
pub fn moment(time: &Value) -> Option<SystemTime> {
    let time = OffsetDateTime::parse(time.as_str()?, &Rfc3339).ok()?;
    Some(time.into())
}

/// The same in whole seconds since the epoch.
pub fn seconds(time: &Value) -> Option<i64> {
    moment(time).map(epoch)
}

/// A time in whole seconds since the epoch.
pub fn epoch(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs().try_into().unwrap_or(i64::MAX))
}

/// A condition of an object's status.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
