use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use serde_json::json;

use super::*;
use crate::checkpoint::workload::{CHECKPOINT_OF, WORKLOAD};
use crate::secret::Secret;

const FILES: [&str; 2] = [
    "/etc/kubernetes/checkpoint-secrets/kube-system/a-1/keys/x.key",
    "/etc/kubernetes/checkpoint-configmaps/kube-system/a-1/conf/deep/y",
];

fn taken(files: &[(&str, &str)]) -> Copy {
    let all = files.iter().map(|(path, text)| (*path, text.as_bytes()));
    let annotations =
        json!({ CHECKPOINT_OF: "a-1", WORKLOAD: "DaemonSet/a", copy::DATA: copy::data_hash(all) });
    let files = files.iter().map(|(path, text)| CopyFile {
        path: (*path).to_owned(),
        bytes: Secret::new(*text),
        mode: 0o600,
        owner: None,
    });
    Copy {
        namespace: "kube-system".into(),
        pod: "a-1".into(),
        manifest: json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "namespace": "kube-system", "name": "a-1", "annotations": annotations },
            "spec": { "containers": [{ "name": "a", "args": ["--x=y"] }] },
        }),
        files: files.collect(),
        notes: Vec::new(),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The only kept checkpoint, and whether it is whole.
fn kept(shelf: &Shelf) -> (Checkpoint, bool) {
    let mut kept = shelf.kept().unwrap();
    assert_eq!(kept.len(), 1);
    let whole = shelf.is_whole(&kept[0]).unwrap();
    (kept.remove(0), whole)
}

#[test]
fn what_is_kept_is_private_whole_and_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path());
    let copy = taken(&[(FILES[0], "1"), (FILES[1], "2")]);
    assert!(shelf.put(&copy).unwrap() && !shelf.put(&copy).unwrap());
    assert!(kept(&shelf).1);
    for file in FILES {
        let path = below(dir.path(), file);
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }
    assert_eq!(mode(&kept(&shelf).0.path), 0o600);
}

/// Everything below a folder, itself included.
fn everything(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(everything(&path)),
            false => all.push(path),
        }
    }
    all
}

#[test]
fn what_is_right_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path());
    let mut copy = taken(&[(FILES[0], "1"), (FILES[1], "2")]);
    let is_root = nix::unistd::geteuid().is_root();
    copy.files[1].owner = is_root.then_some((7, 8));
    assert!(shelf.put(&copy).unwrap());
    let touched = || -> Vec<_> {
        let all = everything(dir.path()).into_iter();
        let times = all.map(|path| {
            let meta = fs::metadata(&path).unwrap();
            (path, meta.ino(), meta.ctime(), meta.ctime_nsec())
        });
        times.collect()
    };
    let before = touched();
    assert!(!shelf.put(&copy).unwrap());
    assert_eq!(touched(), before);
}

#[test]
fn folders_are_closed_and_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path());
    let mut copy = taken(&[(FILES[0], "1"), (FILES[1], "2")]);
    let is_root = nix::unistd::geteuid().is_root();
    let owner = is_root.then_some((7, 8));
    copy.files[1].owner = owner;
    shelf.put(&copy).unwrap();
    let at = |path: &str| below(dir.path(), path);
    let (base, deep) = (at(copy::SECRETS), at(FILES[1]).parent().unwrap().to_owned());
    let ours = nix::unistd::geteuid().as_raw();
    let volumes = [deep.parent().unwrap().to_owned(), deep.clone()];
    let roots = [at(INACTIVE), base.clone(), base.join("kube-system/a-1")];
    let whose = |path: &PathBuf| {
        let meta = fs::metadata(path).unwrap();
        (meta.mode() & 0o7777, meta.uid())
    };
    for folder in roots.iter().chain(&volumes) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        if is_root {
            chown(folder, Some(9), Some(9)).unwrap();
        }
        assert!(shelf.put(&copy).unwrap(), "{}", folder.display());
        let user = match volumes.contains(folder) {
            true => owner.map_or(ours, |(user, _)| user),
            false => ours,
        };
        assert_eq!(whose(folder), (0o700, user), "{}", folder.display());
    }
    assert!(!shelf.put(&copy).unwrap());
}

#[test]
fn a_link_leads_nobody_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path());
    let copy = taken(&[(FILES[0], "1"), (FILES[1], "2")]);
    shelf.put(&copy).unwrap();
    let deep = below(dir.path(), FILES[1]).parent().unwrap().to_owned();
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_dir_all(&deep).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &deep).unwrap();
    shelf.put(&copy).unwrap_err();
    assert_eq!(mode(&elsewhere), 0o755);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn a_program_stays_one() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path());
    let mut copy = taken(&[(FILES[0], "1"), (FILES[1], "2")]);
    copy.files[1].mode = 0o700;
    let modes = || FILES.map(|file| mode(&below(dir.path(), file)));
    assert!(shelf.put(&copy).unwrap());
    assert_eq!(modes(), [0o600, 0o700]);
    let other = fs::Permissions::from_mode(0o644);
    for file in FILES {
        fs::set_permissions(below(dir.path(), file), other.clone()).unwrap();
    }
    assert!(shelf.put(&copy).unwrap() && !shelf.put(&copy).unwrap());
    assert_eq!(modes(), [0o600, 0o700]);
}

