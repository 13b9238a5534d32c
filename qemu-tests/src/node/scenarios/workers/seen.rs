//! What is seen of the workers: everything about them that a control plane which calls them dead would change.
//!
//! It is compared with what was seen before. A change that is over when somebody looks has left its moment: a
//! condition says when it last changed, and Events are counted.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::scenarios::{Kubectl, cluster};
use crate::wait;

/// How the names of workers begin.
pub const WORKERS: &str = "worker-";
/// The namespace of the pods that can be evicted.
pub const STEADY: &str = "steady";
/// What controllers say when they evict a pod.
pub const EVICTED: &str = "TaintManagerEviction";
/// The same, and what they say of a node that they call dead.
const REASONS: [&str; 2] = ["NodeNotReady", EVICTED];

/// How long a checkpoint may take that replaces an API server.
const PATIENCE: Duration = Duration::from_secs(60);

/// By kind and name: each worker, each pod on one, and each reason how often it was given.
pub type Seen = BTreeMap<String, Value>;

/// What the API server that `cluster` asks says now.
pub fn look(cluster: &dyn Kubectl) -> Result<Seen> {
    let kinds = "nodes,pods,events";
    let text = cluster.kubectl(&["get", kinds, "--all-namespaces", "--output=json"], "")?;
    let list: Value = serde_json::from_str(&text).context("kubectl's list is no JSON")?;
    let seen = of(list["items"].as_array().context("kubectl prints no list")?);
    ensure!(!seen.is_empty(), "there are no workers");
    Ok(seen)
}

/// Nothing has changed since `before`.
pub fn unchanged(cluster: &dyn Kubectl, before: &Seen) -> Result<()> {
    // An API server that is away for a moment says nothing of the workers.
    let now = wait::until("answer of the API", PATIENCE, || look(cluster))?;
    for (what, was) in before {
        let is = now.get(what);
        ensure!(is == Some(was), "{what} was {was} and is {is:?}");
    }
    let new = now.keys().find(|what| !before.contains_key(*what));
    ensure!(new.is_none(), "{new:?} is new");
    Ok(())
}

/// How often a reason was given.
pub fn count(seen: &Seen, reason: &str) -> u64 {
    let count = seen.get(&format!("Events {reason}"));
    count.and_then(Value::as_u64).unwrap_or_default()
}

fn of(objects: &[Value]) -> Seen {
    let mut seen = Seen::new();
    for object in objects {
        if let Some((what, is)) = worker(object).or_else(|| pod(object)) {
            seen.insert(what, is);
        }
    }
    let mut said = BTreeMap::<String, u64>::new();
    for event in objects {
        if event["kind"] == "Event" && is_about_workers(event, &seen) {
            let what = format!("Events {}", event["reason"].as_str().unwrap_or_default());
            let count = [&event["count"], &event["series"]["count"]];
            let count = count.into_iter().find_map(Value::as_u64).unwrap_or(1);
            *said.entry(what).or_default() += count;
        }
    }
    seen.extend(said.into_iter().map(|(what, count)| (what, count.into())));
    seen
}

fn worker(node: &Value) -> Option<(String, Value)> {
    let name = cluster::name(node);
    let is_one = node["kind"] == "Node" && name.starts_with(WORKERS);
    is_one.then(|| {
        let is = json!({
            "uid": node["metadata"]["uid"],
            "ready": ready(node),
            "taints": node["spec"]["taints"],
        });
        (format!("Node {name}"), is)
    })
}

fn pod(pod: &Value) -> Option<(String, Value)> {
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    // A pod that replaces an evicted one is nowhere yet.
    let is_one = node.starts_with(WORKERS) || pod["metadata"]["namespace"] == STEADY;
    (pod["kind"] == "Pod" && is_one).then(|| {
        let containers = pod["status"]["containerStatuses"].as_array();
        let restarts = containers.into_iter().flatten();
        let is = json!({
            "node": node,
            "uid": pod["metadata"]["uid"],
            "deleted": pod["metadata"]["deletionTimestamp"],
            "ready": ready(pod),
            "restarts": restarts.map(|one| &one["restartCount"]).collect::<Vec<_>>(),
        });
        (place(&pod["metadata"]), is)
    })
}

/// How [`pod`] calls it.
fn place(object: &Value) -> String {
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    format!("Pod {}/{}", text("namespace"), text("name"))
}

fn ready(object: &Value) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten();
    let ready = found.filter(|condition| condition["type"] == "Ready");
    ready
        .map(|one| json!({ "status": one["status"], "since": one["lastTransitionTime"] }))
        .collect()
}

fn is_about_workers(event: &Value, seen: &Seen) -> bool {
    let about = &event["involvedObject"];
    let name = about["name"].as_str().unwrap_or_default();
    let is_theirs = match about["kind"].as_str() {
        Some("Node") => name.starts_with(WORKERS),
        _ => about["namespace"] == STEADY || seen.contains_key(&place(about)),
    };
    is_theirs && REASONS.iter().any(|reason| event["reason"] == *reason)
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    fn pod_on(node: &str, name: &str) -> Value {
        json!({
            "kind": "Pod",
            "metadata": { "namespace": "kube-system", "name": name, "uid": name },
            "spec": { "nodeName": node },
            "status": {
                "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-11-29T20:00:00Z" }],
                "containerStatuses": [{ "restartCount": 1 }],
            },
        })
    }

    fn event(kind: &str, name: &str, reason: &str) -> Value {
        let about = json!({ "kind": kind, "namespace": "kube-system", "name": name });
        json!({ "kind": "Event", "reason": reason, "involvedObject": about, "count": 2 })
    }

    #[test]
    fn only_the_workers_count() {
        let seen = of(&[
            event("Node", "node-a", REASONS[0]),
            event("Pod", "a", REASONS[0]),
            json!({ "kind": "Node", "metadata": { "name": "node-a" } }),
            pod_on("node-a", "a"),
        ]);
        assert_eq!(seen, Seen::new());
        let seen = of(&[
            json!({ "kind": "Node", "metadata": { "name": "worker-1" } }),
            pod_on("worker-1", "b"),
            event("Pod", "b", REASONS[1]),
            event("Node", "worker-1", REASONS[1]),
            event("Pod", "b", "Pulled"),
        ]);
        let names: Vec<_> = seen.keys().map(String::as_str).collect();
        let expected = [
            "Events TaintManagerEviction",
            "Node worker-1",
            "Pod kube-system/b",
        ];
        assert_eq!(names, expected);
        assert_eq!((count(&seen, REASONS[1]), count(&seen, REASONS[0])), (4, 0));
    }

    #[test]
    fn what_is_over_has_left_its_moment() {
        let seen = |pod: &Value| of(slice::from_ref(pod));
        let before = pod_on("worker-1", "b");
        for (place, value) in [
            (
                "/status/conditions/0/lastTransitionTime",
                json!("2026-11-29T20:01:00Z"),
            ),
            ("/status/containerStatuses/0/restartCount", json!(2)),
            ("/metadata/uid", json!("c")),
        ] {
            let mut after = before.clone();
            assert_eq!(seen(&before), seen(&after));
            *after.pointer_mut(place).unwrap() = value;
            assert_ne!(seen(&before), seen(&after), "{place}");
        }
    }
}
