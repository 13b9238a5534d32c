//! Whether the cluster wants a pod of a workload on this node: a pure function of the objects.
//!
//! Only asked where no such pod is. A pod that somebody deleted is still wanted, and so is one that nobody can make at the moment;
//! a workload that was deleted, scaled to nothing, or served elsewhere is not. The road not taken is the original's: no pod for a minute, no checkpoint,
//! which took away the last API server while nobody was there to make another.

use serde_json::Value;

use super::workload::{PARENT, Workload};

/// What the API knows of the workload and the node; `None` is what it does not have.
pub fn is_wanted(workload: &Workload, owner: Option<&Value>, node: Option<&Value>) -> bool {
    let Some(owner) = owner else {
        return false;
    };
    if owner["spec"]["template"]["metadata"]["annotations"][PARENT] != "true" {
        return false;
    }
    match &*workload.kind {
        "DaemonSet" => {
            // Of a node that is gone nothing is known; what serves nowhere else is not given up for that.
            let is_for_node = node.is_some_and(|node| selects(owner, node));
            is_for_node || count(&owner["status"]["numberReady"]) == 0
        }
        _ => {
            let replicas = owner["spec"]["replicas"].as_i64().unwrap_or(1);
            replicas > 0 && count(&owner["status"]["readyReplicas"]) < replicas
        }
    }
}

/// The API path of what makes a workload's pods; `None` for a kind that cannot be asked about.
pub fn path(workload: &Workload) -> Option<String> {
    let plural = match &*workload.kind {
        "DaemonSet" => "daemonsets",
        "Deployment" => "deployments",
        _ => return None,
    };
    let Workload {
        namespace, name, ..
    } = workload;
    Some(format!(
        "/apis/apps/v1/namespaces/{namespace}/{plural}/{name}"
    ))
}

/// Whether a DaemonSet's node selector takes the node.
fn selects(owner: &Value, node: &Value) -> bool {
    let selector = owner["spec"]["template"]["spec"]["nodeSelector"].as_object();
    let labels = &node["metadata"]["labels"];
    let mut selector = selector.into_iter().flatten();
    selector.all(|(name, value)| labels[name] == *value)
}

fn count(number: &Value) -> i64 {
    number.as_i64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(kind: &str) -> Workload {
        Workload {
            namespace: "kube-system".into(),
            kind: kind.into(),
            name: "a".into(),
        }
    }

    fn owner(annotated: bool, replicas: Option<i64>, ready: i64) -> Value {
        let annotations = match annotated {
            true => json!({ PARENT: "true" }),
            false => json!({}),
        };
        json!({
            "spec": { "replicas": replicas, "template": {
                "metadata": { "annotations": annotations },
                "spec": { "nodeSelector": { "role": "control-plane" } },
            }},
            "status": { "numberReady": ready, "readyReplicas": ready },
        })
    }

    #[test]
    fn deployments() {
        let is = |owner: Option<&Value>| is_wanted(&workload("Deployment"), owner, None);
        assert!(!is(None), "deleted");
        assert!(
            is(Some(&owner(true, Some(1), 0))),
            "nobody can make the pod"
        );
        assert!(is(Some(&owner(true, None, 0))), "one by default");
        assert!(!is(Some(&owner(true, Some(1), 1))), "it is elsewhere");
        assert!(is(Some(&owner(true, Some(2), 1))));
        assert!(!is(Some(&owner(true, Some(0), 0))), "scaled away");
        assert!(
            !is(Some(&owner(false, Some(1), 0))),
            "no checkpoint is asked for"
        );
    }

    #[test]
    fn daemon_sets() {
        let node = json!({ "metadata": { "labels": { "role": "control-plane", "x": "" } } });
        let other = json!({ "metadata": { "labels": { "role": "worker" } } });
        for (node, ready, expected) in [
            (Some(&node), 0, true),
            (Some(&node), 1, true),
            (Some(&other), 1, false),
            (Some(&other), 0, true),
            (None, 1, false),
            (None, 0, true),
        ] {
            let owner = owner(true, None, ready);
            let found = is_wanted(&workload("DaemonSet"), Some(&owner), node);
            assert_eq!(found, expected, "{node:?} {ready}");
        }
        assert!(!is_wanted(&workload("DaemonSet"), None, Some(&node)));
    }

    #[test]
    fn where_it_is_asked_about() {
        let of = |kind: &str| path(&workload(kind));
        let expected = "/apis/apps/v1/namespaces/kube-system/daemonsets/a";
        assert_eq!(of("DaemonSet").as_deref(), Some(expected));
        assert!(of("Deployment").is_some_and(|path| path.contains("/deployments/")));
        assert_eq!(of("Pod"), None);
    }
}
