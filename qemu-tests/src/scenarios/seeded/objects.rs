//! The objects themselves: the same bytes each time, of several sizes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Size;
use crate::payload::images::PROBER;

/// Where everything lies.
pub const NAMESPACE: &str = "seeded";
/// The account that tokens are issued for.
pub const ACCOUNT: &str = "keeper";
/// The label of what is seeded.
pub const LABEL: &str = "slipway.dev/seeded";
/// The path of the definition's objects.
pub const CUSTOM: &str = "/apis/harbour.example.com/v1/namespaces/seeded/buoys";

/// What the others need.
pub fn first() -> [Value; 3] {
    [
        object("v1", "Namespace", NAMESPACE, json!({})),
        object("v1", "ServiceAccount", ACCOUNT, json!({})),
        definition(),
    ]
}

/// Everything else.
pub fn all(size: Size) -> impl Iterator<Item = Value> {
    let maps = (0..size.maps).map(config_map);
    let secrets = (0..size.secrets).map(secret);
    let custom = (0..size.custom).map(buoy);
    // Their pods start while the rest is seeded.
    let deployments = (0..size.deployments).map(deployment);
    deployments.chain(secrets).chain(custom).chain(maps)
}

fn object(version: &str, kind: &str, name: &str, more: Value) -> Value {
    let mut object = more;
    object["apiVersion"] = version.into();
    object["kind"] = kind.into();
    object["metadata"] = json!({ "name": name, "labels": { LABEL: "true" } });
    if !matches!(kind, "Namespace" | "CustomResourceDefinition") {
        object["metadata"]["namespace"] = NAMESPACE.into();
    }
    object
}

/// Up to some two kilobytes, with what protobuf and JSON write differently.
fn config_map(number: usize) -> Value {
    let text = format!("cargo {number}, ü\n").repeat(1 + number % 127);
    let bytes = STANDARD.encode([number.to_le_bytes(); 3].concat());
    let data = json!({ "data": { "manifest": text, "number": number.to_string() }, "binaryData": { "seal": bytes } });
    object("v1", "ConfigMap", &format!("map-{number:05}"), data)
}

fn secret(number: usize) -> Value {
    let value = STANDARD.encode(format!("a secret of seeded-{number}").repeat(1 + number % 31));
    let data = json!({ "type": "Opaque", "data": { "word": value } });
    object("v1", "Secret", &format!("secret-{number:04}"), data)
}

fn buoy(number: usize) -> Value {
    let spec = json!({ "spec": { "depth": number, "lights": ["red", "green"], "note": null } });
    let version = "harbour.example.com/v1";
    object(version, "Buoy", &format!("buoy-{number:03}"), spec)
}

fn definition() -> Value {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let spec = json!({ "spec": {
        "group": "harbour.example.com", "scope": "Namespaced",
        "names": { "kind": "Buoy", "plural": "buoys", "singular": "buoy" },
        "versions": [{ "name": "v1", "served": true, "storage": true,
            "schema": { "openAPIV3Schema": schema } }],
    } });
    let version = "apiextensions.k8s.io/v1";
    let name = "buoys.harbour.example.com";
    object(version, "CustomResourceDefinition", name, spec)
}

fn deployment(number: usize) -> Value {
    let name = format!("runner-{number}");
    let labels = json!({ "app": name });
    let spec = json!({ "spec": {
        "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": pod_spec() },
    } });
    object("apps/v1", "Deployment", &name, spec)
}

/// A pod of its own, which a token is bound to.
pub fn pod(name: &str) -> Value {
    object("v1", "Pod", name, json!({ "spec": pod_spec() }))
}

fn pod_spec() -> Value {
    json!({
        "serviceAccountName": ACCOUNT,
        "containers": [{
            "name": "runner", "image": PROBER, "imagePullPolicy": "Never", "args": ["--serve=8080"],
            "readinessProbe": { "httpGet": { "port": 8080 } },
        }],
    })
}
