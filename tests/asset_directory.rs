//! Rendering into a folder, again and again, and installing from it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use slipway::config::{self, Machine};
use slipway::exit::{Exit, exit_of};
use slipway::node::tree;
use slipway::pki::{Given, Order};
use slipway::render::directory::{
    Rendered, What, load, refuse_conversion, to_directory, to_directory_with,
};
use slipway::render::install::install;
use slipway::secret::Secret;

fn machine(api: &str) -> Machine {
    let text = format!(
        "apiVersion: slipway.dev/v1alpha1\nkind: Machine\nnode: {{name: node-a, address: 192.0.2.1}}\n\
         cluster: {{name: harbour}}\n{api}"
    );
    config::parse(text.as_bytes()).unwrap()
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800)
}

fn render(folder: &Path, api: &str, overwrite: bool) -> Rendered {
    to_directory(
        &machine(api),
        &Given::default(),
        folder,
        || Ok(now()),
        overwrite,
    )
    .unwrap()
}

fn changes(rendered: &Rendered) -> Vec<(&str, What)> {
    let changes = rendered.changes.iter();
    changes
        .map(|change| (change.path.as_str(), change.what))
        .collect()
}

#[test]
fn a_second_render_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("assets");
    let first = render(&folder, "", false);
    assert_eq!(first.changes.len(), first.files);
    let expected = format!(
        "{} files, 17 certificates (P-256, CA until 2036-11-19), kubelet config",
        first.files
    );
    assert_eq!(first.summary(), expected);
    let inode = fs::metadata(&folder).unwrap().ino();
    let before = times(&folder);
    let second = render(&folder, "", false);
    assert_eq!(times(&folder), before);
    assert_eq!(changes(&second), []);
    assert_eq!(second.issued, []);
    assert_eq!(
        fs::metadata(&folder).unwrap().ino(),
        inode,
        "the folder was exchanged"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// Boots render too, and must neither wait for the clock for it nor prolong it.
#[test]
fn a_token_that_ended_is_told_and_made_anew_on_order() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("assets");
    let news = |days: u32, given: &Given, order: &Order| {
        let dated = || Ok(SystemTime::now() - Duration::from_secs(24 * 60 * 60) * days);
        let rendered = to_directory_with(&machine(""), given, &folder, dated, false, order);
        rendered.unwrap().token.unwrap_or_default()
    };
    let (made, plain) = (Given::default(), Order::default());
    let given = Given {
        token: Some(Secret::new("abcdef.0123456789abcdef")),
        ..Given::default()
    };
    let renewed = Order {
        token: true,
        ..Order::default()
    };
    let new = "a new bootstrap token, good until ";
    for (days, given, order, expected) in [
        (2, &made, &plain, [new, ": auth/kubeconfig-kubelet"]),
        (
            0,
            &made,
            &plain,
            [
                "the bootstrap token ended on ",
                ": `slipway certs renew` makes another one",
            ],
        ),
        (0, &made, &renewed, [new, ": auth/kubeconfig-kubelet"]),
        (0, &made, &renewed, ["", ""]),
        (2, &given, &plain, [new, ": auth/kubeconfig-kubelet"]),
        (
            0,
            &given,
            &renewed,
            [
                "the bootstrap token ended on ",
                ": nodes that are to join need another join.token in the document",
            ],
        ),
    ] {
        let text = news(days, given, order);
        let [begin, end] = expected;
        assert!(text.starts_with(begin) && text.ends_with(end), "{text}");
        assert_eq!(text.is_empty(), begin.is_empty(), "{text}");
    }
}

/// When each file below a folder was written, and what is in it.
fn times(folder: &Path) -> Vec<(String, SystemTime, Vec<u8>)> {
    let assets = load(folder).unwrap();
    let entry = |path: &str| {
        let path = folder.join(path);
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        (path.display().to_string(), written, fs::read(path).unwrap())
    };
    assets.iter().map(|(path, _)| entry(path)).collect()
}

