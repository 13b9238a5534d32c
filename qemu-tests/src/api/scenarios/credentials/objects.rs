//! What is asked for, as objects: those that are there, and those that are posted.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::{Value, json};

/// The node whose user asks.
pub const NODE: &str = "node-a";
const OTHER: &str = "node-b";
/// Of users who are no kubelets.
const ANY_CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const SERVING: &str = "kubernetes.io/kubelet-serving";

/// What they are done to, besides what is rendered.
pub fn all() -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for name in [NODE, OTHER] {
        objects.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}));
    }
    objects.push(named("v1", "ServiceAccount", "other"));
    for (name, node) in [
        ("here", Some(NODE)),
        ("there", Some(OTHER)),
        ("nowhere", None),
    ] {
        objects.push(named("v1", "Secret", name));
        objects.push(named("v1", "ConfigMap", name));
        let reads = if node.is_some() { name } else { "missing" };
        objects.push(pod_that_reads(name, node, reads));
    }
    for name in ["kube-controller-manager", "kube-scheduler", "other"] {
        objects.push(named(LEASES, "Lease", name));
    }
    let mut elsewhere = named(LEASES, "Lease", "kube-scheduler");
    elsewhere["metadata"]["namespace"] = json!("default");
    objects.push(elsewhere);
    objects.push(service_named("other"));
    objects.push(slice_named("other"));
    objects.push(request_of("serving", SERVING, "server auth")?);
    objects.push(request_of("client", CLIENT, "client auth")?);
    objects.push(request_of("other", ANY_CLIENT, "client auth")?);
    Ok(objects)
}

const LEASES: &str = "coordination.k8s.io/v1";

fn named(version: &str, kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": version, "kind": kind,
        "metadata": {"name": name, "namespace": "kube-system"},
    })
}

fn pod_that_reads(name: &str, node: Option<&str>, reads: &str) -> Value {
    let mut pod = named("v1", "Pod", name);
    pod["spec"] = json!({
        "containers": [{"name": "a", "image": "a"}],
        "volumes": [
            {"name": "secret", "secret": {"secretName": reads}},
            {"name": "config", "configMap": {"name": reads}},
        ],
    });
    if let Some(node) = node {
        pod["spec"]["nodeName"] = json!(node);
    }
    pod
}

/// A request of the node's, as its kubelet makes them.
fn request_of(name: &str, signer: &str, usage: &str) -> Result<Value> {
    let hosts = if signer == SERVING {
        vec![NODE.to_owned()]
    } else {
        Vec::new()
    };
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    let subject = &mut params.distinguished_name;
    subject.push(DnType::OrganizationName, "system:nodes");
    subject.push(DnType::CommonName, format!("system:node:{NODE}"));
    let pem = params.serialize_request(&KeyPair::generate()?)?.pem()?;
    Ok(json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": STANDARD.encode(pem), "signerName": signer,
            "usages": ["digital signature", usage],
        },
    }))
}

pub fn request() -> Result<Value> {
    request_of("new", SERVING, "server auth")
}

pub fn nothing() -> Result<Value> {
    Ok(json!({}))
}

pub fn secret() -> Result<Value> {
    Ok(named("v1", "Secret", "new"))
}

pub fn config_map() -> Result<Value> {
    Ok(named("v1", "ConfigMap", "new"))
}

pub fn lease() -> Result<Value> {
    Ok(named(LEASES, "Lease", "new"))
}

pub fn service() -> Result<Value> {
    Ok(service_named("new"))
}

fn service_named(name: &str) -> Value {
    let mut service = named("v1", "Service", name);
    service["spec"] = json!({"ports": [{"port": 80}]});
    service
}

pub fn slice() -> Result<Value> {
    Ok(slice_named("new"))
}

fn slice_named(name: &str) -> Value {
    let mut slice = named("discovery.k8s.io/v1", "EndpointSlice", name);
    slice["addressType"] = json!("IPv4");
    slice["endpoints"] = json!([]);
    slice
}

pub fn eviction(pod: &str) -> Value {
    named("policy/v1", "Eviction", pod)
}

/// One that names the Secret of another node's: what a stolen node would make.
pub fn pod() -> Result<Value> {
    Ok(pod_that_reads("new", Some(NODE), "there"))
}

pub fn binding() -> Result<Value> {
    let mut binding = named("v1", "Binding", "nowhere");
    binding["target"] = json!({"apiVersion": "v1", "kind": "Node", "name": NODE});
    Ok(binding)
}

pub fn token() -> Result<Value> {
    Ok(json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}))
}
