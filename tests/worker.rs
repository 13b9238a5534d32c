//! A worker: rendered from its document and its token alone, and installed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};
use slipway::cli;
use slipway::config::{self, Machine, yaml};
use slipway::exit::{Exit, exit_of};
use slipway::kube::kubeconfig;
use slipway::pki::Given;
use slipway::render::directory::{Rendered, load, to_directory};
use slipway::render::install::install;
use slipway::secret::Secret;

const TOKEN: &str = "abcdef.0123456789abcdef";
const DOCUMENT: &str = include_str!("golden-worker/01-joins/in.yaml");

fn control_plane() -> Machine {
    let text = "apiVersion: slipway.dev/v1alpha1\nkind: Machine\n\
        node: {name: worker-1, address: 10.0.2.21}\ncluster: {name: harbour}\n";
    config::parse(text.as_bytes()).unwrap()
}

fn worker() -> Machine {
    config::parse(DOCUMENT.as_bytes()).unwrap()
}

fn authority() -> String {
    worker().join.authority.unwrap()
}

fn given(token: &str) -> Given {
    Given {
        token: Some(Secret::new(token)),
        ..Given::default()
    }
}

/// A worker dates nothing, so it may not ask for the time.
fn render(folder: &Path, given: &Given) -> anyhow::Result<Rendered> {
    let dated = || panic!("a worker asked the clock");
    to_directory(&worker(), given, folder, dated, false)
}

fn document(folder: &Path, file: &str) -> Value {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    yaml::documents(&text).unwrap().remove(0)
}

#[test]
fn everything_it_has_comes_from_the_document() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("assets");
    let rendered = render(&folder, &given(&format!("{TOKEN}\n"))).unwrap();
    assert_eq!(rendered.summary(), "6 files of a worker, kubelet config");
    let assets = load(&folder).unwrap();
    let files: Vec<_> = assets
        .iter()
        .map(|(path, asset)| (path, asset.mode))
        .collect();
    let expected = [
        (".rendered.json", 0o644),
        ("kubelet/50-slipway.conf", 0o644),
        ("kubelet/bootstrap-kubeconfig", 0o600),
        ("kubelet/config.yaml", 0o644),
        ("kubelet/hostname", 0o644),
        ("kubelet/kubelet.env", 0o644),
        ("tls/ca.crt", 0o644),
    ];
    assert_eq!(files, expected);
    assert_eq!(
        fs::read_to_string(folder.join("tls/ca.crt")).unwrap(),
        authority()
    );
    let kubelet = document(&folder, "kubelet/config.yaml");
    assert_eq!(kubelet["serverTLSBootstrap"], true);
    assert_eq!(kubelet["rotateCertificates"], true);
    assert_eq!(
        kubelet["authentication"]["x509"]["clientCAFile"],
        "/etc/kubernetes/ca.crt"
    );
    assert_eq!(kubelet.get("tlsCertFile"), None);
    let environment = fs::read_to_string(folder.join("kubelet/kubelet.env")).unwrap();
    assert_eq!(
        environment,
        "KUBELET_ARGS=--node-ip=10.0.2.21 --hostname-override=worker-1 \
         --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubeconfig --cert-dir=/var/lib/kubelet/pki\n"
    );
    let again = render(&folder, &given(TOKEN)).unwrap();
    assert_eq!(again.changes, []);
}

#[test]
fn it_joins_one_server_that_its_authority_proves() {
    let dir = tempfile::tempdir().unwrap();
    render(dir.path(), &given(TOKEN)).unwrap();
    let text = fs::read(dir.path().join("kubelet/bootstrap-kubeconfig")).unwrap();
    let parsed = kubeconfig::parse(&text).unwrap();
    let read = |path: &Path| {
        assert_eq!(path, Path::new("/etc/kubernetes/ca.crt"));
        Ok(authority().into())
    };
    let config = parsed.resolve(read).unwrap();
    assert_eq!(
        (&*config.server.host, config.server.port),
        ("api.example.com", 443)
    );
    assert!(config.server.tls && config.certificate.is_none());
    assert_eq!(config.ca_pem, authority().as_bytes());
    assert_eq!(config.token.unwrap().expose(), TOKEN.as_bytes());
}

#[test]
fn a_token_that_is_none_is_refused_unseen() {
    let dir = tempfile::tempdir().unwrap();
    for token in [
        None,
        Some("hunter2"),
        Some("abcdef.0123456789ABCDEF"),
        Some(""),
    ] {
        let given = Given {
            token: token.map(Secret::new),
            ..Given::default()
        };
        let error = render(&dir.path().join("assets"), &given).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Invalid);
        let text = format!("{error:#}");
        assert!(
            text.contains("join.token") && !text.contains("hunter2"),
            "{text}"
        );
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_node_does_not_change_its_role() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("worker"), dir.path().join("control-plane"));
    let launched = |folder: &Path| {
        let now = || Ok(SystemTime::now());
        to_directory(&control_plane(), &Given::default(), folder, now, true)
    };
    render(&one, &given(TOKEN)).unwrap();
    launched(&other).unwrap();
    for refused in [launched(&one), render(&other, &given(TOKEN))] {
        let error = refused.unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        assert!(
            format!("{error:#}").contains("does not change its role"),
            "{error:#}"
        );
    }
}

#[test]
fn what_is_installed_and_what_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, root) = (dir.path().join("assets"), dir.path().join("root"));
    render(&folder, &given(TOKEN)).unwrap();
    let mut changed = install(&load(&folder).unwrap(), &root).unwrap();
    changed.sort();
    let expected = [
        "/etc/hostname",
        "/etc/kubernetes/bootstrap-kubeconfig",
        "/etc/kubernetes/ca.crt",
        "/etc/kubernetes/kubelet/config.d/50-slipway.conf",
        "/etc/kubernetes/kubelet/config.yaml",
        "/etc/kubernetes/kubelet/kubelet.env",
        "/etc/resolv.conf",
    ];
    assert_eq!(json!(changed), json!(expected));
    let secret = root.join("etc/kubernetes/bootstrap-kubeconfig");
    assert_eq!(
        fs::metadata(secret).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let manifests = root.join("etc/kubernetes/manifests");
    assert_eq!(fs::read_dir(manifests).unwrap().count(), 0);
    assert!(!root.join("var/lib/etcd").exists());
}

/// As on a machine: the kept document is all there is.
#[test]
fn render_is_all_that_a_worker_needs_and_start_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("var/lib/slipway/machine.yaml");
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(kept, DOCUMENT).unwrap();
    let slipway = |command: &str| {
        let root = format!("--root={}", dir.path().display());
        cli::parse([command.into(), root.into()]).and_then(cli::run)
    };
    slipway("render").unwrap();
    let kubeconfig = dir.path().join("etc/kubernetes/bootstrap-kubeconfig");
    assert!(fs::read_to_string(kubeconfig).unwrap().contains(TOKEN));
    let error = slipway("start").unwrap_err();
    assert_eq!(exit_of(&error), Exit::Refused);
    assert!(
        error.to_string().contains("its kubelet joins by itself"),
        "{error}"
    );
}
