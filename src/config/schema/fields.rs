//! The fields as a table: path, shape, whether it has to be there, and what an editor shows of it.

use super::super::{API_VERSION, KIND, KUBERNETES_VERSION};

const NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const LABEL: &str = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";
const NODE_NAMES: &str = "^[-.a-z0-9]*\\*?[-.a-z0-9]*$";
const ALT_NAME: &str = "^(\\*\\.)?[0-9A-Za-z:.-]+$";
const ENDPOINT: &str = "^[0-9A-Za-z.:\\[\\]-]+$";
const ADDRESS: &str = "^[0-9A-Fa-f:.]+$";
const NETWORK: &str = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$";
const DURATION: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
const FILE: &str = "^[0-9A-Za-z_][0-9A-Za-z._-]*$";
const CERTIFICATES: &str = "-----BEGIN CERTIFICATE-----";
const LEVELS: &[&str] = &["privileged", "baseline", "restricted"];
/// No text of a document is longer.
const ANY: usize = 65_536;

/// A field of the document.
pub struct Field {
    pub path: &'static str,
    pub shape: Shape,
    pub need: Need,
    pub about: &'static str,
}

/// What a field holds.
pub enum Shape {
    Const(&'static str),
    Choice(&'static [&'static str]),
    /// A text that matches, of at most so many characters.
    Text(&'static str, usize),
    /// A list of texts that match.
    Texts(&'static str),
    /// A text that matches, or a list of two.
    OneOrTwo(&'static str),
    Port,
    /// A whole number from the first to the second.
    Count(i64, i64),
    Sensitive,
    /// A mapping whose fields are somebody else's.
    Mapping,
    /// A registry, and an image for each component.
    Images,
    /// Flags for each component.
    Arguments,
    /// Operations of RFC 6902.
    Operations,
    /// JWTAuthenticators.
    Authenticators,
}

/// Whether a field has to be there, and what it is otherwise.
pub enum Need {
    Required,
    Default(&'static str),
    Optional,
}

use Need::{Default, Optional, Required};
use Shape::{
    Arguments, Authenticators, Choice, Const, Count, Images, Mapping, OneOrTwo, Operations, Port,
    Sensitive, Text, Texts,
};

const fn field(path: &'static str, shape: Shape, need: Need, about: &'static str) -> Field {
    Field {
        path,
        shape,
        need,
        about,
    }
}

/// What a field is on its first line, what it is for on its second.
#[rustfmt::skip]
pub const FIELDS: [Field; 61] = [
    field("apiVersion", Const(API_VERSION), Required,
        "The version of this format."),
    field("kind", Const(KIND), Required,
        "What the document describes."),
    field("role", Choice(&["control-plane", "worker"]), Default("control-plane"),
        "What this node does in its cluster."),
    field("controlPlane", Choice(&["self-hosted", "static"]), Default("self-hosted"),
        "What carries the control plane: objects of its own API, or static pods that stay."),
    field("launch", Choice(&["auto", "wait"]), Default("auto"),
        "What the machine does at its first boot: begin a new cluster, or wait for slipway recover."),
    field("node.name", Text(NAME, 63), Required,
        "The Node object's name and the host name."),
    field("node.address", OneOrTwo(ADDRESS), Required,
        "The address others reach this node at, outside podCIDR and serviceCIDR; in a dual-stack cluster two, one of each family."),
    field("cluster.name", Text(NAME, 63), Required,
        "The cluster's name in kubeconfigs and reports."),
    field("cluster.domain", Text(NAME, 253), Default("cluster.local"),
        "The DNS domain of Services."),
    field("cluster.podCIDR", OneOrTwo(NETWORK), Default("10.2.0.0/16"),
        "Addresses of pods; every node takes a /24 (IPv4) or /64 (IPv6) of it. Dual stack: two, in the order of the node's addresses."),
    field("cluster.serviceCIDR", OneOrTwo(NETWORK), Default("10.3.0.0/24"),
        "Addresses of Services; /12 to /28 (IPv4), /108 to /124 (IPv6). Dual stack: two."),
    field("cluster.serviceAccountKey", Sensitive, Optional,
        "The key that signs service-account tokens: P-256, PKCS #8, PEM. One is made if none is given."),
    field("nodes.names", Texts(NODE_NAMES), Optional,
        "Nodes that may join and get serving certificates, e.g. worker-*; this node's name by default."),
    field("nodes.addresses", Texts(NETWORK), Optional,
        "Networks that nodes' addresses lie in; this node's addresses by default."),
    field("api.port", Port, Default("6443"),
        "The API server's port, on every address of the node."),
    field("api.endpoint", Text(ENDPOINT, 261), Optional,
        "Where nodes and people reach the API server, HOST or HOST:PORT, e.g. a load balancer; the node's address by default."),
    field("api.altNames", Texts(ALT_NAME), Optional,
        "More names and addresses of the API server, for its serving certificate."),
    field("etcd.external.endpoints", Texts("^https://"), Optional,
        "The https URLs of an etcd that is not slipway's."),
    field("etcd.external.authority", Text(CERTIFICATES, ANY), Optional,
        "The certificates (PEM) that its servers are verified with."),
    field("etcd.external.certificate", Text(CERTIFICATES, ANY), Optional,
        "The API server's client certificate (PEM) for it."),
    field("etcd.external.key", Sensitive, Optional,
        "The key of that certificate (PEM)."),
    field("certificates.keyType", Choice(&["P-256", "P-384"]), Default("P-256"),
        "The kind of the keys that are made."),
    field("certificates.authority.certificate", Text(CERTIFICATES, ANY), Optional,
        "An authority of your own (PEM): the certificate that signs, then those above it, the root last."),
    field("certificates.authority.key", Sensitive, Optional,
        "The key of the first (PEM). Without it somebody else signs: requests go out, certificates come in."),
    field("certificates.lifetimes.authority", Text(DURATION, 32), Default("3650d"),
        "How long an authority that is made is valid; etcd's and the front proxy's at least 3650 days."),
    field("certificates.lifetimes.leaf", Text(DURATION, 32), Default("365d"),
        "How long all other certificates are valid; at most half of an authority's time."),
    field("join.token", Sensitive, Optional,
        "The bootstrap token, e.g. abcdef.0123456789abcdef; a control plane makes one if none is given."),
    field("join.tokenLifetime", Text(DURATION, 32), Default("24h"),
        "How long nodes can join with it, from 10m to 30d. Control plane only."),
    field("join.server", Text(ENDPOINT, 261), Optional,
        "Where the API server is, HOST or HOST:PORT. Worker only."),
    field("join.authority", Text(CERTIFICATES, ANY), Optional,
        "The certificates (PEM) that prove the API server: its tls/ca.crt. Worker only."),
    field("kubernetes.version", Text("^1\\.3[67]\\.(0|[1-9][0-9]*)$", 16), Default(KUBERNETES_VERSION),
        "The Kubernetes release to launch."),
    field("images", Images, Optional,
        "Where container images come from."),
    field("network.provider", Choice(&["flannel", "none"]), Default("flannel"),
        "The pod network; with none, manifests have to bring one."),
    field("checkpoints.namespaces", Texts(LABEL), Default("[\"kube-system\"]"),
        "Namespaces whose annotated pods are checkpointed; kube-system is among them."),
    field("checkpoints.also", Texts("^(kube-proxy|flannel)$"), Optional,
        "What is checkpointed beside the control plane: kube-proxy, flannel."),
    field("checkpoints.gracePeriod", Text(DURATION, 32), Default("1m"),
        "How long the API must say that a workload is gone before its checkpoint is removed."),
    field("backup.keep", Count(1, 1000), Default("5"),
        "How many backups are kept."),
    field("backup.folder", Text("^/", 4096), Default("/var/lib/slipway/backups"),
        "Where they lie: an absolute path."),
    field("backup.recipients", Texts("^age1[02-9a-z]{58}$"), Optional,
        "Public keys of age that the bundle beside each snapshot is sealed to; without any there is no bundle."),
    field("kubelet.config", Mapping, Optional,
        "Fields of KubeletConfiguration (kubelet.config.k8s.io/v1beta1), e.g. maxPods."),
    field("authentication.jwt", Authenticators, Optional,
        "Who else proves people, e.g. an OpenID Connect provider: JWTAuthenticators of apiserver.config.k8s.io/v1."),
    field("encryption.provider", Choice(&["none", "secretbox"]), Default("none"),
        "How Secrets are encrypted in etcd."),
    field("encryption.key", Sensitive, Optional,
        "32 bytes in base64; made if none is given."),
    field("audit.policy", Mapping, Optional,
        "A Policy of audit.k8s.io/v1. Without one there is no audit log."),
    field("podSecurity.enforce", Choice(LEVELS), Optional,
        "What is refused in namespaces without labels of their own; privileged by default."),
    field("podSecurity.audit", Choice(LEVELS), Optional,
        "What is noted in the audit log; as enforce by default."),
    field("podSecurity.warn", Choice(LEVELS), Optional,
        "What is warned of; as enforce by default."),
    field("podSecurity.exemptNamespaces", Texts(NAME), Optional,
        "Namespaces that it does not apply to, beside kube-system."),
    field("arguments", Arguments, Optional,
        "Flags of components, without dashes; null takes one away, a list gives it several times."),
    field("patches[].target", Text(FILE, 100), Required,
        "The rendered file's name without .yaml, e.g. kube-apiserver."),
    field("patches[].strategic", Mapping, Optional,
        "A strategic merge patch."),
    field("patches[].json", Operations, Optional,
        "A JSON patch (RFC 6902)."),
    field("manifests[].name", Text("^[0-9A-Za-z_][0-9A-Za-z._-]*\\.(yaml|yml|json)$", 100), Required,
        "The file's name in manifests/."),
    field("manifests[].content", Text("", ANY), Optional,
        "The manifest: one object or more, as text."),
    field("manifests[].file", Text("^/", 4096), Optional,
        "A file of the node with the manifest, instead of content."),
    field("clock", Choice(&["auto", "synchronised", "unchecked"]), Default("auto"),
        "What is asked of the clock before certificates are made, beside being later than the image's build."),
    field("timeouts.source", Text(DURATION, 32), Default("2m"),
        "Reading this document again."),
    field("timeouts.clock", Text(DURATION, 32), Default("30s"),
        "The clock is synchronised."),
    field("timeouts.api", Text(DURATION, 32), Default("10m"),
        "etcd and the temporary API server answer."),
    field("timeouts.pods", Text(DURATION, 32), Default("20m"),
        "Every workload the cluster needs is Ready."),
    field("timeouts.handover", Text(DURATION, 32), Default("2m"),
        "The temporary control plane is gone and the self-hosted one serves."),
];

/// What the sections of the document are about.
pub const SECTIONS: [(&str, &str); 20] = [
    ("node", "This machine."),
    ("cluster", "The cluster that it belongs to."),
    ("nodes", "Which nodes may be part of the cluster."),
    ("api", "How the API server is reached."),
    (
        "etcd",
        "Where the cluster's state is kept; on this node by default.",
    ),
    ("external", "An etcd that is not slipway's, over TLS."),
    ("certificates", "How certificates are made."),
    (
        "authority",
        "An authority of your own; one is made by default.",
    ),
    ("lifetimes", "How long certificates are valid, e.g. 365d."),
    ("join", "How nodes join; of a worker, how it joins."),
    ("kubernetes", "What is launched."),
    ("network", "The pod network."),
    (
        "checkpoints",
        "Copies of a self-hosted control plane's pods, which a node starts when no API answers.",
    ),
    ("backup", "Backups of this node's etcd."),
    ("kubelet", "What the kubelet is told."),
    (
        "authentication",
        "Who proves people to the API server, beside certificates and tokens.",
    ),
    ("encryption", "Encryption of Secrets in etcd."),
    ("audit", "The API server's audit log."),
    (
        "podSecurity",
        "Pod Security's defaults; nothing is enforced without.",
    ),
    (
        "timeouts",
        "How long each wait may take, e.g. 90s or 1m30s.",
    ),
];
/// What the lists of the document hold.
pub const LISTS: [(&str, &str); 2] = [
    (
        "patches",
        "Changes to what slipway renders, in this order; each has strategic or json.",
    ),
    ("manifests", "Further manifests; each has content or file."),
];
