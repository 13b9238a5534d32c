//! The machine document as a value: every default filled in, every field checked.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::sensitive::Sensitive;
use crate::age::Recipient;

/// What this node is. Made only by [`super::parse`], so every invariant below holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What the node does in its cluster.
    pub role: Role,
    /// This node.
    pub node: Node,
    /// The cluster it belongs to.
    pub cluster: Cluster,
    /// Which nodes may be part of the cluster.
    pub nodes: Nodes,
    /// What carries the control plane once it is launched.
    pub control_plane: ControlPlane,
    /// What a machine does that nothing was rendered on.
    pub launch: Launch,
    /// How the API server is reached.
    pub api: Api,
    /// Where the cluster's state is kept.
    pub etcd: Etcd,
    /// How certificates are made.
    pub certificates: Certificates,
    /// How nodes join.
    pub join: Join,
    /// Kubernetes' version without the leading `v`, e.g. `1.37.2`.
    pub kubernetes_version: String,
    /// Where container images come from.
    pub images: Images,
    /// The pod network.
    pub network: Network,
    /// What is kept on the node to bring a self-hosted control plane back.
    pub checkpoints: Checkpoints,
    /// What is kept apart from the node's etcd, to make the cluster anew.
    pub backup: Backup,
    /// What the kubelet's configuration says beside slipway's own.
    pub kubelet: Kubelet,
    /// Who else proves people to the API server: JWTAuthenticators of apiserver.config.k8s.io/v1.
    pub jwt: Vec<Value>,
    /// Encryption of Secrets in etcd.
    pub encryption: Encryption,
    /// The API server's audit policy (audit.k8s.io/v1), if there is to be a log.
    pub audit_policy: Option<Value>,
    /// Pod Security's defaults for namespaces without labels of their own.
    pub pod_security: Option<PodSecurity>,
    /// Further arguments of components, by [`super::COMPONENTS`]' name.
    pub arguments: BTreeMap<String, Arguments>,
    /// Changes to rendered manifests, in this order.
    pub patches: Vec<Patch>,
    /// Further manifests.
    pub manifests: Vec<Manifest>,
    /// How much the clock has to prove before certificates are made.
    pub clock: Clock,
    /// How long each wait may take.
    pub timeouts: Timeouts,
}

/// What a node does in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs etcd and the control plane.
    ControlPlane,
    /// Joins a cluster and runs pods.
    Worker,
}

/// `launch:`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Launch {
    /// It begins a new cluster.
    #[default]
    Auto,
    /// It waits for a person, who recovers one on it.
    Wait,
}

/// `controlPlane:`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ControlPlane {
    /// Objects of its own API: a DaemonSet and two Deployments, launched by way of a temporary one.
    #[default]
    SelfHosted,
    /// Static pods that stay.
    Static,
}

/// `node:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The Node object's name and the host name; a DNS-1123 subdomain of at most 63 bytes.
    pub name: String,
    /// The address other nodes and people reach this one at; inside no CIDR of the cluster.
    pub address: IpAddr,
    /// Its address of the other family; only of a node in a dual-stack cluster.
    pub second_address: Option<IpAddr>,
}

impl Node {
    /// One or two addresses, the main one first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        std::iter::once(self.address).chain(self.second_address)
    }
}

/// `cluster:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's name in kubeconfigs and reports.
    pub name: String,
    /// The DNS domain of Services; default `cluster.local`.
    pub domain: String,
    /// Pod networks, one or one a family; default 10.2.0.0/16. The first is of the node's main family.
    pub pod_cidrs: Vec<IpNet>,
    /// Service networks, as many as pod networks and of the same families in the same order; default
    /// 10.3.0.0/24. Each holds at least the offsets 1 (API) and 10 (DNS). None overlaps another network.
    pub service_cidrs: Vec<IpNet>,
    /// The key that signs service-account tokens (P-256 or P-384, PKCS #8, PEM); `None`: one is made.
    pub service_account_key: Option<Sensitive>,
}

impl Cluster {
    /// The addresses of Service default/kubernetes, the main one first: the first of each service network.
    pub fn api_service_ips(&self) -> Vec<IpAddr> {
        self.service_cidrs.iter().map(|net| nth(*net, 1)).collect()
    }

