//! `role:`, and what of the document is of no use to one of the roles.
//!
//! What has no effect is refused rather than ignored: whoever writes it believes that it has one.

use crate::config::machine::{Network, Role};
use crate::config::reader::{Reader, choice};

/// What only a node with a control plane heeds.
const OF_CONTROL_PLANES: [&str; 19] = [
    "controlPlane",
    "launch",
    "nodes",
    "api",
    "etcd",
    "certificates",
    "images",
    "network",
    "checkpoints",
    "backup",
    "encryption",
    "audit",
    "podSecurity",
    "authentication",
    "arguments",
    "patches",
    "manifests",
    "cluster.serviceAccountKey",
    "join.tokenLifetime",
];
/// What only a worker heeds, or needs.
const OF_WORKERS: [(&str, &str); 2] = [
    ("join.server", "where its API server is, HOST or HOST:PORT"),
    (
        "join.authority",
        "the certificates (PEM) that prove the API server: its tls/ca.crt",
    ),
];

pub fn read(reader: &mut Reader) -> Option<Role> {
    let roles = [
        ("control-plane", Role::ControlPlane),
        ("worker", Role::Worker),
    ];
    let role = reader.optional("role", Role::ControlPlane, |text| choice(text, &roles))?;
    match role {
        Role::ControlPlane => {
            for (path, _) in OF_WORKERS {
                refuse(reader, path, "a control-plane node");
            }
        }
        Role::Worker => {
            for path in OF_CONTROL_PLANES {
                refuse(reader, path, "a worker");
            }
            reader.demand(
                "join.token",
                "the token that the control plane lets nodes join with",
            );
            for (path, example) in OF_WORKERS {
                reader.demand(path, example);
            }
        }
    }
    Some(role)
}

/// Refuses what is said of components that this cluster does not run.
pub fn of_components_that_run(reader: &mut Reader, network: Option<Network>) {
    let mut idle = Vec::new();
    if reader.says("etcd.external") {
        idle.push(("etcd", "a cluster with etcd.external"));
    }
    if network == Some(Network::None) {
        idle.push(("flannel", "a cluster with network.provider: none"));
    }
    for (component, cluster) in idle {
        for section in ["images", "arguments"] {
            refuse(reader, &format!("{section}.{component}"), cluster);
        }
    }
}

/// Refuses a field that has no effect on a node or cluster of this kind.
pub fn refuse(reader: &mut Reader, path: &str, role: &str) {
    if reader.says(path) {
        reader.refuse(path, format!("has no effect on {role}; remove it"));
    }
}
