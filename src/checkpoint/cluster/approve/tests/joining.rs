use super::*;

const TOKEN: &str = "system:bootstrap:abcdef";

/// A request of somebody who shows a token.
fn join(common_name: &str, organization: &str, dns: &[&str]) -> Value {
    let mut parts = Parts::new(common_name, organization, dns, &[]);
    if dns.is_empty() {
        parts.attributes.clear();
    }
    json!({"metadata": {"name": "node-csr-1"}, "spec": {
        "signerName": CLIENT, "username": TOKEN,
        "groups": ["system:bootstrappers", TOKEN_GROUP, "system:authenticated"],
        "usages": ["digital signature", "client auth"], "request": STANDARD.encode(parts.pem()),
    }})
}

fn join_as(name: &str) -> Value {
    join(&format!("system:node:{name}"), "system:nodes", &[])
}

fn with(field: &str, value: Value) -> Value {
    let mut csr = join_as("worker-9");
    csr["spec"][field] = value;
    csr
}

fn with_state(name: &str, ready: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"conditions": [
        {"type": "MemoryPressure", "status": "True"}, {"type": "Ready", "status": ready}]}})
}

/// The nodes of the other tests, and some of which the cluster has heard more.
fn cluster() -> Vec<Value> {
    let mut nodes = nodes();
    nodes.push(with_state("worker-ready", "True"));
    nodes.push(with_state("worker-gone", "Unknown"));
    nodes.push(with_state("worker-down", "False"));
    let label = json!({"name": "worker-labelled", "labels": {CONTROL_PLANE_LABEL: ""}});
    nodes.push(json!({"metadata": label}));
    nodes
}

#[test]
fn a_token_lets_in_expected_nodes() {
    let with_rsa = json!(["key encipherment", "client auth", "digital signature"]);
    let table = [
        (join_as("worker-9"), "worker-9"),
        (join_as("worker-gone"), "worker-gone"),
        (join_as("worker-down"), "worker-down"),
        (join_as("worker-2"), "worker-2"),
        (with("usages", with_rsa), "worker-9"),
    ];
    for (csr, node) in table {
        let expected = Verdict::Approve(Finding {
            reason: "SlipwayNodeClient",
            message: format!("node {node} joins with the token of {TOKEN}"),
        });
        assert_eq!(decide(&csr, &policy(), &cluster()), expected);
    }
}

#[test]
fn a_token_makes_nobody_else_of_its_holder() {
    let table = [
        (join_as("node-a"), "ControlPlane", "node-a carries"),
        (
            join_as("worker-labelled"),
            "ControlPlane",
            "worker-labelled carries",
        ),
        (join_as("stranger"), "UnknownNode", "stranger is none of"),
        (join_as("worker-*"), "NoNodeName", "worker-*"),
        (join_as("worker-A"), "NoNodeName", "worker-A"),
        (join_as("worker-a,b"), "NoNodeName", "worker-a,b"),
        (join_as("worker-1."), "NoNodeName", "worker-1."),
        (join_as("worker-\0"), "NoNodeName", "no node's name"),
        (join_as(""), "NoNodeName", "no node's name"),
        (
            join("kubernetes-admin", "system:masters", &[]),
            "ForeignSubject",
            "kubernetes-admin",
        ),
        (
            join("worker-9", "system:nodes", &[]),
            "ForeignSubject",
            "a token lets in nodes only",
        ),
        (
            join("system:node:worker-9", "system:masters", &[]),
            "ForeignSubject",
            "system:masters",
        ),
        (
            join("system:node:worker-9", "system:nodes", &["worker-9"]),
            "UnexpectedNames",
            "worker-9",
        ),
        (
            with("usages", json!(["digital signature", "server auth"])),
            "UnexpectedUsages",
            "server auth",
        ),
        (
            with("usages", json!(["client auth"])),
            "UnexpectedUsages",
            "digital signature",
        ),
        (
            with("usages", json!(["client auth", "client auth"])),
            "UnexpectedUsages",
            "client auth",
        ),
        (
            with(
                "usages",
                json!(["digital signature", "client auth", "server auth"]),
            ),
            "UnexpectedUsages",
            "server auth",
        ),
        (
            with("username", json!("system:node:worker-1")),
            "NoToken",
            "worker-1 is in the group",
        ),
        (
            with("request", json!("")),
            "UnexpectedRequest",
            "not one PEM block",
        ),
    ];
    for (csr, reason, says) in table {
        let Verdict::Deny(finding) = decide(&csr, &policy(), &cluster()) else {
            panic!("{reason}: {csr}")
        };
        assert_eq!(finding.reason, reason, "{}", finding.message);
        assert!(
            finding.message.contains(says),
            "{:?} does not say {says:?}",
            finding.message
        );
    }
    // Reserved, whatever the patterns allow.
    let everything = policy_of("*", "10.0.2.0/24").unwrap();
    let Verdict::Deny(finding) = decide(&join_as("kubernetes"), &everything, &[]) else {
        panic!("kubernetes has joined")
    };
    assert_eq!(finding.reason, "ReservedName");
}

/// Whoever asks: it may be the same machine installed anew, and may be a thief.
#[test]
fn a_node_that_is_ready_keeps_its_name_as_long() {
    let Verdict::Wait(why) = decide(&join_as("worker-ready"), &policy(), &cluster()) else {
        panic!("decided")
    };
    assert!(why.contains("worker-ready, which is ready"), "{why}");
    // What would be denied then is denied now.
    let mut csr = join("system:node:worker-ready", "system:nodes", &["a"]);
    assert!(matches!(
        decide(&csr, &policy(), &cluster()),
        Verdict::Deny(_)
    ));
    csr["status"] = json!({"conditions": [{"type": "Denied"}]});
    assert_eq!(decide(&csr, &policy(), &cluster()), Verdict::Ignore);
}

#[test]
fn who_shows_no_token_of_ours_is_left_alone() {
    let of = |groups: Value| with("groups", groups);
    for csr in [
        of(json!(["system:bootstrappers", "system:authenticated"])),
        of(json!(["system:nodes"])),
        of(json!(null)),
        with("signerName", json!("kubernetes.io/kube-apiserver-client")),
    ] {
        assert_eq!(
            decide(&csr, &policy(), &cluster()),
            Verdict::Ignore,
            "{csr}"
        );
    }
}
