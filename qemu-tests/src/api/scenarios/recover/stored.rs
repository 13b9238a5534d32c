//! What lies in etcd beside what the API answers of it.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use slipway::kube::Client;
use slipway::recover::decode;
use slipway::recover::encryption::Providers;

use crate::api::Cluster;
use crate::{process, wait};

/// The API server renews a Lease of its own meanwhile; then both are read again.
const LIMIT: Duration = Duration::from_secs(30);

/// Where the objects of a kind lie.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub api_version: &'static str,
    pub kind: &'static str,
    /// Behind `/registry/`.
    pub folder: &'static str,
    /// As an encryption configuration calls it.
    pub resource: &'static str,
}

const fn place(
    api_version: &'static str,
    kind: &'static str,
    folder: &'static str,
    resource: &'static str,
) -> Place {
    Place {
        api_version,
        kind,
        folder,
        resource,
    }
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";
/// Of every kind in the decoder's table.
pub const PLACES: [Place; 14] = [
    place("v1", "Secret", "secrets", "secrets"),
    place("v1", "ConfigMap", "configmaps", "configmaps"),
    place("v1", "ServiceAccount", "serviceaccounts", "serviceaccounts"),
    place("v1", "Node", "minions", "nodes"),
    place("v1", "Pod", "pods", "pods"),
    place("apps/v1", "DaemonSet", "daemonsets", "daemonsets.apps"),
    place("apps/v1", "Deployment", "deployments", "deployments.apps"),
    place("apps/v1", "ReplicaSet", "replicasets", "replicasets.apps"),
    place(
        "apps/v1",
        "ControllerRevision",
        "controllerrevisions",
        "controllerrevisions.apps",
    ),
    place(
        "coordination.k8s.io/v1",
        "Lease",
        "leases",
        "leases.coordination.k8s.io",
    ),
    place(RBAC, "Role", "roles", "roles.rbac.authorization.k8s.io"),
    place(
        RBAC,
        "RoleBinding",
        "rolebindings",
        "rolebindings.rbac.authorization.k8s.io",
    ),
    place(
        RBAC,
        "ClusterRole",
        "clusterroles",
        "clusterroles.rbac.authorization.k8s.io",
    ),
    place(
        RBAC,
        "ClusterRoleBinding",
        "clusterrolebindings",
        "clusterrolebindings.rbac.authorization.k8s.io",
    ),
];
/// Of the custom resources that the scenario defines.
pub const WIDGETS: Place = place(
    "example.com/v1",
    "Widget",
    "example.com/widgets",
    "widgets.example.com",
);

/// Where the scenario's objects are.
pub const NAMESPACE: &str = "stored";

/// A key and its value.
pub struct Entry {
    pub key: String,
    pub value: Vec<u8>,
    pub revision: String,
}

impl Place {
    /// All of them, in every namespace.
    pub fn path(&self) -> String {
        let plural = self.resource.split('.').next().unwrap_or_default();
        let api = if self.api_version == "v1" {
            "api"
        } else {
            "apis"
        };
        format!("/{api}/{}/{plural}", self.api_version)
    }

    /// What etcd has of them.
    pub fn stored(&self, cluster: &Cluster) -> Result<Vec<Entry>> {
        let mut command = cluster.etcdctl();
        let prefix = format!("/registry/{}/", self.folder);
        command.args(["get", "--prefix", &prefix, "--write-out=json"]);
        entries(&mut command)
    }

    /// Every stored object is decoded to exactly what the API answers, and the API has no other. Returns their keys.
    pub fn compare(
        &self,
        cluster: &Cluster,
        client: &Client,
        providers: &Providers,
    ) -> Result<Vec<String>> {
        wait::until(&format!("{} as the API has it", self.kind), LIMIT, || {
            let stored = self.stored(cluster)?;
            let mut listed = BTreeMap::new();
            for item in client.list(&self.path())?.items {
                listed.insert(self.key(&item), item);
            }
            ensure!(
                stored.len() == listed.len(),
                "{} stored, {} listed",
                stored.len(),
                listed.len()
            );
            for entry in &stored {
                let answer = listed
                    .get(&entry.key)
                    .with_context(|| format!("no {}", entry.key))?;
                let object = self.decode(providers, entry)?;
                same(&entry.key, answer, &object)?;
            }
            Ok(stored.into_iter().map(|entry| entry.key).collect())
        })
    }

    /// With what etcd and not the bytes say, and without what lists leave out.
    pub fn decode(&self, providers: &Providers, entry: &Entry) -> Result<Value> {
        let plain = providers.decrypt(self.resource, entry.key.as_bytes(), &entry.value)?;
        let decoded = decode::object(&entry.key, plain.expose())?;
        ensure!(
            decoded.unknown.is_empty(),
            "{}: {:?}",
            entry.key,
            decoded.unknown
        );
        let mut object = decoded.object;
        ensure!(
            object["apiVersion"] == self.api_version && object["kind"] == self.kind,
            "{}",
            entry.key
        );
        object["metadata"]["resourceVersion"] = json!(entry.revision);
        Ok(object)
    }

    /// The key under which an item of a list is stored.
    fn key(&self, item: &Value) -> String {
        let text = |key: &str| item["metadata"][key].as_str();
        let name = text("name").unwrap_or_default();
        match text("namespace") {
            Some(namespace) => format!("/registry/{}/{namespace}/{name}", self.folder),
            None => format!("/registry/{}/{name}", self.folder),
        }
    }
}

/// The path of one object.
pub fn path_of(object: &Value) -> Result<String> {
    let place = PLACES.iter().find(|place| object["kind"] == place.kind);
    let path = place
        .with_context(|| format!("no place of {}", object["kind"]))?
        .path();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let Some(namespace) = object["metadata"]["namespace"].as_str() else {
        return Ok(format!("{path}/{name}"));
    };
    let (api, plural) = path.rsplit_once('/').context("no path")?;
    Ok(format!("{api}/namespaces/{namespace}/{plural}/{name}"))
}

/// Keys and values that etcdctl prints as JSON.
fn entries(command: &mut Command) -> Result<Vec<Entry>> {
    let answer: Value = serde_json::from_str(&process::output(command)?)?;
    let entries = answer["kvs"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let entries = entries.iter().map(|entry| {
        let bytes = |key: &str| STANDARD.decode(entry[key].as_str().unwrap_or_default());
        Ok(Entry {
            key: String::from_utf8(bytes("key")?)?,
            value: bytes("value")?,
            revision: entry["mod_revision"].to_string(),
        })
    });
    entries.collect()
}

/// Equal to the last field; lists leave the kind of their items out.
fn same(key: &str, answer: &Value, object: &Value) -> Result<()> {
    let mut answer = answer.clone();
    for type_key in ["apiVersion", "kind"] {
        answer[type_key] = object[type_key].clone();
    }
    match difference("", &answer, object) {
        Some(difference) => bail!("{key}: {difference}"),
        None => Ok(()),
    }
}

/// The first place where two trees differ.
pub fn difference(path: &str, answer: &Value, object: &Value) -> Option<String> {
    match (answer, object) {
        (Value::Object(answer), Value::Object(object)) => {
            let keys = answer.keys().chain(object.keys());
            keys.into_iter()
                .find_map(|key| match (answer.get(key), object.get(key)) {
                    (Some(answer), Some(object)) => {
                        difference(&format!("{path}.{key}"), answer, object)
                    }
                    (answer, object) => Some(format!(
                        "{path}.{key}: the API has {answer:?}, decoded {object:?}"
                    )),
                })
        }
        (Value::Array(answer), Value::Array(object)) if answer.len() == object.len() => {
            let mut pairs = answer.iter().zip(object).enumerate();
            pairs.find_map(|(at, (answer, object))| {
                difference(&format!("{path}[{at}]"), answer, object)
            })
        }
        _ if answer == object => None,
        _ => Some(format!("{path}: the API has {answer}, decoded {object}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_found_wherever_it_is() {
        let tree = json!({"a": [{"b": 1}, null], "c": {}});
        assert_eq!(difference("", &tree, &tree), None);
        let cases = [
            (
                json!({"a": [{"b": 2}, null], "c": {}}),
                ".a[0].b: the API has 1",
            ),
            (json!({"a": [{"b": 1}], "c": {}}), ".a: the API has"),
            (json!({"a": [{"b": 1}, null]}), ".c: the API has Some"),
            (
                json!({"a": [{"b": 1}, null], "c": {}, "d": null}),
                ".d: the API has None",
            ),
            (
                json!({"a": [{"b": 1}, {}], "c": {}}),
                ".a[1]: the API has null",
            ),
        ];
        for (other, want) in cases {
            let got = difference("", &tree, &other).unwrap();
            assert!(got.starts_with(want), "{got}");
        }
    }
}
