//! What is asked for: the words of the page, and the paths that they mean.

use anyhow::Result;
use serde_json::Value;

use super::objects::{
    binding, config_map, eviction, lease, nothing, pod, request, secret, service, slice, token,
};

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
        // All but to create it.
        verbs: ALL.split_at(1).1,
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
