//! What is asked for: the words of the page, and the paths that they mean.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::{Value, json};

/// The node whose user asks.
pub const NODE: &str = "node-a";
const OTHER: &str = "node-b";
const ITEM: [&str; 4] = ["delete", "get", "patch", "update"];
const STATUS: [&str; 3] = ["get", "patch", "update"];
const ALL: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
/// Of users who are no kubelets.
const ANY_CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const SERVING: &str = "kubernetes.io/kubelet-serving";

/// What a line is about.
pub struct Thing {
    pub phrase: &'static str,
    /// Listed, watched, and what is created is posted to it.
    pub collection: &'static str,
    /// Everything else.
    pub item: &'static str,
    /// Those that are tried.
    pub verbs: &'static [&'static str],
    /// What is posted. Where nobody may create, nothing: who may not is refused before it is read.
    pub body: fn() -> Result<Value>,
}

/// Every line of the page.
pub const THINGS: [Thing; 36] = [
    Thing {
        phrase: "pods of this node",
        collection: "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-a",
        item: "/api/v1/namespaces/kube-system/pods/here",
        verbs: &["delete", "get", "list", "patch", "update", "watch"],
        body: nothing,
    },
    Thing {
        phrase: "pods of another node",
        collection: "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-b",
        item: "/api/v1/namespaces/kube-system/pods/there",
        verbs: &["delete", "get", "list", "patch", "update", "watch"],
        body: nothing,
    },
    Thing {
        phrase: "the status of a pod of this node",
        collection: "",
        item: "/api/v1/namespaces/kube-system/pods/here/status",
        verbs: &STATUS,
        body: nothing,
    },
    Thing {
        phrase: "the status of a pod of another node",
        collection: "",
        item: "/api/v1/namespaces/kube-system/pods/there/status",
        verbs: &STATUS,
        body: nothing,
    },
    Thing {
        phrase: "pods of all nodes",
        collection: "/api/v1/pods",
        item: "",
        verbs: &["list", "watch"],
        body: nothing,
    },
    Thing {
        phrase: "new pods",
        collection: "/api/v1/namespaces/kube-system/pods",
        item: "",
        verbs: &["create"],
        body: pod,
    },
    Thing {
        phrase: "pods all at once",
        collection: "/api/v1/namespaces/kube-system/pods",
        item: "",
        verbs: &["deletecollection"],
        body: nothing,
    },
    Thing {
        phrase: "eviction of a pod of this node",
        collection: "/api/v1/namespaces/kube-system/pods/here/eviction",
        item: "",
        verbs: &["create"],
        body: || Ok(eviction("here")),
    },
    Thing {
        phrase: "eviction of a pod of another node",
        collection: "/api/v1/namespaces/kube-system/pods/there/eviction",
        item: "",
        verbs: &["create"],
        body: || Ok(eviction("there")),
    },
    Thing {
        phrase: "exec in pods",
        collection: "/api/v1/namespaces/kube-system/pods/here/exec",
        item: "",
        verbs: &["create"],
        body: nothing,
    },
    Thing {
        phrase: "bindings of pods",
        collection: "/api/v1/namespaces/kube-system/pods/nowhere/binding",
        item: "",
        verbs: &["create"],
        body: binding,
    },
    Thing {
        phrase: "a Secret of a pod of this node",
        collection: "",
        item: "/api/v1/namespaces/kube-system/secrets/here",
        verbs: &ITEM,
        body: nothing,
    },
    Thing {
        phrase: "a ConfigMap of a pod of this node",
        collection: "",
        item: "/api/v1/namespaces/kube-system/configmaps/here",
        verbs: &ITEM,
        body: nothing,
    },
    Thing {
        phrase: "a Secret of another node's pod",
        collection: "",
        item: "/api/v1/namespaces/kube-system/secrets/there",
        verbs: &ITEM,
        body: nothing,
    },
    Thing {
        phrase: "a ConfigMap of another node's pod",
        collection: "",
        item: "/api/v1/namespaces/kube-system/configmaps/there",
        verbs: &ITEM,
        body: nothing,
    },
    Thing {
        phrase: "other Secrets",
        collection: "/api/v1/namespaces/kube-system/secrets",
        item: "/api/v1/namespaces/kube-system/secrets/nowhere",
        verbs: &ALL,
        body: secret,
    },
    Thing {
        phrase: "other ConfigMaps",
        collection: "/api/v1/namespaces/kube-system/configmaps",
        item: "/api/v1/namespaces/kube-system/configmaps/nowhere",
        verbs: &ALL,
        body: config_map,
    },
    Thing {
        phrase: "this Node",
        collection: "",
        item: "/api/v1/nodes/node-a",
        verbs: &ITEM,
        body: nothing,
    },
    Thing {
        phrase: "the status of this Node",
        collection: "",
        item: "/api/v1/nodes/node-a/status",
        verbs: &STATUS,
        body: nothing,
    },
    Thing {
        phrase: "another Node",
        collection: "/api/v1/nodes",
        item: "/api/v1/nodes/node-b",
        verbs: &[
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
            "watch",
        ],
        body: nothing,
    },
    Thing {
        phrase: "the status of another Node",
        collection: "",
        item: "/api/v1/nodes/node-b/status",
        verbs: &STATUS,
        body: nothing,
    },
    Thing {
        phrase: "another Node's kubelet, through the API",
        collection: "/api/v1/nodes/node-b/proxy/pods",
        item: "/api/v1/nodes/node-b/proxy/pods",
        verbs: &["create", "get"],
        body: nothing,
    },
    Thing {
        phrase: "Services",
        collection: "/api/v1/namespaces/kube-system/services",
        item: "/api/v1/namespaces/kube-system/services/other",
        verbs: &ALL,
        body: service,
    },
    Thing {
        phrase: "EndpointSlices",
        collection: "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices",
        item: "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/other",
        verbs: &ALL,
        body: slice,
    },
    Thing {
        phrase: "DaemonSets",
        collection: "/apis/apps/v1/namespaces/kube-system/daemonsets",
        item: "/apis/apps/v1/namespaces/kube-system/daemonsets/pod-checkpointer",
        verbs: &ALL,
        body: nothing,
    },
    Thing {
        phrase: "Deployments",
        collection: "/apis/apps/v1/namespaces/kube-system/deployments",
        item: "/apis/apps/v1/namespaces/kube-system/deployments/kube-scheduler",
        verbs: &ALL,
        body: nothing,
    },
    Thing {
        phrase: "Lease kube-controller-manager",
        collection: "",
        item: "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager",
        verbs: &ITEM,
        body: nothing,
    },
    Thing {
        phrase: "Lease kube-scheduler",
        collection: "",
        item: "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler",
        verbs: &ITEM,
        body: nothing,
    },
    Thing {
        phrase: "other Leases",
        collection: "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases",
        item: "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/other",
        verbs: &ALL,
        body: lease,
    },
    Thing {
        phrase: "a Lease kube-scheduler of another namespace",
        collection: "",
        item: "/apis/coordination.k8s.io/v1/namespaces/default/leases/kube-scheduler",
        verbs: &ITEM,
        body: nothing,
    },
    Thing {
        phrase: "certificate requests",
        collection: "/apis/certificates.k8s.io/v1/certificatesigningrequests",
        item: "/apis/certificates.k8s.io/v1/certificatesigningrequests/serving",
        verbs: &ALL,
        body: request,
    },
    Thing {
        phrase: "approval of a kubelet's serving certificate",
        collection: "",
        item: "/apis/certificates.k8s.io/v1/certificatesigningrequests/serving/approval",
        verbs: &["update"],
        body: nothing,
    },
    Thing {
        phrase: "approval of a kubelet's client certificate",
        collection: "",
        item: "/apis/certificates.k8s.io/v1/certificatesigningrequests/client/approval",
        verbs: &["update"],
        body: nothing,
    },
    Thing {
        phrase: "approval of another client's certificate",
        collection: "",
        item: "/apis/certificates.k8s.io/v1/certificatesigningrequests/other/approval",
        verbs: &["update"],
        body: nothing,
    },
    Thing {
        phrase: "ClusterRoles",
        collection: "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        item: "/apis/rbac.authorization.k8s.io/v1/clusterroles/pod-checkpointer",
        verbs: &ALL,
        body: nothing,
    },
    Thing {
        phrase: "tokens of accounts",
        collection: "/api/v1/namespaces/kube-system/serviceaccounts/other/token",
        item: "",
        verbs: &["create"],
        body: token,
    },
];

