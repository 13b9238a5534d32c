use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::*;
use crate::checkpoint::cluster::policy::testing::{LISTS, policy_of};
use crate::pki::csr::testing::Parts;

const USER: &str = "system:node:worker-1";

fn policy() -> Policy {
    Policy::parse(&LISTS).unwrap()
}

/// Two other nodes, one of which has said nothing of itself yet.
fn nodes() -> Vec<Value> {
    let addresses = json!([
        {"type": "InternalIP", "address": "10.0.2.15"}, {"type": "InternalIP", "address": "fd00::15"},
        {"type": "Hostname", "address": "node-a"}, {"type": "ExternalIP", "address": "::ffff:10.0.2.16"}]);
    let own = json!([{"type": "InternalIP", "address": "10.0.2.21"}]);
    vec![
        json!({"metadata": {"name": "worker-1"}, "status": {"addresses": own}}),
        json!({"metadata": {"name": "node-a"}, "status": {"addresses": addresses}}),
        json!({"metadata": {"name": "worker-2"}}),
    ]
}

/// A request of worker-1 with this content.
fn csr_of(parts: &Parts) -> Value {
    json!({"metadata": {"name": "csr-1"}, "spec": {
        "signerName": SERVING, "username": USER, "groups": ["system:nodes", "system:authenticated"],
        "usages": ["digital signature", "server auth"], "request": STANDARD.encode(parts.pem()),
    }})
}

fn csr(common_name: &str, organization: &str, dns: &[&str], addresses: &[&str]) -> Value {
    let addresses: Vec<_> = addresses
        .iter()
        .map(|address| address.parse().unwrap())
        .collect();
    csr_of(&Parts::new(common_name, organization, dns, &addresses))
}

fn names(dns: &[&str], addresses: &[&str]) -> Value {
    csr(USER, "system:nodes", dns, addresses)
}

/// A good request with one field of its spec changed.
fn spec(field: &str, value: Value) -> Value {
    let mut csr = names(&["worker-1"], &["10.0.2.21"]);
    csr["spec"][field] = value;
    csr
}

#[test]
fn a_nodes_own_names_are_approved() {
    let approved = [
        (names(&["worker-1"], &["10.0.2.21"]), "worker-1, 10.0.2.21"),
        (
            names(&[], &["10.0.2.21", "fd00::21"]),
            "10.0.2.21, fd00::21",
        ),
        (names(&["worker-1"], &[]), "worker-1"),
        (names(&[], &["::ffff:10.0.2.21"]), "10.0.2.21"),
        (
            spec("usages", json!(["server auth", "digital signature"])),
            "worker-1, 10.0.2.21",
        ),
        (
            spec(
                "usages",
                json!(["key encipherment", "digital signature", "server auth"]),
            ),
            "worker-1, 10.0.2.21",
        ),
    ];
    for (csr, what) in approved {
        let expected = Verdict::Approve(Finding {
            reason: "SlipwayKubeletServing",
            message: format!("node worker-1 serves as {what}"),
        });
        assert_eq!(decide(&csr, &policy(), &nodes()), expected);
    }
}

/// What a node asks for as itself.
fn as_node(name: &str, addresses: &[&str]) -> Value {
    let user = format!("system:node:{name}");
    let mut csr = csr(&user, "system:nodes", &[name], addresses);
    csr["spec"]["username"] = json!(user);
    csr
}

fn is_approved(csr: &Value, policy: &Policy, nodes: &[Value]) -> bool {
    matches!(decide(csr, policy, nodes), Verdict::Approve(_))
}

#[test]
fn what_is_the_api_servers_is_the_control_planes_only() {
    let everywhere = policy_of("*", "0.0.0.0/0,::/0").unwrap();
    let node = |name: &str| json!({"metadata": {"name": name}});
    let named = [
        "kubernetes",
        "localhost",
        "api.example.com",
        "w.api.example",
    ];
    for name in named {
        let Verdict::Deny(refusal) = decide(&as_node(name, &[]), &everywhere, &[node(name)]) else {
            panic!("{name} was certified")
        };
        assert_eq!(refusal.reason, "ReservedName", "{}", refusal.message);
    }
    let addresses = [
        "127.0.0.1",
        "127.8.0.1",
        "::1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "10.3.0.1",
        "10.0.2.100",
        "fd00::100",
    ];
    for address in addresses {
        let asks = as_node("worker-1", &[address]);
        let Verdict::Deny(refusal) = decide(&asks, &everywhere, &[node("worker-1")]) else {
            panic!("{address} was certified")
        };
        assert_eq!(refusal.reason, "ReservedAddress", "{}", refusal.message);
    }
    // By its name, or by the label; but what is every machine's is not the control plane's either.
    let asks = as_node("node-a", &["10.0.2.15"]);
    assert!(is_approved(&asks, &policy(), &nodes()));
    let mut second = node("worker-3");
    let asks = as_node("worker-3", &["10.0.2.100"]);
    assert!(!is_approved(&asks, &everywhere, &[second.clone()]));
    second["metadata"]["labels"][CONTROL_PLANE_LABEL] = json!("");
    assert!(is_approved(&asks, &everywhere, &[second]));
    let asks = as_node("node-a", &["127.0.0.1"]);
    assert!(!is_approved(&asks, &everywhere, &nodes()));
}

