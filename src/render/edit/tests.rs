//! Whole renderings with arguments and patches.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::*;
use crate::assets::Assets;
use crate::exit::{Exit, exit_of};
use crate::{config, pki, render};

fn machine() -> Machine {
    let text = "apiVersion: slipway.dev/v1alpha1\nkind: Machine\nnode: {name: node-a, address: 192.0.2.1}\n\
                cluster: {name: harbour}\n";
    config::parse(text.as_bytes()).unwrap()
}

fn rendered(machine: &Machine) -> Result<Assets> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800);
    let none = (pki::Given::default(), Assets::default());
    let (secrets, _) = pki::ensure(machine, &none.0, &none.1, now)?;
    render::render(machine, &secrets)
}

fn file(machine: &Machine, path: &str) -> String {
    let assets = rendered(machine).unwrap();
    String::from_utf8(assets.get(path).unwrap().bytes.expose().to_vec()).unwrap()
}

fn argument(component: &str, flag: &str, values: Option<&[&str]>) -> Machine {
    let mut machine = machine();
    let values = values.map(|values| values.iter().map(|&value| value.to_owned()).collect());
    let arguments = Arguments::from([(flag.to_owned(), values)]);
    machine.arguments.insert(component.to_owned(), arguments);
    machine
}

fn patched(target: &str, change: PatchKind) -> Machine {
    let mut machine = machine();
    let target = target.to_owned();
    machine.patches.push(Patch { target, change });
    machine
}

/// Every component that arguments can be given for has them in all of its files.
#[test]
fn arguments_reach_every_stage() {
    let table = [
        (
            "kube-apiserver",
            &[
                "bootstrap-manifests/bootstrap-apiserver.yaml",
                "manifests/kube-apiserver.yaml",
            ][..],
        ),
        (
            "kube-controller-manager",
            &[
                "bootstrap-manifests/bootstrap-controller-manager.yaml",
                "manifests/kube-controller-manager.yaml",
            ],
        ),
        (
            "kube-scheduler",
            &[
                "bootstrap-manifests/bootstrap-scheduler.yaml",
                "manifests/kube-scheduler.yaml",
            ],
        ),
        ("kube-proxy", &["manifests/kube-proxy.yaml"]),
        ("etcd", &["etcd/etcd.yaml"]),
        ("coredns", &["manifests/coredns-deployment.yaml"]),
        ("flannel", &["manifests/flannel.yaml"]),
        ("pod-checkpointer", &["manifests/pod-checkpointer.yaml"]),
    ];
    for (component, files) in table {
        let machine = argument(component, "x-y", Some(&["2", "1"]));
        let after = rendered(&machine).unwrap();
        let flag = b"- --x-y=2\n";
        let changed = after.iter().filter(|(_, asset)| {
            let mut windows = asset.bytes.expose().windows(flag.len());
            windows.any(|window| window == flag)
        });
        let changed: Vec<_> = changed.map(|(path, _)| path).collect();
        assert_eq!(changed, files, "{component}");
        for path in files {
            let text = file(&machine, path);
            assert!(text.contains("- --x-y=2\n"), "{path}");
            assert!(text.contains("\n# The document's arguments"), "{path}");
        }
    }
}

#[test]
fn a_flag_is_replaced_and_taken_away_in_place() {
    let path = "manifests/kube-apiserver.yaml";
    let text = file(
        &argument("kube-apiserver", "authorization-mode", Some(&["RBAC"])),
        path,
    );
    assert!(text.contains(
        "$(HOST_IP)\n        - --allow-privileged=true\n        - --authentication-config"
    ));
    assert!(text.contains("- --authorization-mode=RBAC\n") && !text.contains("Node,RBAC"));
    let text = file(&argument("kube-apiserver", "profiling", None), path);
    assert!(!text.contains("--profiling"));
}

#[test]
fn patches_change_their_target_in_order() {
    let strategic = PatchKind::Strategic(json!({"spec": {"template": {"spec": {
        "containers": [{"name": "kube-scheduler", "resources": {"requests": {"cpu": "9m"}}}],
        "priorityClassName": null,
    }}}}));
    let mut machine = patched("kube-scheduler", strategic);
    machine.patches.push(Patch {
        target: "kube-scheduler".to_owned(),
        change: PatchKind::Json(json!([
            {"op": "test", "path": "/spec/template/spec/containers/0/resources/requests/cpu", "value": "9m"},
            {"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}},
        ])),
    });
    let text = file(&machine, "manifests/kube-scheduler.yaml");
    for expected in [
        "cpu: \"9m\"\n",
        "memory: \"48Mi\"\n",
        "  annotations:\n    a: b\n",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("priorityClassName"));
    assert_eq!(
        text.matches("# Changed by the document's patches.\n")
            .count(),
        1
    );
}

#[test]
fn what_cannot_be_applied_is_the_documents_fault() {
    let strategic = |target: &str, change| patched(target, PatchKind::Strategic(change));
    let table = [
        (
            strategic("kube-apisrver", json!({})),
            "patches[0] (target kube-apisrver): there is no such manifest; there are bootstrap-apiserver, ",
        ),
        (strategic("config", json!({})), "there is no such manifest"),
        (
            strategic("etcd", json!({"metadata": {"name": "x"}})),
            "patches[0] (target etcd): metadata.name must stay",
        ),
        (
            strategic(
                "coredns-service",
                json!({"spec": {"ports": [{"name": "x"}]}}),
            ),
            "spec.ports: each item needs port",
        ),
        (
            strategic(
                "kube-apiserver",
                json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}),
            ),
            "spec.selector must stay",
        ),
        (
            patched(
                "node",
                PatchKind::Json(json!([{"op": "remove", "path": "/x"}])),
            ),
            "operation 1: there is nothing at",
        ),
        (
            argument("kube-apiserver", "secure-port", Some(&["1"])),
            "arguments.kube-apiserver: --secure-port must stay as it is; use api.port",
        ),
        (
            argument("kube-apiserver", "bind-address", None),
            "--bind-address must stay",
        ),
        (
            argument("kube-apiserver", "x", None),
            "there is no --x to take away",
        ),
        (
            argument("pod-checkpointer-x", "x", Some(&["1"])),
            "this document renders no such component",
        ),
    ];
    for (machine, expected) in table {
        let error = rendered(&machine).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(expected), "{expected}: {text}");
        assert_eq!(exit_of(&error), Exit::Invalid, "{text}");
    }
}