/// What they are done to, besides what is rendered.
pub fn objects() -> Result<Vec<Value>> {
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

fn request() -> Result<Value> {
    request_of("new", SERVING, "server auth")
}

fn nothing() -> Result<Value> {
    Ok(json!({}))
}

fn secret() -> Result<Value> {
    Ok(named("v1", "Secret", "new"))
}

fn config_map() -> Result<Value> {
    Ok(named("v1", "ConfigMap", "new"))
}

fn lease() -> Result<Value> {
    Ok(named(LEASES, "Lease", "new"))
}

fn service() -> Result<Value> {
    Ok(service_named("new"))
}

fn service_named(name: &str) -> Value {
    let mut service = named("v1", "Service", name);
    service["spec"] = json!({"ports": [{"port": 80}]});
    service
}

fn slice() -> Result<Value> {
    Ok(slice_named("new"))
}

fn slice_named(name: &str) -> Value {
    let mut slice = named("discovery.k8s.io/v1", "EndpointSlice", name);
    slice["addressType"] = json!("IPv4");
    slice["endpoints"] = json!([]);
    slice
}

fn eviction(pod: &str) -> Value {
    named("policy/v1", "Eviction", pod)
}

/// One that names the Secret of another node's: what a stolen node would make.
fn pod() -> Result<Value> {
    Ok(pod_that_reads("new", Some(NODE), "there"))
}

fn binding() -> Result<Value> {
    let mut binding = named("v1", "Binding", "nowhere");
    binding["target"] = json!({"apiVersion": "v1", "kind": "Node", "name": NODE});
    Ok(binding)
}

fn token() -> Result<Value> {
    Ok(json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}))
}
