//! From a workload to the pod that it would have on this node.
//!
//! The workload says what should run; of the pods there may be none left. What the API server adds when it takes a
//! pod is added here too (`serviceaccount` admission: the token's volume and its mount).

use serde_json::{Map, Value, json};

use super::objects::Objects;
use crate::checkpoint::workload::text;

/// Where programs look for the token of their ServiceAccount.
const TOKEN_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN_VOLUME: &str = "kube-api-access";

/// This node.
#[derive(Clone, Debug)]
pub struct Here {
    /// Its name.
    pub name: String,
    /// Its addresses, the first one first.
    pub addresses: Vec<String>,
}

/// The pod named `name` of a workload's template.
pub fn pod(workload: &Value, name: &str, objects: &Objects, here: &Here) -> Value {
    let template = &workload["spec"]["template"];
    let ips: Vec<_> = (here.addresses.iter())
        .map(|ip| json!({ "ip": ip }))
        .collect();
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": workload["metadata"]["namespace"],
            "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"],
        },
        "spec": template["spec"],
        "status": { "hostIP": here.addresses.first(), "hostIPs": ips },
    });
    if pod["spec"]["hostNetwork"] == true {
        pod["status"]["podIP"] = pod["status"]["hostIP"].clone();
        pod["status"]["podIPs"] = pod["status"]["hostIPs"].clone();
    }
    if mounts_token(&pod["spec"], objects) {
        mount_token(&mut pod);
    }
    pod
}

fn account(spec: &Value) -> &str {
    match text(&spec["serviceAccountName"]) {
        "" => "default",
        name => name,
    }
}

/// The pod's own word counts more than its account's.
fn mounts_token(spec: &Value, objects: &Objects) -> bool {
    let own = spec["automountServiceAccountToken"].as_bool();
    let accounts = objects.get("ServiceAccount", account(spec));
    let shared = accounts.and_then(|one| one["automountServiceAccountToken"].as_bool());
    own.or(shared).unwrap_or(true)
}

fn mount_token(pod: &mut Value) {
    let mut used = false;
    for field in ["initContainers", "containers"] {
        let containers = pod["spec"].get_mut(field).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            used |= container.as_object_mut().is_some_and(add_mount);
        }
    }
    if used {
        push(&mut pod["spec"], "volumes", token_volume());
    }
}

/// Whether the container needed one: what is mounted there already stays.
fn add_mount(container: &mut Map<String, Value>) -> bool {
    let mounts = container.get("volumeMounts").and_then(Value::as_array);
    let mut mounts = mounts.into_iter().flatten();
    if mounts.any(|mount| mount["mountPath"] == TOKEN_FOLDER) {
        return false;
    }
    let mount = json!({ "name": TOKEN_VOLUME, "mountPath": TOKEN_FOLDER, "readOnly": true });
    let all = container.entry("volumeMounts").or_insert_with(|| json!([]));
    if let Some(all) = all.as_array_mut() {
        all.push(mount);
    }
    true
}

fn token_volume() -> Value {
    let namespace =
        json!({ "path": "namespace", "fieldRef": { "fieldPath": "metadata.namespace" } });
    json!({ "name": TOKEN_VOLUME, "projected": { "defaultMode": 420, "sources": [
        { "serviceAccountToken": { "path": "token", "expirationSeconds": 3607 } },
        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [namespace] } },
    ] } })
}

fn push(spec: &mut Value, field: &str, item: Value) {
    match spec[field].as_array_mut() {
        Some(all) => all.push(item),
        None => spec[field] = json!([item]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Here {
        Here {
            name: "node-b".into(),
            addresses: vec!["192.0.2.2".into()],
        }
    }

    fn workload(spec: &Value) -> Value {
        json!({ "metadata": { "namespace": "kube-system", "name": "a" }, "spec": { "template": { "spec": spec } } })
    }

    #[test]
    fn the_token_is_mounted_as_admission_does() {
        let own = json!({ "name": "x", "mountPath": TOKEN_FOLDER });
        let mut refusing = Objects::default();
        refusing.add(
            json!({ "kind": "ServiceAccount", "automountServiceAccountToken": false,
            "metadata": { "namespace": "kube-system", "name": "default" } }),
        );
        let none = Objects::default();
        let plain = json!({ "containers": [{ "name": "c" }] });
        for (spec, objects, volumes, mounts) in [
            (plain.clone(), &none, 1, 1),
            (plain.clone(), &refusing, 0, 0),
            (
                json!({ "containers": [{}], "automountServiceAccountToken": false }),
                &none,
                0,
                0,
            ),
            (
                json!({ "containers": [{}], "automountServiceAccountToken": true }),
                &refusing,
                1,
                1,
            ),
            (
                json!({ "containers": [{ "volumeMounts": [own] }] }),
                &none,
                0,
                1,
            ),
        ] {
            let pod = pod(&workload(&spec), "a", objects, &here());
            let count = |value: &Value| value.as_array().map_or(0, Vec::len);
            assert_eq!(count(&pod["spec"]["volumes"]), volumes, "{spec}");
            assert_eq!(
                count(&pod["spec"]["containers"][0]["volumeMounts"]),
                mounts,
                "{spec}"
            );
        }
    }

    #[test]
    fn a_pod_on_the_host_network_has_the_nodes_address() {
        for (host, address) in [(true, json!("192.0.2.2")), (false, Value::Null)] {
            let spec = json!({ "hostNetwork": host, "containers": [] });
            let pod = pod(&workload(&spec), "a", &Objects::default(), &here());
            assert_eq!(pod["status"]["podIP"], address);
            assert_eq!(pod["status"]["hostIP"], "192.0.2.2");
        }
    }
}
