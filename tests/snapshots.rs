//! Snapshots of a real etcd, read without one: what is in them is what etcdctl said when they were made.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use slipway::exit::{Exit, exit_of};
use slipway::recover::snapshot::{Integrity, Snapshot};

/// Made with etcd 3.7.3: see tests/snapshots/README.md.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(name)
}

/// The bytes of the one with keys.
fn small() -> Vec<u8> {
    fs::read(file("small.db")).unwrap()
}

/// Its database without the hash.
fn database() -> Vec<u8> {
    let mut bytes = small();
    bytes.truncate(bytes.len() - 32);
    bytes
}

fn error(bytes: Vec<u8>) -> String {
    let snapshot = match Snapshot::of(bytes) {
        Ok(snapshot) => snapshot,
        Err(error) => return format!("{error:#}"),
    };
    let verified = snapshot.verify(&mut |_, _| ());
    format!("{:#}", verified.unwrap_err())
}

#[test]
fn the_keys_are_those_that_etcdctl_listed() {
    let snapshot = Snapshot::open(&file("small.db")).unwrap();
    let large = vec![b'v'; 20_000];
    let expected: [(&str, &[u8], [i64; 3]); 7] = [
        ("configmaps/kube-system/a", b"two", [2, 3, 2]),
        ("configmaps/kube-system/c", b"again", [8, 8, 1]),
        ("large", &large, [11, 11, 1]),
        ("last", b"bytes \x01 and \xc3\xa4", [12, 12, 1]),
        ("leased", b"x", [10, 10, 1]),
        ("txn/a", b"1", [9, 9, 1]),
        ("txn/b", b"2", [9, 9, 1]),
    ];
    let found = snapshot.read(&mut |_| true).unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, (key, value, revisions)) in found.iter().zip(expected) {
        assert_eq!(
            String::from_utf8_lossy(&found.key),
            format!("/registry/{key}")
        );
        assert!(found.value.expose() == value, "{key}");
        let [create, modified, version] = revisions;
        let read = (found.create_revision, found.mod_revision, found.version);
        assert_eq!(read, (create, modified, version), "{key}");
        assert_eq!(found.lease != 0, key == "leased", "{key}");
    }
    let one = snapshot.read(&mut |key| key.ends_with(b"txn/b")).unwrap();
    assert_eq!(one, found[6..]);
}

#[test]
fn the_facts_are_those_that_etcdutl_printed() {
    let snapshot = Snapshot::open(&file("small.db")).unwrap();
    let facts = snapshot.facts().unwrap();
    assert_eq!((facts.size, facts.page_size), (49_184, 4096));
    assert_eq!(
        (facts.revision, facts.compacted, facts.keys),
        (14, 9, Some(7))
    );
    assert_eq!(facts.storage_version.as_deref(), Some("3.7.0"));
    assert_eq!(facts.cluster_version.as_deref(), Some("3.7.0"));
    assert_eq!((facts.term, facts.consistent_index), (2, 20));
    assert_eq!(facts.warnings, Vec::<String>::new());
    let [member] = &*facts.members else {
        panic!("{:?}", facts.members);
    };
    assert_eq!(
        (member.name.as_str(), member.id),
        ("small", 0xcc4a_c920_d46f_f089)
    );
    assert_eq!(member.peer_urls, ["http://127.0.0.1:33801"]);
    let mut told = Vec::new();
    let verified = snapshot
        .verify(&mut |done, all| told.push((done, all)))
        .unwrap();
    assert_eq!(
        Some(verified),
        facts.sha256.map(|sha256| Integrity::Verified { sha256 })
    );
    assert_eq!(told, [(49_152, 49_152)]);
}

#[test]
fn nothing_was_ever_written() {
    let (facts, found) = Snapshot::open(&file("empty.db"))
        .unwrap()
        .examine(&mut |_| true)
        .unwrap();
    assert!(found.is_empty());
    assert_eq!(
        (facts.revision, facts.compacted, facts.keys),
        (1, 0, Some(0))
    );
}

#[test]
fn a_database_without_a_hash_is_read_and_said_to_have_none() {
    let snapshot = Snapshot::of(database()).unwrap();
    assert_eq!(snapshot.verify(&mut |_, _| ()).unwrap(), Integrity::NoHash);
    assert_eq!(snapshot.facts().unwrap().sha256, None);
    let whole = Snapshot::of(small()).unwrap();
    let read = |snapshot: &Snapshot| snapshot.read(&mut |_| true).unwrap();
    assert_eq!(read(&snapshot), read(&whole));
}

