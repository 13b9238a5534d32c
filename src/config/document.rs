//! The machine document, field by field: its keys, what each may hold, and its defaults.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::machine::{
    AltName, Api, Certificates, Clock, Cluster, ControlPlane, Encryption, Etcd, Images, Join,
    Kubelet, Machine, Network, Node, Nodes, Role, Timeouts,
};
use super::problem::{Problems, quote};
use super::reader::Reader;
use super::yaml::Tree;
use super::{duration, names, network};

/// The only `apiVersion` so far.
pub const API_VERSION: &str = "slipway.dev/v1alpha1";
/// The only `kind` so far.
pub const KIND: &str = "Machine";
/// The Kubernetes minor release that this slipway renders.
pub const KUBERNETES_MINOR: &str = "1.37";
/// The Kubernetes release unless the document names one.
pub const KUBERNETES_VERSION: &str = "1.37.2";

const PODS: &str = "cluster.podCIDR";
const SERVICES: &str = "cluster.serviceCIDR";
/// Where the document may hold secrets; [`super::masked`] hides what stands there.
pub const SENSITIVE: [&str; 1] = [SERVICE_ACCOUNT_KEY];
/// The field of the key that signs service-account tokens.
pub const SERVICE_ACCOUNT_KEY: &str = "cluster.serviceAccountKey";
/// Components that have arguments.
pub const COMPONENTS: [&str; 8] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "etcd",
    "coredns",
    "flannel",
    "pod-checkpointer",
];
/// Components that have an image of their own.
pub const IMAGES: [&str; 8] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "etcd",
    "coredns",
    "flannel",
    "slipway",
];
const DOMAIN: &str = "cluster.local";
const POD_CIDR: IpNet = v4(Ipv4Addr::new(10, 2, 0, 0), 16);
const SERVICE_CIDR: IpNet = v4(Ipv4Addr::new(10, 3, 0, 0), 24);
const API_PORT: u16 = 6443;
/// Ports that a control-plane node needs on every or on the node's address, and for what.
const TAKEN_PORTS: [(u16, &str); 8] = [
    (2379, "etcd"),
    (2380, "etcd"),
    (2381, "etcd's metrics"),
    (10248, "the kubelet's health"),
    (10250, "the kubelet"),
    (10256, "kube-proxy's health"),
    (10257, "kube-controller-manager"),
    (10259, "kube-scheduler"),
];

const fn v4(base: Ipv4Addr, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(base, prefix))
}

/// Reads the tree of a document. `None`, or a value together with new problems, if it is invalid.
pub fn machine(tree: &Tree, problems: &mut Problems) -> Option<Machine> {
    if tree.root.is_null() {
        problems.add(
            1,
            "",
            format!("the document is empty; begin with apiVersion: {API_VERSION}"),
        );
        return None;
    }
    let mut reader = Reader::new(tree, problems);
    let machine = read(&mut reader);
    reader.refuse_the_rest();
    machine
}

fn read(reader: &mut Reader) -> Option<Machine> {
    let header = header(reader);
    let role = reader.optional("role", Role::ControlPlane, role);
    let node = node(reader);
    let cluster = cluster(reader, node.1);
    let api = api(reader);
    let kubernetes_version =
        reader.optional("kubernetes.version", KUBERNETES_VERSION.to_owned(), version);
    let clock = reader.optional("clock", Clock::default(), clock);
    let timeouts = timeouts(reader);
    header?;
    let node = Node {
        name: node.0?,
        address: node.1?,
        second_address: None,
    };
    Some(Machine {
        role: role?,
        nodes: Nodes {
            names: vec![node.name.clone()],
            addresses: vec![node.address.into()],
        },
        node,
        cluster: cluster?,
        control_plane: ControlPlane::default(),
        api: api?,
        etcd: Etcd::default(),
        certificates: Certificates::default(),
        join: Join {
            token: None,
            token_lifetime: std::time::Duration::from_secs(24 * 60 * 60),
            server: None,
            authority: None,
        },
        kubernetes_version: kubernetes_version?,
        images: Images::default(),
        network: Network::default(),
        kubelet: Kubelet::default(),
        encryption: Encryption::default(),
        audit_policy: None,
        pod_security: None,
        arguments: std::collections::BTreeMap::new(),
        patches: Vec::new(),
        manifests: Vec::new(),
        clock: clock?,
        timeouts: timeouts?,
    })
}

fn header(reader: &mut Reader) -> Option<()> {
    let only = |text: &str, supported: &str| match text == supported {
        true => Ok(()),
        false => Err(format!(
            "{} is not supported; this slipway reads {supported}",
            quote(text)
        )),
    };
    let version = reader.required("apiVersion", API_VERSION, |text| only(text, API_VERSION));
    let kind = reader.required("kind", KIND, |text| only(text, KIND));
    version.and(kind)
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "control-plane" => Ok(Role::ControlPlane),
        _ => Err(format!(
            "{} is not a role; the only one so far is control-plane",
            quote(text)
        )),
    }
}

fn clock(text: &str) -> Result<Clock, String> {
    match text {
        "auto" => Ok(Clock::Auto),
        "synchronised" => Ok(Clock::Synchronised),
        "unchecked" => Ok(Clock::Unchecked),
        _ => Err(format!(
            "{} is none of auto, synchronised, unchecked",
            quote(text)
        )),
    }
}

