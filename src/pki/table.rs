//! Which certificates a control-plane node needs: one line each.
//!
//! A checkpoint cannot have a token: it starts when there is no API to ask for one. In its place it has a
//! certificate whose common name is the user name of its ServiceAccount. RBAC finds an account by that name
//! (`rbac.authorization.k8s.io`, `serviceaccount.MatchesUsername`), so a checkpoint may do what its pod may, by the same
//! bindings, and nobody keeps a map from accounts to users. It is in no group, not even that of all accounts.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::config::Machine;
use crate::config::machine::{AddOn, AltName, ControlPlane, Etcd, KeyType, Role};

/// The cluster's certificate authority.
pub const CA: &str = "tls/ca";
/// The one that will sign, from the first step of a rotation to the second.
pub const NEXT: &str = "tls/ca-next";
/// The one that signed, from the second step of a rotation to the third.
pub const PREVIOUS: &str = "tls/ca-previous";
/// Signs who may speak for other users (the aggregation layer).
pub const FRONT_PROXY_CA: &str = "tls/front-proxy-ca";
/// Signs etcd's servers, peers and clients; nobody else may talk to it.
pub const ETCD_CA: &str = "tls/etcd-client-ca";

/// Nothing replaces these two, and nobody outside the control plane trusts them: they live [`LONG`] at least.
pub const LASTING: [&str; 2] = [FRONT_PROXY_CA, ETCD_CA];
const LONG: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// The temporary controller-manager's user, or that of one that stays.
pub const CONTROLLER_MANAGER: &str = "tls/kube-controller-manager";

/// The API server's user at kubelets.
pub const KUBELET_CLIENT: &str = "kube-apiserver-kubelet-client";

/// Below it, what checkpoints show: a folder for each namespace, in it a certificate for each ServiceAccount.
pub const CHECKPOINTS: &str = "tls/checkpoint/";
/// Of the unit that keeps them, which shares the DaemonSet's account, and of the control plane's own
/// (the API server's pod has none).
const OF_CHECKPOINTS: [&str; 3] = [
    "tls/checkpoint/kube-system/pod-checkpointer",
    "tls/checkpoint/kube-system/kube-controller-manager",
    "tls/checkpoint/kube-system/kube-scheduler",
];

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Signs others.
    Authority,
    /// Proves a server's names.
    Server,
    /// Proves a user.
    Client,
    /// Both, as etcd's peers need.
    Both,
}

/// A line of the table.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Path in the asset directory without the ending.
    pub name: &'static str,
    /// Common name: the user's name in Kubernetes.
    pub common_name: String,
    /// Organization: the user's group in Kubernetes.
    pub organization: Option<String>,
    /// What it is for.
    pub usage: Use,
    /// Names and addresses a server answers to.
    pub names: Vec<AltName>,
    /// The name of the authority that signs it; `None` signs itself.
    pub issuer: Option<&'static str>,
    /// What its key must be.
    pub key_type: KeyType,
    /// How long a new one is valid.
    pub life: Duration,
}

/// etcd's own, which somebody else's etcd brings along.
const OF_ETCD: [&str; 4] = [
    ETCD_CA,
    "tls/etcd-client",
    "tls/etcd/server",
    "tls/etcd/peer",
];

/// The table, authorities first, that of the cluster before all others.
pub fn wanted(machine: &Machine) -> Vec<Wanted> {
    if machine.role == Role::Worker {
        return Vec::new();
    }
    let mut table = authorities(machine);
    table.extend(users(machine));
    table.extend(checkpoints(machine));
    table.extend(servers(machine));
    if machine.etcd != Etcd::Local {
        table.retain(|wanted| !OF_ETCD.contains(&wanted.name));
    }
    let lifetimes = &machine.certificates.lifetimes;
    for wanted in &mut table {
        wanted.key_type = machine.certificates.key_type;
        wanted.life = match wanted.usage {
            Use::Authority if LASTING.contains(&wanted.name) => lifetimes.authority.max(LONG),
            Use::Authority => lifetimes.authority,
            _ => lifetimes.leaf,
        };
    }
    table
}

/// A line whose key type and life are not filled in yet.
fn line(name: &'static str, common_name: &str, usage: Use, issuer: Option<&'static str>) -> Wanted {
    Wanted {
        name,
        common_name: common_name.to_owned(),
        organization: None,
        usage,
        names: Vec::new(),
        issuer,
        key_type: KeyType::default(),
        life: Duration::ZERO,
    }
}

