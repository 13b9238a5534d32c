//! What arguments and patches must not change, because the launch stands on it.
//!
//! Only what no server would refuse and what would leave a launch waiting without a word: an object
//! under another name, a selector that no longer finds its pods, a door that moved (docs/design.md
//! §5), a static pod that the kubelet denies. Everything else is the user's to judge.

use serde_json::Value;

use super::arguments::{names, values};
use super::{container_of, pod_spec};
use crate::config::{COMPONENTS, protected};

/// What every object keeps.
const OF_OBJECTS: [&str; 5] = [
    "/apiVersion",
    "/kind",
    "/metadata/name",
    "/metadata/namespace",
    "/spec/selector",
];
/// What the pods of components keep: two processes share a port only on one network and as one user.
const OF_PODS: [&str; 3] = [
    "/hostNetwork",
    "/securityContext/runAsUser",
    "/securityContext/runAsGroup",
];
/// What their containers keep; a declared port would be taken on the host, and a roll needs it twice.
const OF_CONTAINERS: [&str; 3] = [
    "/ports",
    "/securityContext/runAsUser",
    "/securityContext/runAsGroup",
];
/// The one component that is free of them: its pods have a network of their own.
const ANYWHERE: &str = "coredns";
/// Fields of a pod by which it names an object of the API.
const REFERENCES: [&str; 16] = [
    "clusterTrustBundle",
    "configMap",
    "configMapKeyRef",
    "configMapRef",
    "csi",
    "ephemeral",
    "imagePullSecrets",
    "persistentVolumeClaim",
    "podCertificate",
    "resourceClaims",
    "secret",
    "secretKeyRef",
    "secretRef",
    "serviceAccount",
    "serviceAccountName",
    "serviceAccountToken",
];

/// Compares an object before and after a change.
pub fn check(before: &Value, after: &Value) -> Result<(), String> {
    pointers(&OF_OBJECTS, before, after)?;
    labels(after)?;
    let (Some(pod_before), Some(pod)) = (pod_spec(before), pod_spec(after)) else {
        return Ok(());
    };
    if after["kind"] == "Pod"
        && let Some(field) = reference(pod)
    {
        return Err(format!(
            "{field} names an object of the API, and the kubelet denies a static pod that does"
        ));
    }
    for component in COMPONENTS.into_iter().filter(|name| *name != ANYWHERE) {
        let Some(old) = container_of(pod_before, component) else {
            continue;
        };
        let Some(new) = container_of(pod, component) else {
            return Err(format!("the container {component} must stay"));
        };
        pointers(&OF_PODS, pod_before, pod)?;
        pointers(&OF_CONTAINERS, old, new)?;
        flags(component, old, new)?;
    }
    Ok(())
}

fn pointers(paths: &[&str], before: &Value, after: &Value) -> Result<(), String> {
    let changed = |path: &&&str| before.pointer(path) != after.pointer(path);
    match paths.iter().find(changed) {
        None => Ok(()),
        Some(path) => Err(format!(
            "{} must stay as it is",
            path[1..].replace('/', ".")
        )),
    }
}

/// The pods that a workload makes must be those that it looks for.
fn labels(object: &Value) -> Result<(), String> {
    let wanted = object.pointer("/spec/selector/matchLabels");
    let Some(template) = object.pointer("/spec/template") else {
        return Ok(());
    };
    let labels = &template["metadata"]["labels"];
    let mut wanted = wanted.and_then(Value::as_object).into_iter().flatten();
    match wanted.find(|(name, value)| labels[name.as_str()] != **value) {
        None => Ok(()),
        Some((name, _)) => Err(format!(
            "the label {name} of spec.template must stay; spec.selector looks for it"
        )),
    }
}

/// What `arguments:` may not set, patches may not either.
fn flags(component: &str, old: &Value, new: &Value) -> Result<(), String> {
    for name in names(old).into_iter().chain(names(new)) {
        let Some(instead) = protected(component, &name) else {
            continue;
        };
        if values(old, &name) != values(new, &name) {
            return Err(format!("--{name} must stay as it is; {instead}"));
        }
    }
    Ok(())
}