#[test]
fn damage_is_seen_and_mended_and_what_is_gone_upstream_goes() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path());
    let copy = taken(&[(FILES[0], "1"), (FILES[1], "2")]);
    shelf.put(&copy).unwrap();
    let first = below(dir.path(), FILES[0]);
    let damages: [fn(&Path) -> std::io::Result<()>; 2] = [
        |path| fs::remove_file(path),
        |path| fs::write(path, "other"),
    ];
    for damage in damages {
        damage(&first).unwrap();
        assert!(!kept(&shelf).1);
        assert!(shelf.put(&copy).unwrap() && kept(&shelf).1);
    }
    let less = taken(&[(FILES[1], "2")]);
    assert!(shelf.put(&less).unwrap() && kept(&shelf).1 && !first.exists());
}

#[test]
fn an_active_one_is_a_pod_of_another_name_and_data_stays_as_long_as_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path());
    shelf.put(&taken(&[(FILES[0], "1")])).unwrap();
    let (one, _) = kept(&shelf);
    shelf.activate(&one, false).unwrap();
    let active = shelf.active().unwrap();
    assert_eq!(active.len(), 1);
    assert!(active[0].name().starts_with("a-1-") && active[0].parent == "a-1");
    shelf.remove(&one).unwrap();
    let nothing = BTreeSet::new();
    let running = BTreeSet::from([("kube-system".to_owned(), "a-1".to_owned())]);
    assert!(shelf.tidy(&nothing).unwrap().is_empty());
    shelf.deactivate(&active[0]).unwrap();
    assert!(shelf.tidy(&running).unwrap().is_empty(), "it drains");
    assert_eq!(shelf.tidy(&nothing).unwrap(), ["kube-system/a-1"]);
    assert!(!below(dir.path(), FILES[0]).exists());
    assert!(shelf.kept().unwrap().is_empty() && shelf.active().unwrap().is_empty());
}

#[test]
fn what_cannot_be_written_leaves_the_earlier_one_whole() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path());
    shelf
        .put(&taken(&[(FILES[0], "1"), (FILES[1], "2")]))
        .unwrap();
    // Where the second file would be written, as if the disk were full.
    let obstacle = below(dir.path(), FILES[1]).with_file_name(".y.slipway");
    fs::create_dir(&obstacle).unwrap();
    shelf
        .put(&taken(&[(FILES[0], "3"), (FILES[1], "4")]))
        .unwrap_err();
    assert!(kept(&shelf).1);
    assert_eq!(fs::read(below(dir.path(), FILES[0])).unwrap(), b"1");
    assert!(
        !below(dir.path(), FILES[0])
            .with_file_name(".x.key.slipway")
            .exists()
    );
    fs::remove_dir(&obstacle).unwrap();
    assert!(
        shelf
            .put(&taken(&[(FILES[0], "3"), (FILES[1], "4")]))
            .unwrap()
            && kept(&shelf).1
    );
}

#[test]
fn what_a_power_cut_interrupted_is_finished_or_was_never_begun() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path());
    shelf
        .put(&taken(&[(FILES[0], "1"), (FILES[1], "2")]))
        .unwrap();
    let beside = |file: &str, bytes: &str| {
        let place = below(dir.path(), file);
        let name = format!(".{}.slipway", place.file_name().unwrap().display());
        fs::write(place.with_file_name(name), bytes).unwrap();
    };
    let manifest = format!("{INACTIVE}/kube-system-a-1.json");
    // Before the manifest was written: the earlier one is whole.
    beside(FILES[0], "3");
    beside(&manifest, "{\"half\":");
    shelf.finish().unwrap();
    assert!(kept(&shelf).1);
    // After it, when one of two files is in its place.
    let next = taken(&[(FILES[0], "3"), (FILES[1], "4")]);
    fs::write(below(dir.path(), FILES[1]), "4").unwrap();
    beside(&manifest, &next.manifest.to_string());
    assert!(!kept(&shelf).1);
    shelf.finish().unwrap();
    assert!(kept(&shelf).1);
    assert_eq!(fs::read(below(dir.path(), FILES[0])).unwrap(), b"3");
}

#[test]
fn the_data_of_a_damaged_manifest_waits_for_it_to_be_mended() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path());
    shelf.put(&taken(&[(FILES[0], "1")])).unwrap();
    fs::write(kept(&shelf).0.path, "{").unwrap();
    assert!(shelf.tidy(&BTreeSet::new()).unwrap().is_empty());
}

#[test]
fn others_files_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path());
    let folder = below(dir.path(), ACTIVE);
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in [
        ("etcd.json", "{\"kind\":\"Pod\"}"),
        (".x.json", "{}"),
        ("b.json", "{"),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    assert!(shelf.active().unwrap().is_empty());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
}