fn authorities(machine: &Machine) -> Vec<Wanted> {
    let authority = |name, common_name: &str| Wanted {
        organization: Some(machine.cluster.name.clone()),
        ..line(name, common_name, Use::Authority, None)
    };
    vec![
        authority(CA, "kube-ca"),
        authority(FRONT_PROXY_CA, "front-proxy-ca"),
        authority(ETCD_CA, "etcd-ca"),
    ]
}

fn users(machine: &Machine) -> Vec<Wanted> {
    let user = |name, issuer, common_name: &str, organization: Option<&str>| Wanted {
        organization: organization.map(str::to_owned),
        ..line(name, common_name, Use::Client, Some(issuer))
    };
    let masters = Some("system:masters");
    // Temporary, it needs the rights of all its controllers; one that stays gives each an account of its own,
    // and so does one without the authority's key (see `Round::settle`).
    let is_temporary = machine.control_plane == ControlPlane::SelfHosted;
    let controllers = masters.filter(|_| is_temporary);
    let node = format!("system:node:{}", machine.node.name);
    vec![
        user("tls/admin", CA, "kubernetes-admin", masters),
        // Lies in a Secret: it is given what kubelets ask for, and nothing of the API.
        user("tls/apiserver-kubelet-client", CA, KUBELET_CLIENT, None),
        user(
            CONTROLLER_MANAGER,
            CA,
            "system:kube-controller-manager",
            controllers,
        ),
        user("tls/kube-scheduler", CA, "system:kube-scheduler", None),
        user("kubelet/client", CA, &node, Some("system:nodes")),
        user(
            "tls/front-proxy-client",
            FRONT_PROXY_CA,
            "front-proxy-client",
            None,
        ),
        user(
            "tls/etcd-client",
            ETCD_CA,
            "kube-apiserver-etcd-client",
            None,
        ),
    ]
}

/// Static pods have users of their own and no checkpoints.
fn checkpoints(machine: &Machine) -> Vec<Wanted> {
    if machine.control_plane == ControlPlane::Static {
        return Vec::new();
    }
    let also = machine.checkpoints.also.iter().map(|add_on| match add_on {
        AddOn::KubeProxy => "tls/checkpoint/kube-system/kube-proxy",
        AddOn::Flannel => "tls/checkpoint/kube-system/flannel",
    });
    let names = OF_CHECKPOINTS.into_iter().chain(also);
    names
        .map(|name| line(name, &account_user(name), Use::Client, Some(CA)))
        .collect()
}

/// The user name of the ServiceAccount that a certificate is named after.
fn account_user(name: &str) -> String {
    let account = name.strip_prefix(CHECKPOINTS).unwrap_or(name);
    format!("system:serviceaccount:{}", account.replace('/', ":"))
}

fn servers(machine: &Machine) -> Vec<Wanted> {
    let server = |name, issuer, common_name: &str, names| Wanted {
        names,
        ..line(name, common_name, Use::Server, Some(issuer))
    };
    let node = format!("system:node:{}", machine.node.name);
    let here = node_names(machine);
    let etcd = [here.clone(), loopback()].concat();
    vec![
        server("tls/apiserver", CA, "kube-apiserver", api_names(machine)),
        Wanted {
            organization: Some("system:nodes".to_owned()),
            ..server("kubelet/serving", CA, &node, here)
        },
        // Both uses: etcd's own client for its metrics and gateways presents the server's.
        Wanted {
            usage: Use::Both,
            ..server("tls/etcd/server", ETCD_CA, "etcd", etcd.clone())
        },
        Wanted {
            usage: Use::Both,
            ..server("tls/etcd/peer", ETCD_CA, "etcd-peer", etcd)
        },
    ]
}

/// The names and addresses that clients look for the API server at.
pub fn api_names(machine: &Machine) -> Vec<AltName> {
    let service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let mut names: Vec<AltName> = service
        .iter()
        .map(|&name| AltName::Dns(name.into()))
        .collect();
    let full = format!("kubernetes.default.svc.{}", machine.cluster.domain);
    names.push(AltName::Dns(full));
    names.extend(
        machine
            .cluster
            .api_service_ips()
            .into_iter()
            .map(AltName::Ip),
    );
    names.extend(node_names(machine));
    names.extend(loopback());
    let endpoint = machine.api.endpoint.iter().map(|endpoint| &endpoint.host);
    for name in endpoint.chain(&machine.api.alt_names) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn node_names(machine: &Machine) -> Vec<AltName> {
    let name = std::iter::once(AltName::Dns(machine.node.name.clone()));
    name.chain(machine.node.addresses().map(AltName::Ip))
        .collect()
}

fn loopback() -> Vec<AltName> {
    vec![
        AltName::Dns("localhost".into()),
        AltName::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    ]
}
