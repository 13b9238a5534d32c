//! The binary from outside: what a person types, the exit code and the words that come back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::Command;

const DOCUMENT: &str = "apiVersion: slipway.dev/v1alpha1\nkind: Machine\n\
    node: {name: node-a, address: 192.0.2.1}\ncluster: {name: harbour}\n";

/// Exit code, standard output and standard error.
fn slipway(folder: &Path, line: &str) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_slipway"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn validate_finds_what_only_a_rendering_does() {
    let dir = tempfile::tempdir().unwrap();
    let twice = "manifests: [{name: a.yaml, content: \"a: 1\\na: 2\\n\"}]\n";
    let table = [
        ("", 0, "valid: node-a of cluster harbour"),
        (
            "manifests: [{name: a.yaml, file: /nowhere}]\n",
            0,
            "valid: node-a",
        ),
        (
            "patches: [{target: kube-apisrver, strategic: {a: 1}}]\n",
            3,
            "patches[0] (target kube-apisrver): there is no such manifest; there are bootstrap-apiserver, bootstrap-",
        ),
        (
            "patches: [{target: etcd, json: [{op: remove, path: /x}]}]\n",
            3,
            "patches[0] (target etcd): operation 1: there is nothing at \"/x\"",
        ),
        (
            "patches: [{target: kube-scheduler, strategic: {metadata: {name: x}}}]\n",
            3,
            "metadata.name must stay",
        ),
        (
            "arguments: {kube-apiserver: {secure-port: \"1\"}}\n",
            3,
            "api.port",
        ),
        (
            "arguments: {kube-scheduler: {nothing: null}}\n",
            3,
            "there is no --nothing to take away",
        ),
        (twice, 3, "manifests[0].content: is not YAML"),
        (
            "manifests: [{name: node.yaml, content: \"{apiVersion: v1, kind: Pod, metadata: {name: a}}\"}]\n",
            3,
            "manifests[0] (node.yaml): slipway renders a file of this name",
        ),
    ];
    for (more, exit, expected) in table {
        fs::write(dir.path().join("m.yaml"), format!("{DOCUMENT}{more}")).unwrap();
        let (code, out, error) = slipway(dir.path(), "validate m.yaml");
        assert_eq!(code, exit, "{more}: {error}");
        assert!(
            format!("{out}{error}").contains(expected),
            "{more}: {out}{error}"
        );
    }
}

#[test]
fn a_plan_ends_with_what_it_found_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let document =
        |more: &str| fs::write(dir.path().join("m.yaml"), format!("{DOCUMENT}{more}")).unwrap();
    document("");
    let (code, out, error) = slipway(dir.path(), "plan --config m.yaml --asset-dir assets");
    assert_eq!(code, 7, "{error}");
    assert!(out.contains("would add tls/ca.key: new\n") && error.contains("files would change"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(
        slipway(dir.path(), "render --config m.yaml --asset-dir assets").0,
        0
    );
    let same = slipway(dir.path(), "plan --config m.yaml --asset-dir assets");
    assert_eq!(same, (0, String::new(), String::new()));
    document("arguments: {kube-scheduler: {v: \"4\"}}\n");
    let (code, out, _) = slipway(
        dir.path(),
        "plan --config m.yaml --asset-dir assets --output json",
    );
    assert_eq!(code, 7);
    let plan: serde_json::Value = serde_json::from_str(&out).unwrap();
    let files = plan["files"].as_array().unwrap();
    let paths: Vec<_> = files
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "bootstrap-manifests/bootstrap-scheduler.yaml",
            "manifests/kube-scheduler.yaml"
        ]
    );
    for file in files {
        assert_eq!(file["action"], "change");
        assert!(
            file["diff"].as_str().unwrap().contains("- --v=4\n"),
            "{file}"
        );
    }
}

/// It is none that nothing differs while render could not go on.
#[test]
fn a_plan_tells_what_waits_for_a_signature() {
    let dir = tempfile::tempdir().unwrap();
    let document = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/14-external-authority/in.yaml"
    );
    let of = |command: &str| {
        let line = format!("{command} --config {document} --asset-dir assets");
        slipway(dir.path(), &line)
    };
    let (code, _, error) = of("render");
    assert_eq!(code, 6, "{error}");
    assert!(error.contains("append the first 1 of"), "{error}");
    let (code, out, error) = of("plan");
    assert_eq!(code, 7, "{error}");
    assert_eq!(out.lines().count(), 7, "{out}");
    assert!(
        out.contains("would wait: sign tls/csr/admin.csr as tls/admin.crt (new)\n"),
        "{out}"
    );
    assert!(
        error.contains("0 files would change; 7 certificates have to be signed by somebody else"),
        "{error}"
    );
    let (code, out, _) = of("plan --output json");
    let plan: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, plan["waiting"].as_array().unwrap().len()), (7, 7));
    let expected = serde_json::json!({
        "request": "tls/csr/kubelet-client.csr", "certificate": "kubelet/client.crt", "reason": "new"
    });
    let waiting = plan["waiting"].as_array().unwrap();
    assert!(waiting.contains(&expected), "{plan}");
    assert_eq!(of("plan --live").0, 6);
    let (code, out, error) = slipway(dir.path(), "certs --asset-dir assets");
    assert_eq!(code, 0, "{error}");
    let signs = out.matches("    to do    sign tls/csr/").count();
    assert_eq!(
        (signs, out.matches("not signed yet").count()),
        (7, 7),
        "{out}"
    );
}

#[test]
fn a_live_plan_needs_a_cluster() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("m.yaml"), DOCUMENT).unwrap();
    let (code, _, error) = slipway(dir.path(), "plan --live --config m.yaml --asset-dir none");
    assert_eq!(code, 1);
    assert!(
        error.contains("cannot use the kubeconfig none/auth/kubeconfig"),
        "{error}"
    );
}

#[test]
fn flags_of_the_original_name_the_field() {
    let dir = tempfile::tempdir().unwrap();
    let line = "render --asset-dir=a --pod-cidr 10.2.0.0/16 --network-provider=flannel";
    let (code, _, error) = slipway(dir.path(), line);
    assert_eq!(code, 2);
    assert!(
        error.contains("--pod-cidr: cluster.podCIDR")
            && error.contains("--network-provider: network.provider")
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
