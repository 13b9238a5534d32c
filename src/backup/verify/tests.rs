use std::path::PathBuf;

use super::*;
use crate::assets::Assets;
use crate::backup::bundle::{Etcd, seal};
use crate::backup::{RECORD, Taken};
use crate::etcd::Member;
use crate::exit::exit_of;
use crate::report::Output;

const NAME: &str = "20261130T101500Z-rev7";
const KEY: &[u8] = b"AGE-SECRET-KEY-1AWFVKDVY90J66SNZ9TZRKNE0SNRA4QWYEG6DAP9EE4JYYJZVL8SQCV3JNF";

/// A folder with one backup, of a real etcd's snapshot.
struct Kept {
    dir: tempfile::TempDir,
    record: Record,
    bundle: Bundle,
}

impl Kept {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(NAME);
        fs::create_dir(&folder).unwrap();
        let path = folder.join(SNAPSHOT);
        fs::copy("tests/snapshots/small.db", &path).unwrap();
        let facts = Snapshot::open(&path).unwrap().facts().unwrap();
        let (sha256, bytes) = sum(&path).unwrap();
        let snapshot = Taken {
            name: NAME.to_owned(),
            sha256,
            bytes,
            revision: facts.revision,
            keys: facts.keys,
        };
        let mut assets = Assets::default();
        for path in [
            "tls/ca.crt",
            "tls/etcd-client-ca.crt",
            "tls/service-account.key",
        ] {
            assets.add(path, "x");
        }
        let members = facts.members.iter().map(|member| Member {
            id: member.id,
            ..Member::default()
        });
        let taken = "2026-11-30T10:15:00Z".to_owned();
        let kept = Self {
            record: Record::new("a", &taken, "3.7.0", snapshot.clone()),
            bundle: Bundle {
                node: "a".to_owned(),
                taken,
                slipway: "0.1.0".to_owned(),
                snapshot,
                kubernetes: None,
                etcd: Etcd {
                    version: "3.7.0".to_owned(),
                    cluster_id: 1,
                    members: members.collect(),
                },
                machine: None,
                assets,
            },
            dir,
        };
        kept.sealed()
    }

    /// With the bundle as it is now.
    fn sealed(mut self) -> Self {
        let recipients = [key()[0].recipient()];
        let sealed = seal(&self.bundle, &recipients).unwrap();
        fs::write(self.path(BUNDLE), &sealed).unwrap();
        self.record.bundle = Some(Sealed {
            sha256: crate::hash::sha256(&sealed),
            bytes: sealed.len() as u64,
            recipients: vec![recipients[0].to_string()],
        });
        self.recorded()
    }

    fn recorded(self) -> Self {
        fs::write(self.path(RECORD), self.record.write().unwrap()).unwrap();
        self
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(NAME).join(file)
    }

    fn verdict(&self, identities: &[Identity]) -> String {
        match one(&Shelf::new(self.dir.path()), NAME, identities) {
            Ok(good) => format!("good: {good}"),
            Err(error) => format!("bad: {error:#}"),
        }
    }
}

fn key() -> Vec<Identity> {
    age::identities(KEY).unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn expect(verdict: &str, words: &str) {
    assert!(verdict.contains(words), "{words}: {verdict}");
}

#[test]
fn a_good_one_says_what_it_holds() {
    let kept = Kept::new();
    expect(&kept.verdict(&[]), "bundle whole, not opened");
    expect(
        &kept.verdict(&key()),
        "bundle opened: 3 files, of this snapshot",
    );
    let mut kept = Kept::new();
    kept.record.bundle = None;
    expect(&kept.recorded().verdict(&[]), "good: ");
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let size = Kept::new().record.snapshot.bytes as usize;
    for at in [0, 4096, size / 2, size - 40, size - 1] {
        let kept = Kept::new();
        flip(&kept.path(SNAPSHOT), at);
        expect(&kept.verdict(&[]), "bad: ");
    }
    let sealed = Kept::new().record.bundle.unwrap().bytes as usize;
    for at in [0, 30, sealed / 2, sealed - 1] {
        let kept = Kept::new();
        flip(&kept.path(BUNDLE), at);
        expect(&kept.verdict(&[]), "bundle.age is not what was written");
    }
    let kept = Kept::new();
    flip(&kept.path(RECORD), 5);
    expect(&kept.verdict(&[]), "cannot use");
}

#[test]
fn what_does_not_belong_together_is_said() {
    let mut kept = Kept::new();
    kept.bundle.snapshot.sha256 = "00".to_owned();
    expect(&kept.sealed().verdict(&key()), "that of another snapshot");

    let mut kept = Kept::new();
    kept.bundle.etcd.members.push(Member {
        id: 5,
        ..Member::default()
    });
    expect(&kept.sealed().verdict(&key()), "names other members");

    let mut kept = Kept::new();
    kept.bundle.assets = Assets::default();
    expect(&kept.sealed().verdict(&key()), "is without tls/ca.crt, ");

    let mut kept = Kept::new();
    kept.record.snapshot.revision += 1;
    expect(&kept.recorded().verdict(&[]), "and the record says");

    let kept = Kept::new();
    fs::remove_file(kept.path(BUNDLE)).unwrap();
    expect(&kept.verdict(&[]), "cannot read");
}

#[test]
fn the_outcome_counts_the_bad_ones() {
    let kept = Kept::new();
    let mut reporter = Reporter::new("backup", Output::Text, None);
    let mut verify = |names: &[&str]| verify(kept.dir.path(), names, &[], &mut reporter);
    verify(&[]).unwrap();
    verify(&[NAME]).unwrap();
    let error = verify(&["20261130T101500Z-rev8"]).unwrap_err();
    assert_eq!(exit_of(&error), Exit::NotFound);
    flip(&kept.path(SNAPSHOT), 4096);
    let error = verify(&[]).unwrap_err();
    assert!(
        error.to_string().starts_with("1 of 1 backup cannot"),
        "{error}"
    );
    assert_eq!(exit_of(&error), Exit::Failed);
}
