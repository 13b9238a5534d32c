//! The machine document as a value: every default filled in, every field checked.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::sensitive::Sensitive;

/// What this node is. Made only by [`super::parse`], so every invariant below holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What the node does in its cluster.
    pub role: Role,
    /// This node.
    pub node: Node,
    /// The cluster it belongs to.
    pub cluster: Cluster,
    /// How the API server is reached.
    pub api: Api,
    /// Kubernetes' version without the leading `v`, e.g. `1.37.2`.
    pub kubernetes_version: String,
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
}

/// `node:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The Node object's name and the host name; a DNS-1123 subdomain of at most 63 bytes.
    pub name: String,
    /// The address other nodes and people reach this one at; inside neither CIDR of the cluster.
    pub address: IpAddr,
}

/// `cluster:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's name in kubeconfigs and reports.
    pub name: String,
    /// The DNS domain of Services; default `cluster.local`.
    pub domain: String,
    /// Pod addresses; default 10.2.0.0/16. Does not overlap `service_cidr`.
    pub pod_cidr: IpNet,
    /// Service addresses; default 10.3.0.0/24. Holds at least the offsets 1 (API) and 10 (DNS).
    pub service_cidr: IpNet,
    /// The key that signs service-account tokens (P-256, PKCS #8, PEM); `None`: one is made.
    pub service_account_key: Option<Sensitive>,
}

impl Cluster {
    /// The address of Service default/kubernetes: the first of the service network.
    pub fn api_service_ip(&self) -> IpAddr {
        nth(self.service_cidr, 1)
    }

    /// The address of Service kube-system/kube-dns: the tenth of the service network.
    pub fn dns_service_ip(&self) -> IpAddr {
        nth(self.service_cidr, 10)
    }
}

/// The address `offset` places above a network's base; `parse` made sure that it lies inside.
fn nth(net: IpNet, offset: u32) -> IpAddr {
    match net.network() {
        IpAddr::V4(base) => IpAddr::V4((u32::from(base) + offset).into()),
        IpAddr::V6(base) => IpAddr::V6((u128::from(base) + u128::from(offset)).into()),
    }
}

/// `api:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// The port on every address and on loopback; default 6443.
    pub port: u16,
    /// Further names and addresses for the serving certificate.
    pub alt_names: Vec<AltName>,
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AltName {
    /// A DNS name.
    Dns(String),
    /// An address.
    Ip(IpAddr),
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
