//! `role:`, and what of the document is of no use to one of the roles.
//!
//! What has no effect is refused rather than ignored: whoever writes it believes that it has one.

use crate::config::machine::Role;
use crate::config::reader::{Reader, choice};

/// What only a node with a control plane heeds.
const OF_CONTROL_PLANES: [&str; 15] = [
    "controlPlane",
    "nodes",
    "api",
    "etcd",
    "certificates",
    "images",
    "network",
    "encryption",
    "audit",
    "podSecurity",
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

fn refuse(reader: &mut Reader, path: &str, role: &str) {
    if reader.is_given(path) {
        reader.refuse(path, format!("has no effect on {role}; remove it"));
    }
}