    /// The addresses of Service kube-system/kube-dns: the tenth of each service network.
    pub fn dns_service_ips(&self) -> Vec<IpAddr> {
        self.service_cidrs.iter().map(|net| nth(*net, 10)).collect()
    }

    /// Whether pods and Services have addresses of both families.
    pub fn is_dual_stack(&self) -> bool {
        self.pod_cidrs.len() > 1
    }
}

/// The address `offset` places above a network's base; `parse` made sure that it lies inside.
fn nth(net: IpNet, offset: u32) -> IpAddr {
    match net.network() {
        IpAddr::V4(base) => IpAddr::V4((u32::from(base) + offset).into()),
        IpAddr::V6(base) => IpAddr::V6((u128::from(base) + u128::from(offset)).into()),
    }
}

/// `nodes:`; which nodes may join and get serving certificates, and for which addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nodes {
    /// Node names, or patterns with one `*`, e.g. `worker-*`; default: this node's name.
    pub names: Vec<String>,
    /// Networks that nodes' addresses lie in; default: this node's own addresses.
    pub addresses: Vec<IpNet>,
}

/// `api:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// The port on every address and on loopback; default 6443.
    pub port: u16,
    /// Where nodes and people reach the API server, e.g. a load balancer; default: the node's address
    /// and `port`. In the serving certificate too.
    pub endpoint: Option<Endpoint>,
    /// Further names and addresses for the serving certificate.
    pub alt_names: Vec<AltName>,
}

/// `HOST` or `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name (no wildcard) or an address.
    pub host: AltName,
    /// The port there; default that of the API server.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            AltName::Dns(name) => write!(f, "{name}:{}", self.port),
            AltName::Ip(address) => SocketAddr::new(*address, self.port).fmt(f),
        }
    }
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AltName {
    /// A DNS name.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// `etcd:`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Etcd {
    /// A static pod on this node.
    #[default]
    Local,
    /// Somebody else's, over TLS.
    External(ExternalEtcd),
}

/// `etcd.external:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalEtcd {
    /// Its client URLs, all https, at least one.
    pub endpoints: Vec<String>,
    /// The certificates (PEM) that its server certificates are verified with.
    pub authority: String,
    /// The API server's client certificate (PEM, with intermediates after it).
    pub certificate: String,
    /// Its key (PEM).
    pub key: Sensitive,
}

/// `certificates:`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    /// Of every key that is made.
    pub key_type: KeyType,
    /// The cluster's authority; `None`: one is made.
    pub authority: Option<Authority>,
    /// How long what is made is valid.
    pub lifetimes: Lifetimes,
}

/// `certificates.keyType:`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyType {
    /// ECDSA on NIST P-256.
    #[default]
    P256,
    /// ECDSA on NIST P-384.
    P384,
}

/// `certificates.authority:`; an authority of the user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// PEM: the certificate that signs, then those above it up to a root, in this order. What is trusted is
    /// the last one; all but it are sent along with leaves.
    pub certificate: String,
    /// The key of the first (PKCS #8, PKCS #1 or SEC 1, PEM). `None`: somebody else signs; requests go out,
    /// certificates come in.
    pub key: Option<Sensitive>,
}

/// `certificates.lifetimes:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of authorities; default 3650d.
    pub authority: Duration,
    /// Of everything else; default 365d. At most half of an authority's.
    pub leaf: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        Self {
            authority: days(3650),
            leaf: days(365),
        }
    }
}

/// `join:`; of a control-plane node how others join it, of a worker how it joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The bootstrap token, `[a-z0-9]{6}.[a-z0-9]{16}`. On a control-plane node `None`: one is made. A worker
    /// has one.
    pub token: Option<Sensitive>,
    /// How long the token is good after the first render; control plane only; default 24h.
    pub token_lifetime: Duration,
    /// Where the API server is: worker only, and always there.
    pub server: Option<Endpoint>,
    /// The certificates (PEM) that prove the API server: worker only, and always there.
    pub authority: Option<String>,
}

