//! Who trusts the cluster's authority by a copy of it that was read at a start: pure.
//!
//! Every pod with a ServiceAccount's token has `kube-root-ca.crt` beside it. The kubelet keeps that file up
//! to date, but only programs of Kubernetes 1.36 and later read it again, within five minutes. What this
//! asset directory brought is restarted; what others brought is named.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::Value;

use crate::hash::sha256;
use crate::start::plane::{self, Manifest};
use crate::start::ready::seconds;
use crate::tls;

/// On a pod template: which authorities were trusted when its pods were started.
pub const TRUSTS: &str = "slipway.dev/trusts";

/// The fingerprints of certificates (PEM), in whatever order they stand.
pub fn authorities(pem: &[u8]) -> Result<BTreeSet<String>> {
    if pem.is_empty() {
        return Ok(BTreeSet::new());
    }
    let ders = tls::certificates(pem)?;
    Ok(ders.iter().map(|der| sha256(der)).collect())
}

/// What [`TRUSTS`] says for these certificates (PEM).
pub fn mark(pem: &[u8]) -> Result<String> {
    let all: String = authorities(pem)?.into_iter().collect();
    Ok(sha256(all.as_bytes()))
}

/// The workloads whose pods have a token.
pub fn of(manifests: Vec<Manifest>) -> Vec<Manifest> {
    let has_token = |manifest: &Manifest| {
        let pod = &manifest.object["spec"]["template"]["spec"];
        !pod.is_null() && pod["automountServiceAccountToken"] != false
    };
    manifests.into_iter().filter(has_token).collect()
}

/// The namespaces whose copy, among all ConfigMaps `kube-root-ca.crt`, is not `authorities`.
pub fn behind<'a>(copies: &'a [Value], authorities: &str) -> Vec<&'a str> {
    let is_new = |copy: &&Value| {
        let text = copy["data"]["ca.crt"].as_str();
        text.is_some_and(|text| text.trim() == authorities.trim())
    };
    let behind = copies.iter().filter(|copy| !is_new(copy));
    behind
        .filter_map(|copy| copy["metadata"]["namespace"].as_str())
        .collect()
}

/// Whose pods were started before their namespace's copy last changed: `KIND NAMESPACE/NAME`, but for the
/// workloads in `ours`.
pub fn strangers(pods: &[Value], copies: &[Value], ours: &[Manifest]) -> BTreeSet<String> {
    let mut changed = BTreeMap::new();
    for copy in copies {
        let managers = copy["metadata"]["managedFields"].as_array();
        let times = managers
            .into_iter()
            .flatten()
            .filter_map(|one| seconds(&one["time"]));
        changed.insert(plane::namespace(copy), times.max());
    }
    let ours: BTreeSet<_> = ours
        .iter()
        .map(|one| owner_text(&one.object["kind"], one))
        .collect();
    let old = pods.iter().filter(|pod| {
        let changed = changed.get(&plane::namespace(pod)).copied().flatten();
        reads_copy(pod) && seconds(&pod["metadata"]["creationTimestamp"]) <= changed
    });
    old.map(workload)
        .filter(|name| !ours.contains(name))
        .collect()
}

fn owner_text(kind: &Value, manifest: &Manifest) -> String {
    let (namespace, name) = (
        plane::namespace(&manifest.object),
        plane::name(&manifest.object),
    );
    format!("{} {namespace}/{name}", kind.as_str().unwrap_or_default())
}

fn reads_copy(pod: &Value) -> bool {
    let volumes = pod["spec"]["volumes"].as_array();
    let sources = volumes
        .into_iter()
        .flatten()
        .filter_map(|volume| volume["projected"]["sources"].as_array());
    sources
        .flatten()
        .any(|source| source["configMap"]["name"] == "kube-root-ca.crt")
}

/// What a person restarts to have a pod replaced.
fn workload(pod: &Value) -> String {
    let (namespace, pod_name) = (plane::namespace(pod), plane::name(pod));
    let owner = &pod["metadata"]["ownerReferences"][0];
    match (owner["kind"].as_str(), owner["name"].as_str()) {
        (Some("ReplicaSet"), Some(name)) => {
            let name = name.rsplit_once('-').map_or(name, |(name, _)| name);
            format!("Deployment {namespace}/{name}")
        }
        (Some(kind), Some(name)) => format!("{kind} {namespace}/{name}"),
        _ => format!("Pod {namespace}/{pod_name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest(kind: &str, name: &str, pod: &Value) -> Manifest {
        Manifest {
            file: String::new(),
            object: json!({"kind": kind, "metadata": {"namespace": "kube-system", "name": name},
                           "spec": {"template": {"spec": pod}}}),
        }
    }

    #[test]
    fn only_pods_with_a_token_are_clients() {
        let all = vec![
            manifest(
                "DaemonSet",
                "kube-apiserver",
                &json!({"automountServiceAccountToken": false}),
            ),
            manifest("Deployment", "coredns", &json!({"containers": []})),
            manifest("ConfigMap", "coredns", &Value::Null),
        ];
        let clients = of(all);
        assert_eq!(clients.len(), 1);
        assert_eq!(plane::name(&clients[0].object), "coredns");
        assert_eq!(clients[0].object["kind"], "Deployment");
    }

    fn copy(namespace: &str, text: &str, time: &str) -> Value {
        json!({"metadata": {"namespace": namespace, "managedFields": [{"time": time}]},
               "data": {"ca.crt": text}})
    }

    #[test]
    fn a_copy_is_behind_until_it_is_the_same() {
        let copies = [
            copy("a", "new\n", "2026-11-25T10:00:00Z"),
            copy("b", "old\n", "2026-11-25T10:00:00Z"),
        ];
        assert_eq!(behind(&copies, "new"), ["b"]);
    }

    #[test]
    fn strangers_are_named_by_what_replaces_them() {
        let pod = |name: &str, kind: &str, owner: &str, at: &str, volume: &str| {
            let owners = match kind {
                "" => json!([]),
                kind => json!([{"kind": kind, "name": owner}]),
            };
            json!({
                "metadata": {"namespace": "kube-system", "name": name, "creationTimestamp": at,
                             "ownerReferences": owners},
                "spec": {"volumes": [{"projected": {"sources": [{"configMap": {"name": volume}}]}}]},
            })
        };
        let (before, after) = ("2026-11-25T09:59:59Z", "2026-11-25T10:00:01Z");
        let root = "kube-root-ca.crt";
        let pods = [
            pod("web-5f-x", "ReplicaSet", "web-5f", before, root),
            pod("web-5f-y", "ReplicaSet", "web-5f", before, root),
            pod("new-1-x", "ReplicaSet", "new-1", after, root),
            pod("db-0", "StatefulSet", "db", before, root),
            pod("coredns-7-x", "ReplicaSet", "coredns-7", before, root),
            pod("alone", "", "", before, root),
            pod("tokenless", "", "", before, "other"),
        ];
        let copies = [copy("kube-system", "x", "2026-11-25T10:00:00Z")];
        let ours = [manifest("Deployment", "coredns", &json!({}))];
        let found: Vec<_> = strangers(&pods, &copies, &ours).into_iter().collect();
        assert_eq!(
            found,
            [
                "Deployment kube-system/web",
                "Pod kube-system/alone",
                "StatefulSet kube-system/db"
            ]
        );
    }
}