#[test]
fn of_two_renders_one_wins_and_the_other_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("assets");
    let (machine, given) = (machine(""), Given::default());
    let late = || {
        let error = to_directory(&machine, &given, &folder, || Ok(now()), false).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        assert!(
            error.to_string().contains("another slipway is writing"),
            "{error:#}"
        );
        Ok(now())
    };
    let won = to_directory(&machine, &given, &folder, late, false).unwrap();
    assert_eq!(load(&folder).unwrap().len(), won.files + 1);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// A render writes its files in the order of their paths beside the folder, then exchanges the two. A
/// power cut after any of these steps leaves what is built here; the next render completes it.
#[test]
fn interrupted_at_any_write_the_next_render_completes() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, beside) = (
        dir.path().join("assets"),
        dir.path().join(".assets.slipway-new"),
    );
    render(&folder, "", false);
    let before = load(&folder).unwrap();
    let port = "api: {port: 443}";
    render(&folder, port, false);
    let after = load(&folder).unwrap();
    let files: Vec<_> = after.iter().collect();
    for written in (0..=files.len()).step_by(5) {
        tree::replace(&folder, &before).unwrap();
        fs::create_dir(&beside).unwrap();
        for (path, asset) in &files[..written] {
            put(&beside.join(path), asset.bytes.expose());
        }
        if let Some((path, asset)) = files.get(written) {
            let bytes = asset.bytes.expose();
            put(&beside.join(path), &bytes[..bytes.len() / 2]);
        }
        fs::write(dir.path().join(".assets.slipway-lock"), "").unwrap();
        assert_ne!(changes(&render(&folder, port, false)), []);
        assert_eq!(load(&folder).unwrap(), after, "{written} files");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
    // After the exchange the old tree lies beside.
    tree::replace(&beside, &before).unwrap();
    assert_eq!(changes(&render(&folder, port, false)), []);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_new_name_changes_one_certificate_and_what_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("assets");
    render(&folder, "", false);
    let second = render(&folder, "api: {altNames: [api.example.com]}", false);
    let expected = [
        // Its pods read the certificate again when it changes, so they are not rolled.
        "manifests/kube-apiserver-secret.yaml",
        // Its approver gives the name to no node.
        "manifests/pod-checkpointer.yaml",
        "tls/.inventory.json",
        "tls/apiserver.crt",
        "tls/apiserver.key",
    ];
    assert_eq!(changes(&second), expected.map(|path| (path, What::Changed)));
}

#[test]
fn what_a_person_edited_stays_until_told_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("assets");
    render(&folder, "", false);
    let edited = folder.join("manifests/kube-scheduler.yaml");
    let extra = folder.join("manifests/mine.yaml");
    fs::write(&edited, "edited").unwrap();
    fs::write(&extra, "mine").unwrap();
    for _ in 0..2 {
        let again = render(&folder, "api: {port: 443}", false);
        let kept = |path: &str| {
            again
                .changes
                .iter()
                .find(|change| change.path == path)
                .cloned()
        };
        let text = kept("manifests/kube-scheduler.yaml").unwrap().to_string();
        assert_eq!(
            text,
            "kept edited file manifests/kube-scheduler.yaml; --overwrite replaces it"
        );
        assert_eq!(kept("manifests/mine.yaml").unwrap().what, What::KeptForeign);
        assert_eq!(fs::read_to_string(&edited).unwrap(), "edited");
    }
    let again = render(&folder, "api: {port: 443}", true);
    let expected = [
        ("manifests/kube-scheduler.yaml", What::Overwritten),
        ("manifests/mine.yaml", What::KeptForeign),
    ];
    assert_eq!(changes(&again), expected);
    assert_ne!(fs::read_to_string(&edited).unwrap(), "edited");
    assert_eq!(fs::read_to_string(&extra).unwrap(), "mine");
}

