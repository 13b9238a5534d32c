//! Documents and the trees they render to, in `tests/golden`.
//!
//! `NN-name/in.yaml` is a machine document, `NN-name/tree/` what it renders to. Keys are random, so
//! certificates and keys are left out, and in all other files long base64 text is `<secret>` and
//! every SHA-256 `<sha256>`; `files.txt` lists every file with mode and owner. Where a document leaves signing
//! to somebody else, `NN-name/signer.key` signs.
//! `UPDATE_GOLDEN=1 cargo test --test golden` writes the trees anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cases;
mod facts;
mod signer;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use slipway::assets::Assets;
use slipway::config::machine::{Encryption, Etcd, Machine, Role};
use slipway::config::sensitive::Sensitive;
use slipway::secret::Secret;
use slipway::{config, pki, render};

use cases::sorted;

const CASES: &str = "tests/golden";
/// Workers apart: what must hold in every tree of a control plane cannot hold in theirs.
const WORKERS: &str = "tests/golden-worker";

/// Noon of 2026-11-22, UTC.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800)
}

fn rendered(case: &Path) -> Assets {
    let machine = config::parse(&fs::read(case.join("in.yaml")).unwrap()).unwrap();
    let given = given(&machine);
    if machine.role == Role::Worker {
        return render::render_worker(&machine, &given.join_token().unwrap()).unwrap();
    }
    let (mut secrets, _) = pki::ensure(&machine, &given, &Assets::default(), now()).unwrap();
    if secrets.complete().is_err() {
        let answered = signer::answered(case, &machine, &secrets);
        (secrets, _) = pki::ensure(&machine, &given, &answered, now()).unwrap();
    }
    let assets = render::render(&machine, &secrets).unwrap();
    assert_eq!(
        assets,
        render::render(&machine, &secrets).unwrap(),
        "the same document and secrets gave other bytes"
    );
    assets
}

/// Every case with what it renders to; once for all tests.
fn all() -> &'static [(PathBuf, Assets)] {
    static ALL: LazyLock<Vec<(PathBuf, Assets)>> = LazyLock::new(|| {
        let cases = sorted(CASES).into_iter();
        cases.map(|case| (case.clone(), rendered(&case))).collect()
    });
    &ALL
}

/// The secrets that the document holds, and a token: random like the keys, but too short to be left out.
fn given(machine: &Machine) -> pki::Given {
    let inline = |secret: &Sensitive| match secret {
        Sensitive::Inline(secret) => secret.clone(),
        other => panic!("{other:?} is not in the document"),
    };
    let authority = machine.certificates.authority.as_ref();
    let token = machine.join.token.as_ref().map(inline);
    pki::Given {
        service_account_key: machine.cluster.service_account_key.as_ref().map(inline),
        authority_key: authority.and_then(|authority| authority.key.as_ref().map(inline)),
        etcd_key: match &machine.etcd {
            Etcd::External(etcd) => Some(inline(&etcd.key)),
            Etcd::Local => None,
        },
        token: token.or_else(|| Some(Secret::new("abcdef.0123456789abcdef"))),
        encryption_key: match &machine.encryption {
            Encryption::Secretbox(key) => key.as_ref().map(inline),
            Encryption::None => None,
        },
    }
}

/// The files to compare, by path below `tree/`.
fn visible(assets: &Assets) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut list = String::new();
    for (path, asset) in assets.iter() {
        list += &format!("{:o} {:>5} {path}\n", asset.mode, asset.owner);
        if ![".crt", ".key", ".pub"]
            .iter()
            .any(|ending| path.ends_with(ending))
        {
            let text = std::str::from_utf8(asset.bytes.expose()).unwrap();
            files.insert(path.to_owned(), redact(text));
        }
    }
    files.insert("files.txt".to_owned(), list);
    files
}

fn redact(text: &str) -> String {
    let is_long = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let mut out = String::new();
    for piece in text.split_inclusive(|c| !is_long(c)) {
        let word = piece.trim_end_matches(|c| !is_long(c));
        let is_hash = word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
        match word.len() {
            _ if is_hash => out += "<sha256>",
            0..60 => out += word,
            _ => out += "<secret>",
        }
        out += &piece[word.len()..];
    }
    // A hash that begins with a digit is quoted, one that begins with a letter is not.
    out.replace("\"<sha256>\"", "<sha256>")
}

fn expected(folder: &Path, below: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            expected(folder, &path, files);
        } else {
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
            files.insert(name.to_owned(), fs::read_to_string(&path).unwrap());
        }
    }
}

fn update(tree: &Path, files: &BTreeMap<String, String>) {
    let _ = fs::remove_dir_all(tree);
    for (path, text) in files {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn difference(want: Option<&String>, have: Option<&String>) -> String {
    match (want, have) {
        (Some(_), None) => "is not rendered any more".to_owned(),
        (None, _) => "is new".to_owned(),
        (Some(want), Some(have)) => {
            let pair = want
                .lines()
                .zip(have.lines())
                .find(|(want, have)| want != have);
            match pair {
                Some((want, have)) => format!("expected {want:?}, rendered {have:?}"),
                None => "one is longer".to_owned(),
            }
        }
    }
}

#[test]
fn documents_render_to_their_trees() {
    let mut problems = Vec::new();
    let workers = sorted(WORKERS).into_iter();
    let workers: Vec<_> = workers
        .map(|case| (case.clone(), rendered(&case)))
        .collect();
    assert!(all().len() >= 10 && !workers.is_empty(), "no cases found");
    for (case, assets) in all().iter().chain(&workers) {
        let tree = case.join("tree");
        let have = visible(assets);
        if cases::update() {
            update(&tree, &have);
        }
        let mut want = BTreeMap::new();
        expected(&tree, &tree, &mut want);
        for path in want
            .keys()
            .chain(have.keys().filter(|path| !want.contains_key(*path)))
        {
            if want.get(path) != have.get(path) {
                let what = difference(want.get(path), have.get(path));
                problems.push(format!("{}/{path}: {what}", case.display()));
            }
        }
    }
    assert!(
        problems.is_empty(),
        "{}\nif the new version is right: UPDATE_GOLDEN=1 cargo test --test golden",
        problems.join("\n")
    );
}

/// Every file reads back, with the reader that `start` uses, as one object.
#[test]
fn every_manifest_is_one_object() {
    for (_, assets) in all() {
        for (path, text) in texts(assets, |path| path.ends_with(".yaml")) {
            let read = config::yaml::documents(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert!(read.len() == 1 && read[0]["kind"].is_string(), "{path}");
        }
    }
}

fn texts(assets: &Assets, which: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let files = assets.iter().filter(|(path, _)| which(path));
    files
        .map(|(path, asset)| (path.to_owned(), text(asset.bytes.expose())))
        .collect()
}
