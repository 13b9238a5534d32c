//! Plans against directories that render wrote.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;
use crate::assets::Assets;
use crate::config;
use crate::pki::Given;
use crate::render::directory;

fn now() -> anyhow::Result<SystemTime> {
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800))
}

fn machine(more: &str) -> config::Machine {
    let text = format!(
        "apiVersion: slipway.dev/v1alpha1\nkind: Machine\nnode: {{name: node-a, address: 192.0.2.1}}\n\
         cluster: {{name: harbour}}\n{more}"
    );
    config::parse(text.as_bytes()).unwrap()
}

fn plan(folder: &Path, more: &str, overwrite: bool) -> Vec<File> {
    files(&directory::plan(&machine(more), &Given::default(), folder, now, overwrite).unwrap())
}

fn render(folder: &Path) -> Assets {
    directory::to_directory(&machine(""), &Given::default(), folder, now, false).unwrap();
    directory::load(folder).unwrap()
}

fn file<'a>(files: &'a [File], path: &str) -> &'a File {
    files.iter().find(|file| file.change.path == path).unwrap()
}

#[test]
fn nothing_changes_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("assets");
    let first = plan(&folder, "", false);
    assert!(first.len() > 50 && first.iter().all(|file| file.diff.is_empty()));
    assert_eq!(
        file(&first, "tls/ca.key").text(),
        "would add tls/ca.key: new\n"
    );
    assert!(!folder.exists());
    let assets = render(&folder);
    assert_eq!(plan(&folder, "", false), []);
    plan(&folder, "api: {port: 443}", true);
    assert_eq!(directory::load(&folder).unwrap(), assets);
}

#[test]
fn a_change_is_its_lines_and_a_new_certificate_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let assets = render(dir.path());
    let files = plan(
        dir.path(),
        "api: {port: 443, altNames: [api.example.com]}",
        false,
    );
    let scheduler = file(&files, "kubelet/kubeconfig").text();
    assert!(
        scheduler.contains(
            "\n  -    server: https://127.0.0.1:6443\n  +    server: https://127.0.0.1:443\n"
        ),
        "{scheduler}"
    );
    let certificate = file(&files, "tls/apiserver.crt").text();
    for expected in [
        "would change tls/apiserver.crt: its names or uses changed\n  @@ ",
        "\n  -names DNS:",
        "\n  +names DNS:api.example.com, ",
        "\n   subject kube-apiserver\n",
    ] {
        assert!(certificate.contains(expected), "{expected}: {certificate}");
    }
    let key = file(&files, "tls/apiserver.key").text();
    assert!(
        key.contains("\n  -key sha256:") && key.ends_with("… (P-256)\n"),
        "{key}"
    );
    let secret = file(&files, "manifests/kube-apiserver-secret.yaml").text();
    assert!(
        secret.contains("\n  -  apiserver.key: \"(secret)\"\n"),
        "{secret}"
    );
    assert!(
        secret.contains("\n  +  apiserver.key: \"(secret, changed)\"\n"),
        "{secret}"
    );
    no_secret_in(&files, &assets);
}

#[test]
fn a_key_that_was_opened_to_others_is_a_difference() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    render(dir.path());
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(dir.path().join("tls/ca.key"), open).unwrap();
    let files = plan(dir.path(), "", false);
    assert!(files.len() == 1 && files[0].is_difference());
    assert_eq!(
        files[0].text(),
        "would put back the permissions of tls/ca.key\n"
    );
    render(dir.path());
    assert_eq!(plan(dir.path(), "", false), []);
}

/// No line of any key, and none of its base64.
fn no_secret_in(files: &[File], assets: &Assets) {
    use base64::Engine;
    let shown: String = files
        .iter()
        .map(|file| file.text() + &file.json().to_string())
        .collect();
    let keys = assets.iter().filter(|(path, _)| path.ends_with(".key"));
    for (path, asset) in keys {
        let pem = std::str::from_utf8(asset.bytes.expose()).unwrap();
        let encoded = base64::engine::general_purpose::STANDARD.encode(pem);
        let body = pem.lines().nth(1).unwrap();
        assert!(
            !shown.contains(body) && !shown.contains(&encoded[40..80]),
            "{path}"
        );
    }
    assert!(!shown.contains("BEGIN"));
}

#[test]
fn an_edited_file_is_no_difference_until_told_so() {
    let dir = tempfile::tempdir().unwrap();
    render(dir.path());
    let path = "manifests/kube-scheduler.yaml";
    let text = fs::read_to_string(dir.path().join(path)).unwrap();
    fs::write(
        dir.path().join(path),
        text.replace("kube-scheduler:v", "mine:v"),
    )
    .unwrap();
    fs::write(dir.path().join("manifests/foreign.yaml"), "a: 1\n").unwrap();
    let kept = plan(dir.path(), "", false);
    assert_eq!(kept.len(), 2);
    assert!(!kept.iter().any(File::is_difference));
    assert!(
        file(&kept, path)
            .text()
            .contains("would keep the edited file manifests/kube-scheduler.yaml; --overwrite")
    );
    assert!(
        file(&kept, path)
            .diff
            .contains("\n-        image: registry.k8s.io/mine:v")
    );
    let lost = plan(dir.path(), "", true);
    let lost = file(&lost, path);
    assert!(lost.is_difference());
    assert_eq!(lost.json()["action"], "overwrite");
}