#[test]
fn a_folder_in_other_use_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.txt"), "x").unwrap();
    let error = to_directory(
        &machine(""),
        &Given::default(),
        dir.path(),
        || Ok(now()),
        true,
    )
    .unwrap_err();
    assert_eq!(exit_of(&error), Exit::Refused);
    assert!(
        error.to_string().contains("name an empty folder"),
        "{error:#}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn secrets_are_private_on_disk_and_on_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, root) = (dir.path().join("assets"), dir.path().join("root"));
    render(&folder, "", false);
    let assets = load(&folder).unwrap();
    for (path, asset) in assets.iter() {
        let secret = path.ends_with(".key")
            || path.ends_with("kubeconfig")
            || path.starts_with("auth/")
            || path.ends_with("-token.yaml")
            || path.ends_with("-secret.yaml");
        assert_eq!(asset.mode, if secret { 0o600 } else { 0o644 }, "{path}");
        let private = asset
            .bytes
            .expose()
            .windows(11)
            .any(|bytes| bytes == b"PRIVATE KEY");
        assert!(!private || secret, "{path} holds a key");
    }
    install(&assets, &root).unwrap();
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().mode() & 0o777;
    assert_eq!(mode("etc/kubernetes/admin.kubeconfig"), 0o600);
    assert_eq!(mode("etc/kubernetes/kubelet/client.key"), 0o600);
    assert_eq!(mode("etc/kubernetes/etcd/server.key"), 0o600);
    assert_eq!(mode("etc/kubernetes/manifests"), 0o755);
    assert_eq!(mode("var/lib/etcd"), 0o700);
}

#[test]
fn installing_twice_changes_nothing_and_everything_named_on_the_node_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, root) = (dir.path().join("assets"), dir.path().join("root"));
    fs::create_dir_all(root.join("var/lib/etcd")).unwrap();
    fs::set_permissions(root.join("var/lib/etcd"), fs::Permissions::from_mode(0o755)).unwrap();
    render(&folder, "", false);
    let assets = load(&folder).unwrap();
    let installed = install(&assets, &root).unwrap();
    assert_eq!(
        installed[installed.len() - 2],
        "/etc/kubernetes/manifests/etcd.yaml"
    );
    assert_eq!(install(&assets, &root).unwrap(), [""; 0]);
    assert_eq!(
        fs::metadata(root.join("var/lib/etcd")).unwrap().mode() & 0o777,
        0o700
    );
    assert_eq!(
        fs::read_to_string(root.join("etc/hostname")).unwrap(),
        "node-a\n"
    );
    for file in ["kubeconfig", "kubelet/config.yaml", "manifests/etcd.yaml"] {
        let text = fs::read_to_string(root.join("etc/kubernetes").join(file)).unwrap();
        for path in named_files(&text) {
            assert!(root.join(&path[1..]).exists(), "{file} names {path}");
        }
    }
}

/// Paths below /etc/kubernetes with an ending, as they stand in a file.
fn named_files(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || "=\"".contains(c));
    let files: Vec<String> = words
        .filter(|word| word.starts_with("/etc/kubernetes/") && word.contains('.'))
        .map(str::to_owned)
        .collect();
    assert!(!files.is_empty());
    files
}

const STATIC: &str = "controlPlane: static";

#[test]
fn static_pods_are_installed_with_what_they_read_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, root) = (dir.path().join("assets"), dir.path().join("root"));
    render(&folder, STATIC, false);
    let assets = load(&folder).unwrap();
    let installed = install(&assets, &root).unwrap();
    let last = |part: &str| installed.iter().rposition(|path| path.contains(part));
    for pod in ["apiserver", "controller-manager", "scheduler"] {
        let secret = last(&format!("/secrets/kube-{pod}/"));
        let manifest = last(&format!("/manifests/kube-{pod}.yaml"));
        assert!(secret.is_some() && secret < manifest, "{installed:?}");
    }
    assert_eq!(install(&assets, &root).unwrap(), [""; 0]);

    let secrets = root.join("etc/kubernetes/secrets");
    let mode = |path: &str| fs::metadata(secrets.join(path)).unwrap().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("kube-controller-manager"), 0o700);
    assert_eq!(mode("kube-controller-manager/ca.key"), 0o600);
    assert_eq!(mode("kube-apiserver/authentication.yaml"), 0o600);
    assert!(!secrets.join("kube-scheduler/ca.key").exists());
    // Every file that a pod names is where the pod sees it.
    for pod in [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ] {
        let manifest = root.join(format!("etc/kubernetes/manifests/{pod}.yaml"));
        for path in named_files(&fs::read_to_string(manifest).unwrap()) {
            let file = path.strip_prefix("/etc/kubernetes/secrets/").unwrap();
            assert!(secrets.join(pod).join(file).exists(), "{pod} names {path}");
        }
    }
    // What is not read any more goes.
    fs::write(secrets.join("kube-scheduler/ca.key"), "x").unwrap();
    install(&assets, &root).unwrap();
    assert!(!secrets.join("kube-scheduler/ca.key").exists());
}

