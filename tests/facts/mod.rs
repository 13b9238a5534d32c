//! Facts that safety depends on, asserted apart from the trees so that nobody updates them away.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use slipway::config::yaml;

use super::{all, texts};

// What the handover stands on (docs/design.md §5).

#[test]
fn the_two_doors_hold_in_every_tree() {
    for (_, assets) in all() {
        let text = texts(assets, |path| path.ends_with("apiserver.yaml"));
        let [(_, bootstrap), (_, hosted)] = &text[..] else {
            panic!("{text:?}")
        };
        assert!(bootstrap.contains("--bind-address=127.0.0.1\n"));
        assert!(bootstrap.contains("--endpoint-reconciler-type=none\n"));
        assert!(!hosted.contains("--endpoint-reconciler-type"));
        assert!(hosted.contains("maxSurge: 1\n      maxUnavailable: 0\n"));
        assert!(
            !hosted.contains("host: "),
            "its probes must use the node's address"
        );
    }
}

#[test]
fn who_serves_shares_the_port_and_all_six_the_user() {
    let component = |path: &str| {
        let names = ["apiserver", "controller-manager", "scheduler"];
        let hosted = names
            .iter()
            .any(|name| path == format!("manifests/kube-{name}.yaml"));
        hosted || path.starts_with("bootstrap-manifests/")
    };
    for (_, assets) in all() {
        let texts = texts(assets, component);
        assert_eq!(texts.len(), 6);
        for (path, text) in texts {
            let serves = path.starts_with("manifests/") || path.contains("apiserver");
            assert_eq!(!text.contains("--secure-port=0\n"), serves, "{path}");
            let shares = text.contains("--permit-port-sharing=true\n");
            assert_eq!(shares, serves, "{path}");
            assert!(text.contains("runAsUser: 65532\n"), "{path}");
            assert!(!text.contains("containerPort:"), "{path}");
        }
    }
}

/// The kubelet denies static pods that name objects of the API.
#[test]
fn static_pods_name_no_objects() {
    let is_static =
        |path: &str| path.starts_with("bootstrap-manifests/") || path == "etcd/etcd.yaml";
    for (_, assets) in all() {
        for (path, text) in texts(assets, is_static) {
            for forbidden in ["serviceAccountName", "secretName", "configMap", "projected"] {
                assert!(!text.contains(forbidden), "{path}: {forbidden}");
            }
        }
    }
}

/// Flags that name files in the folder of a pod's secrets.
fn files_of(object: &Value) -> Vec<String> {
    let template = &object["spec"]["template"]["spec"];
    let pod = if template.is_null() {
        &object["spec"]
    } else {
        template
    };
    let arguments = pod["containers"][0]["args"]
        .as_array()
        .into_iter()
        .flatten();
    arguments
        .filter_map(|argument| argument.as_str()?.split_once("=/etc/kubernetes/secrets/"))
        .map(|(_, file)| file.to_owned())
        .collect()
}

/// A flag that names a file which is not there stops its component at every start.
#[test]
fn what_flags_name_is_there() {
    let mut named = 0;
    for (case, assets) in all() {
        let objects: Vec<_> = texts(assets, |path| path.ends_with(".yaml"))
            .into_iter()
            .map(|(path, text)| (path, yaml::documents(&text).unwrap().remove(0)))
            .collect();
        for (path, object) in &objects {
            let secret = objects.iter().find(|(_, other)| {
                other["kind"] == "Secret" && other["metadata"]["name"] == object["metadata"]["name"]
            });
            for file in files_of(object) {
                named += 1;
                let found = match path.starts_with("manifests/") {
                    true => secret.is_some_and(|(_, secret)| !secret["data"][&file].is_null()),
                    false => assets.get(&format!("tls/{file}")).is_some(),
                };
                assert!(found, "{}/{path}: {file}", case.display());
            }
        }
    }
    assert!(named > 30 * all().len(), "{named}");
}

/// What nobody else may read: keys, and what holds one.
#[test]
fn secrets_are_their_owner_s_alone() {
    for (case, assets) in all() {
        let mut secrets = 0;
        for (path, asset) in assets.iter() {
            let text = String::from_utf8_lossy(asset.bytes.expose());
            let words = [
                "PRIVATE KEY",
                "kind: Secret\n",
                "client-key-data:",
                "token: ",
                "secretbox:",
            ];
            if path.ends_with(".key") || words.iter().any(|word| text.contains(word)) {
                secrets += 1;
                assert_eq!(asset.mode, 0o600, "{}/{path}", case.display());
            }
        }
        assert!(secrets > 10, "{}: {secrets}", case.display());
    }
}

// What the original rendered, and what of it must not come back.

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

/// Every manifest of every case, with its path.
fn objects() -> Vec<(String, Value)> {
    let mut objects = Vec::new();
    for (case, assets) in all() {
        for (path, text) in texts(assets, |path| path.ends_with(".yaml")) {
            let path = format!("{}/{path}", case.display());
            objects.extend(
                yaml::documents(&text)
                    .unwrap()
                    .into_iter()
                    .map(|object| (path.clone(), object)),
            );
        }
    }
    objects
}

/// The original gave the default account of kube-system, and every pod with it, the whole cluster.
#[test]
fn no_account_is_an_administrator() {
    let mut bindings = 0;
    for (path, object) in objects() {
        let kind = object["kind"].as_str().unwrap();
        assert_ne!(object["roleRef"]["name"], "cluster-admin", "{path}");
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
    assert_eq!(tokens, all().len());
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
        for container in object["spec"]["template"]["spec"]["containers"]
            .as_array()
            .into_iter()
            .flatten()
        {
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                probed += 1;
                assert_eq!(container[probe]["httpGet"]["scheme"], "HTTPS", "{path}");
            }
        }
    }
    assert_eq!(probed, 9 * all().len());
}
