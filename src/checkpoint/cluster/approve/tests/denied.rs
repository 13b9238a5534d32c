//! What is denied, and what is said of it.

use super::*;
use crate::pki::csr::testing::{extensions, names_of, value};

/// Each request is denied for this reason, in words that have this among them.
fn assert_denied<const N: usize>(table: [(Value, &str, &str); N]) {
    for (csr, reason, says) in table {
        let Verdict::Deny(refusal) = decide(&csr, &policy(), &nodes()) else {
            panic!("{reason}: {csr}")
        };
        assert_eq!(refusal.reason, reason, "{}", refusal.message);
        let message = &refusal.message;
        assert!(message.contains(says), "{message:?} does not say {says:?}");
    }
}

#[test]
fn addresses_of_others_or_of_nowhere() {
    assert_denied([
        (
            names(&["worker-1"], &["192.0.2.1"]),
            "AddressOutOfRange",
            "192.0.2.1, which is in none of the machine document's nodes.addresses (10.0.2.0/24, fd00::/64)",
        ),
        (
            names(&["worker-1"], &["10.0.2.21", "10.0.3.1"]),
            "AddressOutOfRange",
            "10.0.3.1",
        ),
        (
            names(&[], &["fd00:0:0:1::1"]),
            "AddressOutOfRange",
            "fd00:0:0:1::1",
        ),
        (names(&[], &["127.0.0.1"]), "ReservedAddress", "127.0.0.1"),
        (
            names(&["worker-1"], &["10.0.2.100"]),
            "ReservedAddress",
            "10.0.2.100, which is an address of the API server",
        ),
        (names(&[], &["fd00::100"]), "ReservedAddress", "fd00::100"),
        (
            names(&[], &["10.0.2.15"]),
            "ReservedAddress",
            "an address of the API server",
        ),
        (
            names(&[], &["fd00::15"]),
            "ForeignAddress",
            "address of node node-a",
        ),
        (
            names(&[], &["10.0.2.16"]),
            "ForeignAddress",
            "address of node node-a",
        ),
    ]);
}

#[test]
fn names_and_subjects_of_others() {
    let name = value(0x81, &[b"a@b.example"]);
    let mut with_email = Parts::new(USER, "system:nodes", &[], &[]);
    with_email.attributes = vec![extensions(&[names_of(&[name])])];
    assert_denied([
        (
            names(&["worker-2"], &["10.0.2.21"]),
            "ForeignName",
            "\"worker-2\"",
        ),
        (
            names(&["worker-1", "kubernetes.default.svc"], &["10.0.2.21"]),
            "ForeignName",
            "kubernetes.default.svc",
        ),
        (
            names(&["WORKER-1"], &["10.0.2.21"]),
            "ForeignName",
            "WORKER-1",
        ),
        (
            names(&["worker-1."], &["10.0.2.21"]),
            "ForeignName",
            "worker-1.",
        ),
        (names(&["*"], &["10.0.2.21"]), "ForeignName", "\"*\""),
        (names(&[], &[]), "NoNames", "no name and no address"),
        (
            csr("system:node:worker-2", "system:nodes", &["worker-1"], &[]),
            "ForeignSubject",
            "CN=\"system:node:worker-2\"",
        ),
        (
            csr("worker-1", "system:nodes", &["worker-1"], &[]),
            "ForeignSubject",
            "CN=\"worker-1\"",
        ),
        (
            csr(USER, "system:masters", &["worker-1"], &[]),
            "ForeignSubject",
            "O=\"system:masters\"",
        ),
        (
            csr_of(&with_email),
            "UnexpectedRequest",
            "e-mail address \"a@b.example\"",
        ),
        (
            spec("request", json!("")),
            "UnexpectedRequest",
            "not one PEM block",
        ),
        (
            spec("username", json!("system:node:node-a")),
            "ForeignSubject",
            "system:node:node-a asks for the subject",
        ),
    ]);
}

#[test]
fn who_is_no_node_that_is_known() {
    assert_denied([
        (
            as_node("worker-9", &["10.0.2.29"]),
            "NoSuchNode",
            "no Node worker-9",
        ),
        (
            spec("username", json!("system:node:node-b")),
            "UnknownNode",
            "node-b is none of the machine document's nodes.names (node-a, worker-*)",
        ),
        (
            spec("username", json!("system:node:")),
            "NoNode",
            "system:node: is no node",
        ),
        (
            spec("username", json!("system:bootstrap:abcdef")),
            "NoNode",
            "system:bootstrap:abcdef",
        ),
        (
            spec("username", json!("kubernetes-admin")),
            "NoNode",
            "kubernetes-admin is no node",
        ),
        (
            spec("groups", json!(["system:authenticated"])),
            "NoNode",
            "is no node",
        ),
        (spec("groups", json!(null)), "NoNode", "is no node"),
    ]);
}

#[test]
fn usages_that_no_kubelet_needs() {
    assert_denied([
        (
            spec("usages", json!(["digital signature", "client auth"])),
            "UnexpectedUsages",
            "client auth",
        ),
        (
            spec(
                "usages",
                json!(["digital signature", "server auth", "client auth"]),
            ),
            "UnexpectedUsages",
            "client auth",
        ),
        (
            spec("usages", json!(["server auth"])),
            "UnexpectedUsages",
            "[\"server auth\"]",
        ),
        (
            spec("usages", json!(["digital signature", "server auth", 7])),
            "UnexpectedUsages",
            "7",
        ),
    ]);
}