/// Both say that they have the address; before, neither was certified.
#[test]
fn of_two_claims_the_older_counts() {
    let node = |name: &str, made: &str, address: &str| {
        json!({"metadata": {"name": name, "creationTimestamp": made},
               "status": {"addresses": [{"type": "InternalIP", "address": address}]}})
    };
    let [older, newer] = ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"];
    let same = "10.0.2.21";
    let table = [
        // Who asks, since when, and its own address; who else has it, since when; who is named.
        (("worker-1", older, same), ("worker-2", newer), None),
        (
            ("worker-1", newer, same),
            ("worker-2", older),
            Some("worker-2"),
        ),
        (("worker-1", newer, same), ("node-a", older), Some("node-a")),
        (("worker-1", older, same), ("node-a", newer), Some("node-a")),
        (("node-a", newer, same), ("worker-1", older), None),
        (("worker-1", older, same), ("worker-2", older), None),
        (
            ("worker-2", older, same),
            ("worker-1", older),
            Some("worker-1"),
        ),
        // Older, but it does not say that it has the address.
        (
            ("worker-1", older, "10.0.2.22"),
            ("worker-2", newer),
            Some("worker-2"),
        ),
    ];
    for ((asks, made, own), (other, other_made), prior) in table {
        let nodes = [node(other, other_made, same), node(asks, made, own)];
        match (decide(&as_node(asks, &[same]), &policy(), &nodes), prior) {
            (Verdict::Approve(_), None) => {}
            (Verdict::Deny(refusal), Some(prior)) => {
                assert_eq!(refusal.reason, "ForeignAddress");
                let says =
                    format!("node {asks} asks for {same}, which is an address of node {prior},");
                assert!(refusal.message.starts_with(&says), "{}", refusal.message);
            }
            (verdict, _) => panic!("{asks} and {other}: {verdict:?}"),
        }
    }
}

#[test]
fn a_name_that_no_node_can_have_is_denied_whatever_the_patterns_allow() {
    let everything = policy_of("*,*.edge", "10.0.2.0/24").unwrap();
    let names = [
        "*.edge",
        "worker-*",
        "*",
        "Worker-1",
        "a,b",
        "a\0b",
        "a b",
        "worker-1.",
        ".edge",
        "-a",
        "a..b",
        "\u{e4}",
    ];
    let long = "a".repeat(64);
    for name in names.into_iter().chain([&*long]) {
        let user = format!("system:node:{name}");
        let mut csr = csr(&user, "system:nodes", &[name], &[]);
        csr["spec"]["username"] = json!(user);
        let Verdict::Deny(refusal) = decide(&csr, &everything, &nodes()) else {
            panic!("{name:?} was certified")
        };
        assert_eq!(refusal.reason, "NoNodeName", "{}", refusal.message);
    }
}

#[test]
fn what_is_not_ours_to_decide_is_left_alone() {
    let decided = |kind: &str| {
        let mut csr = names(&["kubernetes"], &[]);
        csr["status"] = json!({"conditions": [{"type": kind, "status": "True"}]});
        csr
    };
    for csr in [
        spec(
            "signerName",
            json!("kubernetes.io/kube-apiserver-client-kubelet"),
        ),
        spec("signerName", json!("kubernetes.io/kubelet-serving/")),
        spec("signerName", json!("example.com/kubelet-serving")),
        decided("Approved"),
        decided("Denied"),
        decided("Failed"),
        json!({}),
    ] {
        assert_eq!(decide(&csr, &policy(), &nodes()), Verdict::Ignore, "{csr}");
    }
    let noted = decided("Noted");
    assert!(matches!(
        decide(&noted, &policy(), &nodes()),
        Verdict::Deny(_)
    ));
}

mod denied;
mod joining;