/// `images:`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    /// What stands in place of every image's registry and upper folders, e.g. `mirror.example.com/k8s`: the
    /// last part of the name and the tag stay.
    pub registry: Option<String>,
    /// Whole references in place of the default's, by component ([`super::IMAGES`]).
    pub references: BTreeMap<String, String>,
}

/// `network:`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// flannel with VXLAN.
    #[default]
    Flannel,
    /// The document's own manifests bring one.
    None,
}

/// `checkpoints:`; heeded with `controlPlane: self-hosted` only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// Namespaces whose annotated pods are checkpointed, kube-system among them; default: only that.
    pub namespaces: Vec<String>,
    /// Workloads of slipway's that are checkpointed beside the control plane.
    pub also: Vec<AddOn>,
    /// How long the API must say that a workload is gone before its checkpoint goes; default 1 min.
    pub grace_period: Duration,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self {
            namespaces: vec!["kube-system".to_owned()],
            also: Vec::new(),
            grace_period: Duration::from_secs(60),
        }
    }
}

/// A workload of slipway's that is no part of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddOn {
    /// Services' addresses.
    KubeProxy,
    /// The pod network.
    Flannel,
}

/// `backup:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// How many are kept, from 1 to 1000; default 5.
    pub keep: usize,
    /// An absolute path; default `/var/lib/slipway/backups`.
    pub folder: String,
    /// Who can open the bundles; without any there are none, and backups hold etcd's data alone.
    pub recipients: Vec<Recipient>,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            keep: 5,
            folder: "/var/lib/slipway/backups".to_owned(),
            recipients: Vec::new(),
        }
    }
}

/// `kubelet:`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kubelet {
    /// Fields of KubeletConfiguration (kubelet.config.k8s.io/v1beta1), without those that slipway depends on.
    pub config: Map<String, Value>,
}

/// `encryption:`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Secrets lie in etcd as they are.
    #[default]
    None,
    /// XSalsa20 and Poly1305 with a key of 32 bytes (given in base64); `None`: one is made.
    Secretbox(Option<Sensitive>),
}

/// `podSecurity:`; levels are `privileged`, `baseline` or `restricted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSecurity {
    /// What is refused; default `privileged`.
    pub enforce: String,
    /// What is noted in the audit log; default as `enforce`.
    pub audit: String,
    /// What is warned of; default as `enforce`.
    pub warn: String,
    /// Namespaces that it does not apply to, beside kube-system.
    pub exempt: Vec<String>,
}

/// A component's further arguments by flag without dashes. `None` takes a flag of slipway's away; several
/// values give the flag several times.
pub type Arguments = BTreeMap<String, Option<Vec<String>>>;

/// A change to a rendered manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The file's name without `.yaml`, e.g. `kube-apiserver` or `bootstrap-apiserver`.
    pub target: String,
    /// What changes.
    pub change: PatchKind,
}

/// How a patch is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// Kubernetes' strategic merge patch: a mapping.
    Strategic(Value),
    /// RFC 6902: a list of operations.
    Json(Value),
}

/// A further manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its file's name in `manifests/`, e.g. `storage.yaml`; no two are the same.
    pub name: String,
    /// What is in it: YAML, one or more documents.
    pub content: Content,
}

/// Where a manifest's content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// In the machine document.
    Inline(String),
    /// In this file of the node: an absolute path.
    File(String),
}

/// `clock:`; what is asked of the clock before certificates are made, beside being later than the
/// image's build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// Where a time daemon runs, it is waited for; if it does not get the time, a warning says so.
    #[default]
    Auto,
    /// A time daemon must have set it.
    Synchronised,
    /// Nothing more.
    Unchecked,
}

/// `timeouts:`; the deadline of each wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Reading the document again (`--refetch`); default 2 min, also for the first time.
    pub source: Duration,
    /// The clock is synchronised; default 30 s.
    pub clock: Duration,
    /// etcd and the bootstrap API server answer; default 10 min.
    pub api: Duration,
    /// Every required workload is Ready; default 20 min.
    pub pods: Duration,
    /// The bootstrap control plane is gone and the new one serves; default 2 min.
    pub handover: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            source: minutes(2),
            clock: Duration::from_secs(30),
            api: minutes(10),
            pods: minutes(20),
            handover: minutes(2),
        }
    }
}
