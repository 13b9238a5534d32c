//! Facts that safety depends on, asserted apart from the trees so that nobody updates them away.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;
use slipway::assets::Assets;
use slipway::config::yaml;

use super::{all, texts};

mod original;
mod ports;

/// Cases whose control plane is an object of its own API.
fn self_hosted() -> impl Iterator<Item = &'static Assets> {
    let assets = all().iter().map(|(_, assets)| assets);
    assets.filter(|assets| assets.below("bootstrap-manifests/").next().is_some())
}

/// Cases whose control plane is of static pods that stay.
fn static_planes() -> Vec<&'static Assets> {
    let assets = all().iter().map(|(_, assets)| assets);
    let some: Vec<_> = assets
        .filter(|assets| assets.below("static-manifests/").next().is_some())
        .collect();
    assert!(!some.is_empty());
    some
}

/// Every manifest of every case, with its path; read once for all tests.
fn objects() -> &'static [(String, Value)] {
    static OBJECTS: LazyLock<Vec<(String, Value)>> = LazyLock::new(read_objects);
    &OBJECTS
}

fn read_objects() -> Vec<(String, Value)> {
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

/// The pods of a workload, or the pod itself.
fn pod(object: &Value) -> &Value {
    let template = &object["spec"]["template"]["spec"];
    if template.is_null() {
        &object["spec"]
    } else {
        template
    }
}

// What the handover stands on (docs/design.md §5).

#[test]
fn the_two_doors_hold_in_every_tree() {
    for assets in self_hosted() {
        let text = texts(assets, |path| path.ends_with("apiserver.yaml"));
        let [(_, bootstrap), (_, hosted)] = &text[..] else {
            panic!("{text:?}")
        };
        assert!(bootstrap.contains("--bind-address=127.0.0.1\n"));
        assert!(bootstrap.contains("--endpoint-reconciler-type=none\n"));
        let hosted_set = &yaml::documents(hosted).unwrap()[0];
        let arguments = pod(hosted_set)["containers"][0]["args"].to_string();
        assert!(arguments.contains("--advertise-address=$(HOST_IP)"));
        assert!(!arguments.contains("--endpoint-reconciler-type"));
        assert!(hosted.contains("maxSurge: 1\n      maxUnavailable: 0\n"));
        assert!(
            !hosted.contains("host: "),
            "its probes must use the node's address"
        );
    }
}

/// The annotations of a workload's pods, and the arguments that one of them gives.
fn checkpoint(object: &Value, name: &str) -> Vec<String> {
    let annotations = &object["spec"]["template"]["metadata"]["annotations"];
    let list = annotations[format!("slipway.dev/{name}")].as_str();
    list.map_or_else(Vec::new, |list| serde_json::from_str(list).unwrap())
}

/// A checkpoint takes the temporary one's door, and its fellows ports that nobody has.
#[test]
fn a_checkpoint_stands_in_nobodys_way() {
    let mut marked = BTreeMap::new();
    for (path, object) in objects() {
        let annotations = &object["spec"]["template"]["metadata"]["annotations"];
        let mark = &annotations["checkpointer.alpha.coreos.com/checkpoint"];
        if mark == "true" {
            let arguments = checkpoint(object, "checkpoint-arguments");
            let name = object["metadata"]["name"].as_str().unwrap();
            marked.entry(name).or_insert_with(Vec::new).push(arguments);
        }
        assert!(mark == "true" || mark.is_null(), "{path}");
    }
    let planes = self_hosted().count();
    for (name, expected) in [
        (
            "kube-apiserver",
            &[
                "--bind-address=127.0.0.1",
                "--endpoint-reconciler-type=none",
                "--shutdown-delay-duration=0s",
            ][..],
        ),
        ("kube-controller-manager", &["--secure-port=10357"]),
        ("kube-scheduler", &["--secure-port=10359"]),
    ] {
        assert_eq!(
            marked.remove(name).unwrap(),
            vec![expected; planes],
            "{name}"
        );
    }
    // Of the one document that wants them.
    let add_ons: Vec<_> = marked.into_iter().collect();
    let of = |(name, argument): (_, &str)| (name, vec![vec![argument.to_owned()]]);
    let expected = [
        ("kube-flannel", "--healthz-port=8082"),
        ("kube-proxy", "--healthz-bind-address=0.0.0.0:10356"),
    ];
    assert_eq!(add_ons, expected.map(of));
}

/// Workers that nobody hears are not evicted for it, whatever else the document has the controllers do.
#[test]
fn a_checkpoint_evicts_nobody_while_the_door_is_closed() {
    let name = "kube-controller-manager";
    let mut found = 0;
    for (path, object) in objects() {
        if object["metadata"]["name"] != name || object["kind"] != "Deployment" {
            continue;
        }
        let arguments = pod(object)["containers"][0]["args"].as_array().unwrap();
        let lists: Vec<_> = arguments
            .iter()
            .filter_map(|argument| argument.as_str().unwrap().strip_prefix("--controllers="))
            .collect();
        let off = "-node-lifecycle-controller,-taint-eviction-controller";
        let expected = format!("--controllers={},{off}", lists.join(","));
        assert_eq!(
            checkpoint(object, "checkpoint-arguments-closed"),
            [expected],
            "{path}"
        );
        found += 1;
    }
    assert_eq!(found, self_hosted().count());
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
    for assets in self_hosted() {
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

/// No object of the API stands for it, and nobody reads the authority's key but who signs.
#[test]
fn a_static_control_plane_is_three_pods_alone() {
    for assets in static_planes() {
        let objects = ["apiserver", "controller-manager", "scheduler"]
            .map(|name| format!("manifests/kube-{name}"));
        let has = |start: &str| assets.iter().any(|(path, _)| path.starts_with(start));
        assert!(!objects.iter().any(|start| has(start)));
        assert!(!has("bootstrap-manifests/"));
        let texts = texts(assets, |path| path.starts_with("static-manifests/"));
        assert_eq!(texts.len(), 3);
        for (path, text) in texts {
            assert!(text.contains("runAsUser: 65532\n"), "{path}");
            assert!(text.contains("    slipway.dev/secrets: "), "{path}");
            for word in [
                "--secure-port=0",
                "--endpoint-reconciler-type",
                "127.0.0.1:6443",
            ] {
                assert!(!text.contains(word), "{path}: {word}");
            }
            let can_sign = assets.get("tls/ca.key").is_some();
            let signs = can_sign && path.contains("controller-manager");
            assert_eq!(text.contains("/ca.key\n"), signs, "{path}");
        }
    }
}

/// A request to join would be approved, and then wait for ever.
#[test]
fn where_somebody_else_signs_nobody_is_let_in() {
    let is_kept = |assets: &Assets| assets.get("tls/ca.key").is_some();
    let (own, others): (Vec<_>, Vec<_>) = (all().iter()).partition(|(_, assets)| is_kept(assets));
    assert!(!own.is_empty() && !others.is_empty());
    for (case, assets) in all() {
        let joins = |path: &str| {
            let file = path.rsplit('/').next().unwrap();
            file.starts_with("csr-")
                || file.contains("kubelet-bootstrap")
                || file == "kubeconfig-kubelet"
        };
        let joining = assets.iter().filter(|(path, _)| joins(path)).count();
        let kubelet = &texts(assets, |path| path == "kubelet/config.yaml")[0].1;
        let asks = kubelet.contains("rotateCertificates: true\nserverTLSBootstrap: true\n");
        let expected = if is_kept(assets) {
            (5, true)
        } else {
            (0, false)
        };
        assert_eq!((joining, asks), expected, "{}", case.display());
    }
}

/// The kubelet denies static pods that name objects of the API.
#[test]
fn static_pods_name_no_objects() {
    let is_static = |path: &str| !path.starts_with("manifests/") && path.ends_with(".yaml");
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
    let arguments = pod(object)["containers"][0]["args"]
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