fn reference(value: &Value) -> Option<&str> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let names = REFERENCES.contains(&key.as_str()) && !value.is_null();
            names.then_some(key.as_str()).or_else(|| reference(value))
        }),
        Value::Array(items) => items.iter().find_map(reference),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "kube-scheduler", "namespace": "kube-system"},
            "spec": {
                "selector": {"matchLabels": {"k8s-app": "kube-scheduler"}},
                "template": {
                    "metadata": {"labels": {"k8s-app": "kube-scheduler"}},
                    "spec": {
                        "hostNetwork": true,
                        "containers": [{"name": "kube-scheduler", "args": ["--secure-port=10259", "--v=2"]}],
                    },
                },
            },
        })
    }

    fn static_pod() -> Value {
        let containers = json!([{"name": "kube-apiserver", "args": ["--secure-port=6443"]}]);
        json!({"kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": containers}})
    }

    fn set(object: Value, pointer: &str, value: Value) -> (Value, Value) {
        let mut after = object.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        after.pointer_mut(parent).unwrap()[key] = value;
        (object, after)
    }

    #[test]
    fn what_the_launch_stands_on_stays() {
        let pod = "/spec/template/spec";
        let args = format!("{pod}/containers/0");
        let table = [
            (
                set(deployment(), "/metadata/name", json!("x")),
                "metadata.name must stay",
            ),
            (
                set(deployment(), "/metadata/namespace", json!("x")),
                "metadata.namespace must stay",
            ),
            (
                set(deployment(), "/kind", json!("DaemonSet")),
                "kind must stay",
            ),
            (
                set(deployment(), "/spec/selector", json!({})),
                "spec.selector must stay",
            ),
            (
                set(
                    deployment(),
                    "/spec/template/metadata/labels",
                    json!({"a": "b"}),
                ),
                "the label k8s-app",
            ),
            (
                set(deployment(), &format!("{pod}/hostNetwork"), json!(false)),
                "hostNetwork must stay",
            ),
            (
                set(
                    deployment(),
                    &format!("{pod}/securityContext"),
                    json!({"runAsUser": 1}),
                ),
                "securityContext.runAsUser",
            ),
            (
                set(deployment(), &format!("{pod}/containers"), json!([])),
                "the container kube-scheduler must stay",
            ),
            (
                set(
                    deployment(),
                    &format!("{args}/ports"),
                    json!([{"containerPort": 1}]),
                ),
                "ports must stay",
            ),
            (
                set(deployment(), &format!("{args}/args"), json!([])),
                "--secure-port must stay",
            ),
            (
                set(
                    static_pod(),
                    "/spec/containers/0/args",
                    json!(["--secure-port=1"]),
                ),
                "--secure-port must stay as it is; use api.port",
            ),
            (
                set(static_pod(), "/spec/serviceAccountName", json!("x")),
                "the kubelet denies",
            ),
            (
                set(
                    static_pod(),
                    "/spec/containers/0/envFrom",
                    json!([{"secretRef": {"name": "a"}}]),
                ),
                "secretRef names",
            ),
        ];
        for ((before, after), expected) in table {
            let error = check(&before, &after).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn everything_else_is_the_users() {
        let pod = "/spec/template/spec";
        let volumes = json!([{"name": "a", "configMap": {"name": "a"}}]);
        let labels = json!({"k8s-app": "kube-scheduler", "team": "a"});
        let table = [
            set(
                deployment(),
                &format!("{pod}/nodeSelector"),
                json!({"a": "b"}),
            ),
            set(deployment(), &format!("{pod}/volumes"), volumes),
            set(
                deployment(),
                &format!("{pod}/containers/0/args"),
                json!(["--v=9", "--secure-port=10259"]),
            ),
            set(deployment(), "/spec/template/metadata/labels", labels),
            set(deployment(), "/metadata/annotations", json!({"a": "b"})),
            set(
                static_pod(),
                "/spec/volumes",
                json!([{"name": "a", "hostPath": {"path": "/a"}}]),
            ),
        ];
        for (before, after) in table {
            assert_eq!(check(&before, &after), Ok(()), "{after}");
        }
    }
}
