//! The machine document, field by field: its keys, what each may hold, and its defaults.
//!
//! A file for each group of sections. Each reads its own fields; what must fit together across
//! sections is checked where the later of them is read.

mod api;
mod arguments;
mod backup;
mod certificates;
mod checkpoints;
mod cluster;
mod flags;
mod images;
mod jwt;
mod kubelet;
mod manifests;
mod policy;
mod ports;
mod role;

use super::duration;
use super::machine::{
    Api, Certificates, Clock, Cluster, ControlPlane, Etcd, Join, Launch, Machine, Network, Node,
    Nodes, Timeouts,
};
use super::problem::{Problems, quote};
use super::reader::{Reader, choice};
use super::yaml::Tree;
pub use arguments::protected;

/// The only `apiVersion` so far.
pub const API_VERSION: &str = "slipway.dev/v1alpha1";
/// The only `kind` so far.
pub const KIND: &str = "Machine";
/// The Kubernetes minor releases that this slipway renders.
pub const KUBERNETES_MINORS: [&str; 2] = ["1.36", "1.37"];
/// The Kubernetes release unless the document names one.
pub const KUBERNETES_VERSION: &str = "1.37.2";

/// The field of the key that signs service-account tokens.
pub const SERVICE_ACCOUNT_KEY: &str = "cluster.serviceAccountKey";
/// The field of the key of an authority of the user's own.
pub const AUTHORITY_KEY: &str = "certificates.authority.key";
/// The field of the key that the API server shows to somebody else's etcd.
pub const ETCD_KEY: &str = "etcd.external.key";
/// The field of the bootstrap token.
pub const TOKEN: &str = "join.token";
/// The field of the key that Secrets are encrypted with.
pub const ENCRYPTION_KEY: &str = "encryption.key";
/// Where the document may hold secrets; [`super::masked`] hides what stands there. A manifest may
/// hold a Secret, in more spellings than could be told apart, so no manifest is shown.
pub const SENSITIVE: [&str; 6] = [
    SERVICE_ACCOUNT_KEY,
    ETCD_KEY,
    AUTHORITY_KEY,
    TOKEN,
    ENCRYPTION_KEY,
    manifests::CONTENT,
];
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

/// Whether a secret may stand at a place, e.g. `manifests[3].content`.
pub fn is_sensitive(place: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit();
    let is = |path: &&str| match (path.split_once("[]"), place.split_once('[')) {
        (Some((list, key)), Some((start, item))) => {
            start == list && item.trim_start_matches(digit).strip_prefix(']') == Some(key)
        }
        _ => *path == place,
    };
    SENSITIVE.iter().any(is)
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
    let role = role::read(reader);
    let control_plane = control_plane(reader);
    let launch = launch(reader);
    let place = place(reader);
    let cluster = place.cluster.as_ref();
    let trust = trust(reader, cluster);
    let kubernetes_version =
        reader.optional("kubernetes.version", KUBERNETES_VERSION.to_owned(), version);
    let images = images::images(reader);
    let network = network(reader);
    let checkpoints = checkpoints::checkpoints(reader, control_plane, network);
    let backup = backup::backup(reader);
    let kubelet = kubelet::kubelet(reader, place.api.as_ref());
    let jwt = jwt::authenticators(reader);
    let encryption = policy::encryption(reader);
    let audit_policy = policy::audit(reader);
    let pod_security = policy::pod_security(reader);
    let arguments = arguments::arguments(reader, cluster);
    role::of_components_that_run(reader, network);
    let patches = manifests::patches(reader);
    let manifests = manifests::manifests(reader);
    let clock = reader.optional("clock", Clock::default(), clock);
    let timeouts = timeouts(reader);
    header?;
    let (etcd, certificates, join) = trust?;
    Some(Machine {
        role: role?,
        node: place.node?,
        cluster: place.cluster?,
        nodes: place.nodes?,
        control_plane: control_plane?,
        launch: launch?,
        api: place.api?,
        etcd,
        certificates,
        join,
        kubernetes_version: kubernetes_version?,
        images,
        network: network?,
        checkpoints: checkpoints?,
        backup: backup?,
        kubelet,
        jwt,
        encryption: encryption?,
        audit_policy,
        pod_security: pod_security?,
        arguments,
        patches,
        manifests,
        clock: clock?,
        timeouts: timeouts?,
    })
}

