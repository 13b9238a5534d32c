//! Whether the cluster wants a pod of a workload on this node: a pure function of the objects.
//!
//! Only asked where no such pod is. A pod that somebody deleted is still wanted, and so is one that nobody can make at the moment;
//! a workload that was deleted, scaled to nothing, or served elsewhere is not. Statuses of workloads are not asked: where no controller
//! is left, they say what was. The road not taken is the original's: no pod for a minute, no checkpoint,
//! which took away the last API server while nobody was there to make another.

use serde_json::Value;

use super::workload::{PARENT, Workload, is_ready, workload_of};

/// What the API knows of the workload and the node (`None` is what it does not have), and how many pods of it are Ready on
/// other nodes.
pub fn is_wanted(
    workload: &Workload,
    owner: Option<&Value>,
    node: Option<&Value>,
    elsewhere: usize,
) -> bool {
    let Some(owner) = owner else {
        return false;
    };
    if owner["spec"]["template"]["metadata"]["annotations"][PARENT] != "true" {
        return false;
    }
    match &*workload.kind {
        // Of a node that is gone nothing is known; what serves nowhere else is not given up for that.
        "DaemonSet" => elsewhere == 0 || node.is_some_and(|node| selects(owner, node)),
        _ => {
            let replicas = owner["spec"]["replicas"].as_u64().unwrap_or(1);
            replicas > elsewhere as u64
        }
    }
}

/// The same of a workload that nobody can be asked about, and that has no pod here: whether it is wanted is known only of a pod
/// that nobody makes again.
pub fn without_owner(workload: &Workload) -> Option<bool> {
    (workload.kind == "Pod").then_some(false)
}

/// How many of these pods are of the workload, Ready, and on another node than `node`.
pub fn elsewhere(pods: &[Value], workload: &Workload, node: &str) -> usize {
    let is_one = |pod: &&Value| {
        workload_of(pod) == *workload && is_ready(pod) && pod["spec"]["nodeName"] != node
    };
    pods.iter().filter(is_one).count()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(kind: &str) -> Workload {
        super::super::workload::testing::workload(kind, "a")
    }

    fn owner(annotated: bool, replicas: Option<i64>) -> Value {
        let annotations = match annotated {
            true => json!({ PARENT: "true" }),
            false => json!({}),
        };
        json!({
            "spec": { "replicas": replicas, "template": {
                "metadata": { "annotations": annotations },
                "spec": { "nodeSelector": { "role": "control-plane" } },
            }},
            // As the last controller left it.
            "status": { "numberReady": 1, "readyReplicas": 1 },
        })
    }

    #[test]
    fn deployments() {
        let is = |owner: Option<&Value>, elsewhere| {
            is_wanted(&workload("Deployment"), owner, None, elsewhere)
        };
        assert!(!is(None, 0), "deleted");
        assert!(
            is(Some(&owner(true, Some(1))), 0),
            "nobody can make the pod"
        );
        assert!(is(Some(&owner(true, None)), 0), "one by default");
        assert!(!is(Some(&owner(true, Some(1))), 1), "it is elsewhere");
        assert!(is(Some(&owner(true, Some(2))), 1));
        assert!(!is(Some(&owner(true, Some(0))), 0), "scaled away");
        assert!(
            !is(Some(&owner(false, Some(1))), 0),
            "no checkpoint is asked for"
        );
    }

    #[test]
    fn daemon_sets() {
        let node = json!({ "metadata": { "labels": { "role": "control-plane", "x": "" } } });
        let other = json!({ "metadata": { "labels": { "role": "worker" } } });
        for (node, elsewhere, expected) in [
            (Some(&node), 0, true),
            (Some(&node), 1, true),
            (Some(&other), 1, false),
            (Some(&other), 0, true),
            (None, 1, false),
            (None, 0, true),
        ] {
            let owner = owner(true, None);
            let found = is_wanted(&workload("DaemonSet"), Some(&owner), node, elsewhere);
            assert_eq!(found, expected, "{node:?} {elsewhere}");
        }
        assert!(!is_wanted(&workload("DaemonSet"), None, Some(&node), 0));
    }

    #[test]
    fn who_is_elsewhere() {
        let pod = |node: &str, ready: &str| {
            let owner = json!({ "kind": "DaemonSet", "name": "a", "controller": true });
            json!({
                "metadata": { "namespace": "kube-system", "name": "a-1", "ownerReferences": [owner] },
                "spec": { "nodeName": node },
                "status": { "conditions": [{ "type": "Ready", "status": ready }] },
            })
        };
        let pods = [
            pod("here", "True"),
            pod("there", "True"),
            pod("there", "False"),
        ];
        assert_eq!(elsewhere(&pods, &workload("DaemonSet"), "here"), 1);
        assert_eq!(elsewhere(&pods, &workload("Deployment"), "here"), 0);
    }

    #[test]
    fn where_it_is_asked_about() {
        let of = |kind: &str| path(&workload(kind));
        let expected = "/apis/apps/v1/namespaces/kube-system/daemonsets/a";
        assert_eq!(of("DaemonSet").as_deref(), Some(expected));
        assert!(of("Deployment").is_some_and(|path| path.contains("/deployments/")));
        assert_eq!(of("Pod"), None);
    }

    #[test]
    fn of_whom_nobody_can_be_asked_little_is_known() {
        let of = |kind: &str| (path(&workload(kind)), without_owner(&workload(kind)));
        assert_eq!(of("Pod"), (None, Some(false)));
        for kind in ["StatefulSet", "ReplicaSet", "CloneSet", ""] {
            assert_eq!(of(kind), (None, None), "{kind}");
        }
    }
}
