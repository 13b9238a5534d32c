//! What the original rendered, and what of it must not come back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Assets, objects, pod};
use crate::all;

/// The files of the original's `manifests/`, with flannel.
const ORIGINAL: [&str; 33] = [
    "coredns-cluster-role",
    "coredns-cluster-role-binding",
    "coredns-config",
    "coredns-deployment",
    "coredns-service",
    "coredns-service-account",
    "csr-approver-role-binding",
    "csr-bootstrap-role-binding",
    "csr-renewal-role-binding",
    "flannel",
    "flannel-cfg",
    "flannel-cluster-role",
    "flannel-cluster-role-binding",
    "flannel-sa",
    "kube-apiserver",
    "kube-apiserver-secret",
    "kube-controller-manager",
    "kube-controller-manager-disruption",
    "kube-controller-manager-role-binding",
    "kube-controller-manager-secret",
    "kube-controller-manager-service-account",
    "kube-proxy",
    "kube-proxy-role-binding",
    "kube-proxy-sa",
    "kube-scheduler",
    "kube-scheduler-disruption",
    "kube-system-rbac-role-binding",
    "kubeconfig-in-cluster",
    "kubelet-bootstrap-token",
    "pod-checkpointer",
    "pod-checkpointer-role",
    "pod-checkpointer-role-binding",
    "pod-checkpointer-sa",
];

/// The rest of its files.
const ORIGINAL_ELSEWHERE: [&str; 27] = [
    "auth/kubeconfig",
    "auth/kubeconfig-kubelet",
    "bootstrap-manifests/bootstrap-apiserver.yaml",
    "bootstrap-manifests/bootstrap-controller-manager.yaml",
    "bootstrap-manifests/bootstrap-scheduler.yaml",
    "tls/admin.crt",
    "tls/admin.key",
    "tls/apiserver-kubelet-client.crt",
    "tls/apiserver-kubelet-client.key",
    "tls/apiserver.crt",
    "tls/apiserver.key",
    "tls/ca.crt",
    "tls/ca.key",
    "tls/etcd-client-ca.crt",
    "tls/etcd-client.crt",
    "tls/etcd-client.key",
    "tls/etcd/peer-ca.crt",
    "tls/etcd/peer.crt",
    "tls/etcd/peer.key",
    "tls/etcd/server-ca.crt",
    "tls/etcd/server.crt",
    "tls/etcd/server.key",
    "tls/front-proxy-ca.crt",
    "tls/front-proxy-client.crt",
    "tls/front-proxy-client.key",
    "tls/service-account.key",
    "tls/service-account.pub",
];

#[test]
fn every_file_of_the_original_is_rendered() {
    let (_, assets) = &all()[0];
    let manifests = ORIGINAL.map(|name| format!("manifests/{name}.yaml"));
    let all = ORIGINAL_ELSEWHERE.iter().map(|path| (*path).to_owned());
    let missing: Vec<_> = all
        .chain(manifests)
        .filter(|path| assets.get(path).is_none())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The API server's user at kubelets lies in a Secret, and has what is bound to it.
#[test]
fn the_api_server_may_ask_kubelets_and_nothing_else() {
    let mut bound = Vec::new();
    for (path, object) in objects() {
        for subject in object["subjects"].as_array().into_iter().flatten() {
            if subject["name"] == "kube-apiserver-kubelet-client" {
                assert_eq!(subject["kind"], "User", "{path}");
                bound.push(object["roleRef"]["name"].as_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(bound.len(), all().len());
    assert!(bound.iter().all(|role| role == "system:kubelet-api-admin"));
}

/// The original gave the default account of kube-system, and every pod with it, the whole cluster.
#[test]
fn no_account_is_an_administrator() {
    let mut bindings = 0;
    for (path, object) in objects() {
        let kind = object["kind"].as_str().unwrap();
        let role = object["roleRef"]["name"].as_str().unwrap_or_default();
        assert_ne!(role, "cluster-admin", "{path}");
        // With it whoever holds a token is any node, the control plane's too.
        assert!(!role.ends_with(":nodeclient"), "{path}");
        for subject in object["subjects"].as_array().into_iter().flatten() {
            bindings += 1;
            assert_ne!(subject["name"], "default", "{path}");
            assert_ne!(subject["name"], "system:bootstrappers", "{path}");
            assert_ne!(subject["name"], "system:authenticated", "{path}");
        }
        if kind.ends_with("Role") {
            let rules = object["rules"].to_string();
            assert!(!rules.contains("\"*\""), "{path}: {rules}");
            assert!(!rules.contains("secrets"), "{path}: {rules}");
            // Who may approve, approves for named signers only: any other would make users.
            for rule in object["rules"].as_array().unwrap() {
                if rule["verbs"].to_string().contains("approve") {
                    let only = serde_json::json!(["kubernetes.io/kubelet-serving"]);
                    assert_eq!(rule["resourceNames"], only, "{path}");
                }
            }
        }
    }
    assert!(bindings > 10, "found {bindings}");
}

/// The original's never ended, and any of them let a node in.
#[test]
fn every_bootstrap_token_ends_and_is_good_for_joining_only() {
    let mut tokens = 0;
    for (path, object) in objects() {
        if object["type"] != "bootstrap.kubernetes.io/token" {
            continue;
        }
        tokens += 1;
        let field = |name: &str| {
            let text = object["data"][name].as_str().unwrap_or_default();
            String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
        };
        assert_eq!(field("expiration"), "2026-11-23T12:00:00Z", "{path}");
        assert_eq!(field("usage-bootstrap-signing"), "false", "{path}");
        assert_eq!(
            field("auth-extra-groups"),
            "system:bootstrappers:slipway:node",
            "{path}"
        );
    }
    let lets_in = |assets: &&Assets| assets.get("tls/ca.key").is_some();
    let trees = all().iter().map(|(_, assets)| assets);
    assert_eq!(tokens, trees.filter(lets_in).count());
}

/// What 1.37 has no more: the master label, hyperkube, ports without TLS, beta kinds.
#[test]
fn nothing_is_of_the_original_s_day() {
    for (path, object) in objects() {
        let text = object.to_string();
        for word in [
            "role.kubernetes.io/master",
            "hyperkube",
            "insecure",
            "10251",
            "10252",
        ] {
            assert!(
                !text.contains(word) || path.contains("coredns-config"),
                "{path}: {word}"
            );
        }
        // The kubelet's configuration has no later version.
        let version = object["apiVersion"].as_str().unwrap();
        assert!(
            !version.contains("beta") || path.contains("/kubelet/"),
            "{path}: {version}"
        );
    }
}

#[test]
fn the_control_plane_is_probed_over_tls() {
    let names = [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ];
    let mut probed = 0;
    for (path, object) in objects() {
        if !names.iter().any(|name| object["metadata"]["name"] == *name) {
            continue;
        }
        for container in pod(object)["containers"].as_array().into_iter().flatten() {
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                probed += 1;
                assert_eq!(container[probe]["httpGet"]["scheme"], "HTTPS", "{path}");
            }
        }
    }
    assert_eq!(probed, 9 * all().len());
}