/// Name and address apart, because the address is needed to judge the networks even if the name
/// is bad.
fn node(reader: &mut Reader) -> (Option<String>, Option<IpAddr>) {
    let name = reader.required("node.name", "the node's name, e.g. node-a", names::node);
    let example = "the address others reach this node at, e.g. 10.0.2.15";
    (
        name,
        reader.required("node.address", example, network::address),
    )
}

fn cluster(reader: &mut Reader, node: Option<IpAddr>) -> Option<Cluster> {
    let name = reader.required(
        "cluster.name",
        "the cluster's name, e.g. harbour",
        names::node,
    );
    let domain = reader.optional("cluster.domain", DOMAIN.to_owned(), names::domain);
    let pods = reader.optional(PODS, POD_CIDR, network::pods);
    let services = reader.optional(SERVICES, SERVICE_CIDR, network::services);
    let service_account_key = reader.sensitive(SERVICE_ACCOUNT_KEY);
    if let (Some(pods), Some(services)) = (pods, services) {
        stay_apart(reader, pods, services);
    }
    for (path, net) in [(PODS, pods), (SERVICES, services)] {
        if let (Some(net), Some(node)) = (net, node) {
            fit_the_node(reader, path, net, node);
        }
    }
    Some(Cluster {
        name: name?,
        domain: domain?,
        pod_cidrs: vec![pods?],
        service_cidrs: vec![services?],
        service_account_key: service_account_key?,
    })
}

fn stay_apart(reader: &mut Reader, pods: IpNet, services: IpNet) {
    if network::overlap(&pods, &services) {
        let (pods, services) = (shown(reader, PODS, pods), shown(reader, SERVICES, services));
        let message =
            format!("{services} overlaps {PODS} {pods}; choose networks that do not meet");
        reader.refuse(SERVICES, message);
    }
}

/// A node's address and a network of its cluster must be of one family and apart.
fn fit_the_node(reader: &mut Reader, path: &str, net: IpNet, node: IpAddr) {
    let shown = shown(reader, path, net);
    let (family, nodes) = (network::family(net.addr()), network::family(node));
    if family != nodes {
        let message = format!(
            "{shown} is {family} but node.address {node} is {nodes}; give an {nodes} network"
        );
        reader.refuse(path, message);
    } else if net.contains(&node) {
        let message = format!("{node} lies inside {path} {shown}; change one of them");
        reader.refuse("node.address", message);
    }
}

/// A network for a message. One that stands nowhere in the document would puzzle its author.
fn shown(reader: &Reader, path: &str, net: IpNet) -> String {
    let origin = if reader.is_given(path) {
        ""
    } else {
        " (the default)"
    };
    format!("{net}{origin}")
}

fn api(reader: &mut Reader) -> Option<Api> {
    let port = reader.number("api.port", API_PORT, port);
    let alt_names = reader.texts("api.altNames", |text, earlier: &[AltName]| {
        let name = names::alt(text)?;
        match earlier.contains(&name) {
            true => Err(format!("{} is in the list already", quote(text))),
            false => Ok(name),
        }
    });
    Some(Api {
        port: port?,
        endpoint: None,
        alt_names: alt_names?,
    })
}

fn port(number: i64) -> Result<u16, String> {
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    let port = port.ok_or_else(|| format!("{number} is not a port; use 1 to 65535"))?;
    match TAKEN_PORTS.iter().find(|(taken, _)| *taken == port) {
        Some((_, user)) => Err(format!(
            "{port} is taken by {user} on this node; use another"
        )),
        None => Ok(port),
    }
}

fn version(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let patch = bare
        .strip_prefix(KUBERNETES_MINOR)
        .and_then(|rest| rest.strip_prefix('.'));
    let supported = patch.is_some_and(|patch| {
        let number: Result<u16, _> = patch.parse();
        number.is_ok_and(|number| number.to_string() == patch)
    });
    match (supported, bare == text) {
        (true, true) => Ok(bare.to_owned()),
        (true, false) => Err(format!("write it without the v: {bare}")),
        _ => Err(format!(
            "{} is not supported; this slipway launches Kubernetes {KUBERNETES_MINOR}, e.g. \
             {KUBERNETES_VERSION}",
            quote(text)
        )),
    }
}

fn timeouts(reader: &mut Reader) -> Option<Timeouts> {
    let default = Timeouts::default();
    let mut timeout = |path, default| {
        reader.optional(path, default, |text| {
            duration::parse(text).map_err(|why| format!("{} {why}", quote(text)))
        })
    };
    let source = timeout("timeouts.source", default.source);
    let clock = timeout("timeouts.clock", default.clock);
    let api = timeout("timeouts.api", default.api);
    let pods = timeout("timeouts.pods", default.pods);
    let handover = timeout("timeouts.handover", default.handover);
    Some(Timeouts {
        source: source?,
        clock: clock?,
        api: api?,
        pods: pods?,
        handover: handover?,
    })
}

/// Every path that a document may have.
#[cfg(test)]
pub fn known() -> Vec<&'static str> {
    let mut problems = Problems::default();
    let tree = super::yaml::read(b"{}", &mut problems).unwrap();
    let mut reader = Reader::new(&tree, &mut problems);
    read(&mut reader);
    reader.known().to_vec()
}