#[test]
fn a_renewed_certificate_changes_the_static_pods_that_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("assets");
    render(&folder, STATIC, false);
    let more = format!("{STATIC}\napi: {{altNames: [api.example.com]}}");
    let second = render(&folder, &more, false);
    let expected = [
        "manifests/pod-checkpointer.yaml",
        "static-manifests/kube-apiserver.yaml",
        "tls/.inventory.json",
        "tls/apiserver.crt",
        "tls/apiserver.key",
    ];
    assert_eq!(changes(&second), expected.map(|path| (path, What::Changed)));
}

#[test]
fn a_renewed_client_changes_the_static_pod_whose_kubeconfig_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("assets");
    render(&folder, STATIC, false);
    let order = Order {
        renew: vec!["tls/kube-scheduler".to_owned()],
        ..Order::default()
    };
    let dated = || Ok(now());
    let (machine, given) = (machine(STATIC), Given::default());
    let second = to_directory_with(&machine, &given, &folder, dated, false, &order).unwrap();
    let expected = [
        "static-manifests/kube-scheduler.yaml",
        "tls/.inventory.json",
        "tls/kube-scheduler.crt",
        "tls/kube-scheduler.key",
    ];
    assert_eq!(changes(&second), expected.map(|path| (path, What::Changed)));
}

/// No Secret holds it, so nothing of the cluster rolls for it.
#[test]
fn a_renewed_certificate_of_a_checkpoint_changes_no_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("assets");
    render(&folder, "", false);
    let name = "tls/checkpoint/kube-system/kube-scheduler";
    let order = Order {
        renew: vec![name.to_owned()],
        ..Order::default()
    };
    let dated = || Ok(now());
    let (machine, given) = (machine(""), Given::default());
    let second = to_directory_with(&machine, &given, &folder, dated, false, &order).unwrap();
    let expected = [
        "tls/.inventory.json".to_owned(),
        format!("{name}.crt"),
        format!("{name}.key"),
    ];
    let expected = expected
        .each_ref()
        .map(|path| (path.as_str(), What::Changed));
    assert_eq!(changes(&second), expected);
}

#[test]
fn a_launched_control_plane_does_not_become_another_kind() {
    let dir = tempfile::tempdir().unwrap();
    let self_hosted = "controlPlane: self-hosted";
    // rendered, asked for, refused
    let table = [
        (None, STATIC, false),
        (Some(STATIC), STATIC, false),
        (Some(STATIC), self_hosted, true),
        (Some(self_hosted), self_hosted, false),
        (Some(self_hosted), STATIC, true),
    ];
    for (number, (before, now, is_refused)) in table.into_iter().enumerate() {
        let folder = dir.path().join(number.to_string());
        if let Some(before) = before {
            render(&folder, before, false);
        }
        let judged = refuse_conversion(&machine(now), &folder);
        assert_eq!(judged.is_err(), is_refused, "{before:?}, {now}");
        if let Err(error) = judged {
            assert_eq!(exit_of(&error), Exit::Refused);
            let next = format!("next step: write {} in", before.unwrap());
            assert!(error.to_string().contains(&next), "{error:#}");
        }
    }
}
