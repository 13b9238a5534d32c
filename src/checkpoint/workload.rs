//! Which pods are checkpointed, and what they are pods of.
//!
//! A checkpoint stands in for a workload, not for a pod: pods come and go with every roll, and of all that
//! a workload ever had on this node one copy counts, the last that worked.

use std::fmt;
use std::time::SystemTime;

use serde_json::Value;

use crate::start::ready::moment;

/// The original's mark of a pod that wants a checkpoint: "true".
pub const PARENT: &str = "checkpointer.alpha.coreos.com/checkpoint";
/// On a pod: "true" if it is of no use while it does not reach the API at the node's address, and two of it do no harm.
pub const BESIDE: &str = "slipway.dev/checkpoint-beside";
/// The original's mark of a checkpoint: the name of the pod that it was taken from.
pub const CHECKPOINT_OF: &str = "checkpointer.alpha.coreos.com/checkpoint-of";
/// On a checkpoint: `KIND/NAME` of the workload.
pub const WORKLOAD: &str = "slipway.dev/checkpoint-workload";
/// What the kubelet writes on pods that do not come from the API, and on their mirrors there.
const FOREIGN: [&str; 2] = ["kubernetes.io/config.source", "kubernetes.io/config.mirror"];

/// What makes pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workload {
    /// Its pods' namespace.
    pub namespace: String,
    /// `DaemonSet`, `Deployment`; another kind for what slipway cannot ask about.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a pod is of: its controller, the Deployment in place of the ReplicaSet, or the pod itself.
pub fn workload_of(pod: &Value) -> Workload {
    let metadata = &pod["metadata"];
    let owners = metadata["ownerReferences"].as_array();
    let owner = owners
        .into_iter()
        .flatten()
        .find(|owner| owner["controller"] == true);
    let (kind, name) = match owner {
        Some(owner) => (text(&owner["kind"]), text(&owner["name"])),
        None => ("Pod", text(&metadata["name"])),
    };
    let hash = text(&metadata["labels"]["pod-template-hash"]);
    let deployment = name
        .strip_suffix(hash)
        .and_then(|name| name.strip_suffix('-'));
    let (kind, name) = match (kind, deployment) {
        ("ReplicaSet", Some(deployment)) if !hash.is_empty() => ("Deployment", deployment),
        other => (other.0, name),
    };
    Workload {
        namespace: text(&metadata["namespace"]).to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

/// Whether a pod of the API wants a checkpoint in one of these namespaces.
pub fn is_parent(pod: &Value, namespaces: &[String]) -> bool {
    let metadata = &pod["metadata"];
    let annotations = &metadata["annotations"];
    let is_foreign = FOREIGN
        .iter()
        .any(|mark| annotations[mark].as_str().is_some_and(|from| from != "api"));
    annotations[PARENT] == "true"
        && annotations[CHECKPOINT_OF].is_null()
        && !is_foreign
        && namespaces
            .iter()
            .any(|name| metadata["namespace"] == name.as_str())
}

/// Whether the kubelet says that a pod works, and nobody told it to end.
pub fn is_ready(pod: &Value) -> bool {
    readiness(pod).is_some() && pod["metadata"]["deletionTimestamp"].is_null()
}

/// Since when the kubelet says so.
pub fn ready_since(pod: &Value) -> Option<SystemTime> {
    moment(&readiness(pod)?["lastTransitionTime"])
}

/// The condition Ready, if it is true.
fn readiness(pod: &Value) -> Option<&Value> {
    let conditions = pod["status"]["conditions"].as_array()?;
    let mut conditions = conditions.iter();
    conditions.find(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// A field's text; empty where there is none.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Workload;

    /// One of kube-system.
    pub fn workload(kind: &str, name: &str) -> Workload {
        Workload {
            namespace: "kube-system".into(),
            kind: kind.into(),
            name: name.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(owner: &Value, labels: &Value) -> Value {
        json!({ "metadata": {
            "namespace": "kube-system", "name": "a-1", "labels": labels, "ownerReferences": owner,
            "annotations": { PARENT: "true" },
        }})
    }

    #[test]
    fn the_workload_behind_a_pod() {
        let owner = |kind: &str, name: &str| json!([{ "kind": "Node", "name": "n" }, { "kind": kind, "name": name, "controller": true }]);
        let hash = json!({ "pod-template-hash": "5f6" });
        for (owner, labels, kind, name) in [
            (owner("DaemonSet", "a"), json!({}), "DaemonSet", "a"),
            (
                owner("ReplicaSet", "a-b-5f6"),
                hash.clone(),
                "Deployment",
                "a-b",
            ),
            (owner("ReplicaSet", "a-b"), json!({}), "ReplicaSet", "a-b"),
            (owner("ReplicaSet", "a-b"), hash, "ReplicaSet", "a-b"),
            (json!([]), json!({}), "Pod", "a-1"),
        ] {
            let found = workload_of(&pod(&owner, &labels));
            assert_eq!((&*found.kind, &*found.name), (kind, name));
        }
    }

    #[test]
    fn whose_checkpoint_is_taken() {
        let namespaces = ["kube-system".to_owned()];
        let with = |pointer: &str, value: Value| {
            let mut pod = pod(&json!([]), &json!({}));
            let (parent, key) = pointer.rsplit_once('|').unwrap();
            pod.pointer_mut(parent).unwrap()[key] = value;
            pod
        };
        let source = "/metadata/annotations|kubernetes.io/config.source";
        assert!(is_parent(&with(source, json!("api")), &namespaces));
        for (pointer, value) in [
            (source, json!("file")),
            (
                "/metadata/annotations|kubernetes.io/config.mirror",
                json!("5"),
            ),
            (
                "/metadata/annotations|checkpointer.alpha.coreos.com/checkpoint-of",
                json!("a"),
            ),
            (
                "/metadata/annotations|checkpointer.alpha.coreos.com/checkpoint",
                json!("false"),
            ),
            ("/metadata|namespace", json!("default")),
        ] {
            assert!(!is_parent(&with(pointer, value), &namespaces), "{pointer}");
        }
    }

    #[test]
    fn a_pod_that_is_told_to_end_is_not_ready() {
        let ready = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
        let pod = json!({ "metadata": {}, "status": ready });
        assert!(is_ready(&pod));
        let ending = json!({ "metadata": { "deletionTimestamp": "x" }, "status": pod["status"] });
        assert!(!is_ready(&ending) && !is_ready(&json!({})));
    }
}