#[test]
fn the_second_meta_page_is_found_without_the_first() {
    let expected = Snapshot::of(small()).unwrap().read(&mut |_| true).unwrap();
    let mut bytes = small();
    bytes[..4096].fill(0xFF);
    let found = Snapshot::of(bytes).unwrap().read(&mut |_| true).unwrap();
    assert_eq!(found, expected);
}

#[test]
fn whatever_is_cut_off_is_missed() {
    let bytes = small();
    for len in (0..bytes.len())
        .step_by(97)
        .chain(bytes.len() - 31..bytes.len())
    {
        let error = error(bytes[..len].to_vec());
        assert!(error.starts_with("it is "), "{len}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_flipped_bit_is_found_by_the_hash() {
    let bytes = small();
    for at in (0..bytes.len()).step_by(61) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        let error = error(bytes);
        assert!(error.contains("another snapshot"), "{at}: {error}");
    }
}

/// Where no hash protects it, a flipped bit may change a value; it must do no more than that.
#[test]
fn a_flipped_bit_leads_nowhere_without_the_hash() {
    let bytes = database();
    let (mut refused, mut read) = (0, 0);
    for at in (0..bytes.len()).step_by(3) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        match Snapshot::of(bytes).and_then(|snapshot| snapshot.read(&mut |_| true)) {
            Ok(_) => read += 1,
            Err(error) => {
                refused += 1;
                assert!(
                    format!("{error:#}").contains("another snapshot"),
                    "{at}: {error:#}"
                );
            }
        }
    }
    assert!(
        refused > 100 && read > 100,
        "{refused} refused, {read} read"
    );
}

#[test]
fn errors_name_the_file_and_carry_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let open = || Snapshot::open(&path).map(drop).unwrap_err();
    assert_eq!(exit_of(&open()), Exit::NotFound);
    fs::create_dir(&path).unwrap();
    assert!(format!("{:#}", open()).ends_with("name the snapshot file itself"));
    fs::remove_dir(&path).unwrap();
    fs::write(&path, b"SQLite format 3\0").unwrap();
    assert_eq!(exit_of(&open()), Exit::Refused);
    let expected = format!(
        "cannot read {} as an etcd snapshot: it is an SQLite",
        path.display()
    );
    assert!(format!("{:#}", open()).starts_with(&expected));
    fs::write(&path, small()).unwrap();
    let holder = fs::File::open(&path).unwrap();
    holder.lock().unwrap();
    assert!(format!("{:#}", open()).contains("a running etcd has it open"));
    drop(holder);
    let snapshot = Snapshot::open(&path).unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(8192)
        .unwrap();
    let error = snapshot.facts().unwrap_err();
    assert_eq!(exit_of(&error), Exit::Failed);
    let expected = format!("cannot use {}: cannot read its hash: ", path.display());
    assert!(format!("{error:#}").starts_with(&expected), "{error:#}");
}

#[test]
fn pages_may_be_of_another_size() {
    let snapshot = Snapshot::open(&file("pages-of-1k.db")).unwrap();
    let (facts, found) = snapshot.examine(&mut |_| true).unwrap();
    let keys: Vec<_> = found
        .iter()
        .map(|found| String::from_utf8_lossy(&found.key))
        .collect();
    assert_eq!(keys, ["/ka", "/kb", "/kc", "/kd", "/ke", "/kf", "/kg"]);
    assert_eq!(
        (facts.page_size, facts.revision, facts.keys),
        (1024, 17, Some(7))
    );
    let mut bytes = fs::read(file("pages-of-1k.db")).unwrap();
    bytes[..1024].fill(0);
    let again = Snapshot::of(bytes).unwrap();
    assert_eq!(again.read(&mut |_| true).unwrap(), found);
}

#[test]
fn a_newer_etcds_snapshot_is_read_with_a_warning() {
    let mut bytes = database();
    let expected = Snapshot::of(bytes.clone())
        .unwrap()
        .read(&mut |_| true)
        .unwrap();
    let version = b"storageVersion3.7.0";
    let places = bytes.windows(version.len()).enumerate();
    let places: Vec<_> = places
        .filter(|(_, part)| part == version)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..][..version.len()].copy_from_slice(b"storageVersion3.8.0");
    }
    let (facts, found) = Snapshot::of(bytes).unwrap().examine(&mut |_| true).unwrap();
    assert_eq!(facts.storage_version.as_deref(), Some("3.8.0"));
    assert_eq!(facts.warnings.len(), 1);
    assert!(
        facts.warnings[0].starts_with("its storage version is 3.8.0"),
        "{facts:?}"
    );
    assert_eq!(found, expected);
}
