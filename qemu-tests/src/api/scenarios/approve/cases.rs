//! Requests that users make, and what the approver is to say to each.

use slipway::pki;

use super::SERVING;

/// Nodes and their addresses.
pub const NODES: [(&str, &[&str]); 4] = [
    ("node-a", &["10.0.2.15"]),
    ("worker-1", &["10.0.2.21", "10.0.2.24"]),
    ("worker-2", &["10.0.2.22", "10.0.2.24"]),
    ("worker-api", &["10.0.2.23"]),
];

/// A request, and what becomes of it: a condition's type and reason, or nothing at all.
pub struct Case {
    pub name: &'static str,
    /// Whose certificate makes the request.
    pub user: &'static str,
    pub groups: &'static [&'static str],
    pub common_name: &'static str,
    pub names: &'static [&'static str],
    pub usage: &'static str,
    pub signer: &'static str,
    pub verdict: Option<(&'static str, &'static str)>,
}

pub const GOOD: Case = Case {
    name: "good",
    user: "system:node:worker-1",
    groups: &["system:nodes"],
    common_name: "system:node:worker-1",
    names: &["worker-1", "10.0.2.21"],
    usage: "server auth",
    signer: SERVING,
    verdict: Some(("Approved", "SlipwayKubeletServing")),
};

pub const READY_WORKER: &str = "token-as-a-ready-worker";

/// Somebody shows the token of this cluster.
pub const JOINING: Case = Case {
    name: "joining",
    user: "system:bootstrap:abcdef",
    groups: &["system:bootstrappers", pki::TOKEN_GROUP],
    common_name: "system:node:worker-8",
    names: &[],
    usage: "client auth",
    signer: "kubernetes.io/kube-apiserver-client-kubelet",
    verdict: Some(("Approved", "SlipwayNodeClient")),
};

const fn denied(reason: &'static str) -> Option<(&'static str, &'static str)> {
    Some(("Denied", reason))
}

/// What is nobody's of ours first: when the last one is decided, these were passed over.
pub const CASES: [Case; 22] = [
    Case {
        name: "client-certificate",
        names: &[],
        usage: "client auth",
        signer: "kubernetes.io/kube-apiserver-client-kubelet",
        verdict: None,
        ..GOOD
    },
    Case {
        name: "other-token",
        user: "system:bootstrap:fedcba",
        groups: &["system:bootstrappers"],
        verdict: None,
        ..JOINING
    },
    Case {
        name: "token-as-a-new-worker",
        ..JOINING
    },
    Case {
        name: "token-as-the-control-plane",
        common_name: "system:node:node-a",
        verdict: denied("ControlPlane"),
        ..JOINING
    },
    Case {
        name: "token-as-a-stranger",
        common_name: "system:node:stranger",
        verdict: denied("UnknownNode"),
        ..JOINING
    },
    Case {
        name: READY_WORKER,
        common_name: "system:node:worker-2",
        verdict: None,
        ..JOINING
    },
    Case {
        name: "other-signer",
        signer: "example.com/kubelet-serving",
        verdict: None,
        ..GOOD
    },
    Case {
        name: "address-out-of-range",
        names: &["worker-1", "192.0.2.1"],
        verdict: denied("AddressOutOfRange"),
        ..GOOD
    },
    Case {
        name: "address-of-another-node",
        names: &["worker-1", "10.0.2.22"],
        verdict: denied("ForeignAddress"),
        ..GOOD
    },
    Case {
        name: "address-that-a-newcomer-claims-too",
        names: &["worker-1", "10.0.2.24"],
        ..GOOD
    },
    Case {
        name: "claim-of-a-newcomer",
        user: "system:node:worker-2",
        common_name: "system:node:worker-2",
        names: &["worker-2", "10.0.2.24"],
        verdict: denied("ForeignAddress"),
        ..GOOD
    },
    Case {
        name: "address-of-the-api-server",
        names: &["worker-1", "10.0.2.100"],
        verdict: denied("ReservedAddress"),
        ..GOOD
    },
    Case {
        name: "name-of-the-api-server",
        user: "system:node:worker-api",
        common_name: "system:node:worker-api",
        names: &["worker-api"],
        verdict: denied("ReservedName"),
        ..GOOD
    },
    Case {
        name: "no-such-node",
        user: "system:node:worker-9",
        common_name: "system:node:worker-9",
        names: &["worker-9"],
        verdict: denied("NoSuchNode"),
        ..GOOD
    },
    Case {
        name: "wildcard",
        user: "system:node:worker-*",
        common_name: "system:node:worker-*",
        names: &["worker-*"],
        verdict: denied("NoNodeName"),
        ..GOOD
    },
    Case {
        name: "foreign-name",
        names: &["worker-1", "kubernetes.default.svc"],
        verdict: denied("ForeignName"),
        ..GOOD
    },
    Case {
        name: "name-of-another-node",
        common_name: "system:node:node-a",
        verdict: denied("ForeignSubject"),
        ..GOOD
    },
    Case {
        name: "usage-of-a-client",
        usage: "client auth",
        verdict: denied("UnexpectedUsages"),
        ..GOOD
    },
    Case {
        name: "unknown-node",
        user: "system:node:stranger",
        common_name: "system:node:stranger",
        names: &["stranger"],
        verdict: denied("UnknownNode"),
        ..GOOD
    },
    Case {
        name: "no-node",
        user: "somebody",
        groups: &[],
        verdict: denied("NoNode"),
        ..GOOD
    },
    Case {
        name: "uri",
        names: &["worker-1", "spiffe://worker-1"],
        verdict: denied("UnexpectedRequest"),
        ..GOOD
    },
    Case {
        name: "address-alone",
        names: &["10.0.2.21"],
        ..GOOD
    },
];