/// Where the node is. What of it is good is needed to judge the rest, even if the rest of it is bad.
struct Place {
    node: Option<Node>,
    cluster: Option<Cluster>,
    nodes: Option<Nodes>,
    api: Option<Api>,
}

fn place(reader: &mut Reader) -> Place {
    let (name, addresses) = cluster::node(reader);
    let cluster = cluster::cluster(reader, addresses.as_deref());
    let (known_name, known) = (name.as_deref(), addresses.as_deref());
    let nodes = cluster::nodes(reader, known_name, known, cluster.as_ref());
    let api = api::api(reader, cluster.as_ref());
    let mut addresses = addresses.into_iter().flatten();
    let (first, second_address) = (addresses.next(), addresses.next());
    let node = name.zip(first).map(|(name, address)| Node {
        name,
        address,
        second_address,
    });
    Place {
        node,
        cluster,
        nodes,
        api,
    }
}

/// Everything that proves somebody to somebody.
fn trust(reader: &mut Reader, cluster: Option<&Cluster>) -> Option<(Etcd, Certificates, Join)> {
    let etcd = certificates::etcd(reader);
    let certificates = certificates::certificates(reader);
    let join = api::join(reader, cluster);
    certificates::without_a_signer(reader);
    Some((etcd?, certificates?, join?))
}

fn control_plane(reader: &mut Reader) -> Option<ControlPlane> {
    let all = [
        ("self-hosted", ControlPlane::SelfHosted),
        ("static", ControlPlane::Static),
    ];
    reader.optional("controlPlane", ControlPlane::default(), |text| {
        choice(text, &all)
    })
}

fn launch(reader: &mut Reader) -> Option<Launch> {
    let all = [("auto", Launch::Auto), ("wait", Launch::Wait)];
    reader.optional("launch", Launch::default(), |text| choice(text, &all))
}

fn network(reader: &mut Reader) -> Option<Network> {
    let all = [("flannel", Network::Flannel), ("none", Network::None)];
    reader.optional("network.provider", Network::default(), |text| {
        choice(text, &all)
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

fn clock(text: &str) -> Result<Clock, String> {
    let all = [
        ("auto", Clock::Auto),
        ("synchronised", Clock::Synchronised),
        ("unchecked", Clock::Unchecked),
    ];
    choice(text, &all)
}

fn version(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let supported = bare.rsplit_once('.').is_some_and(|(minor, patch)| {
        let number: Result<u16, _> = patch.parse();
        KUBERNETES_MINORS.contains(&minor) && number.is_ok_and(|number| number.to_string() == patch)
    });
    match (supported, bare == text) {
        (true, true) => Ok(bare.to_owned()),
        (true, false) => Err(format!("write it without the v: {bare}")),
        _ => Err(format!(
            "{} is not supported; this slipway launches Kubernetes {}, e.g. {KUBERNETES_VERSION}",
            quote(text),
            KUBERNETES_MINORS.join(" or ")
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

/// Every path that a document may have, of lists of mappings those of their items.
#[cfg(test)]
pub fn known() -> Vec<&'static str> {
    let mut problems = Problems::default();
    let tree = super::yaml::read(b"{patches: [{}], manifests: [{}]}", &mut problems).unwrap();
    let mut reader = Reader::new(&tree, &mut problems);
    read(&mut reader);
    let known = reader.known();
    let is_list = |path: &str| {
        known
            .iter()
            .any(|known| known.starts_with(&format!("{path}[]")))
    };
    known
        .iter()
        .copied()
        .filter(|path| !is_list(path))
        .collect()
}
