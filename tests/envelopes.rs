//! Envelopes and what is in them: `envelopes/NN-name/{in,expected}`; an `in.plain` is packed with
//! gzip first, so that it can be read here.
//!
//! `expected` is the delivery, or the error and its exit code. With UPDATE_GOLDEN=1 the files are
//! rewritten; the difference is then for a person to judge.

#![allow(clippy::unwrap_used)]

mod cases;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use slipway::exit::exit_of;
use slipway::hash::sha256;
use slipway::metadata::envelope::{self, Delivery, Entry, Id, Offline, What};
use slipway::secret::Secret;

fn input(case: &Path) -> Vec<u8> {
    let plain = case.join("in.plain");
    if !plain.exists() {
        return fs::read(case.join("in")).unwrap();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&fs::read(plain).unwrap()).unwrap();
    encoder.finish().unwrap()
}

fn bytes(secret: &Secret) -> String {
    let bytes = secret.expose();
    format!("{} bytes, sha256 {}", bytes.len(), &sha256(bytes)[..12])
}

fn owner(id: Option<&Id>) -> String {
    match id {
        None => "-".to_owned(),
        Some(Id::Number(number)) => number.to_string(),
        Some(Id::Name(name)) => name.clone(),
    }
}

fn line(entry: &Entry) -> String {
    let what = match &entry.what {
        What::File(secret) => format!("file, {}", bytes(secret)),
        What::Append(secret) => format!("append, {}", bytes(secret)),
        What::Folder => "folder".to_owned(),
        What::Link { target, hard } => {
            let kind = if *hard { "hard" } else { "symbolic" };
            format!("{kind} link to {target}")
        }
    };
    let mode = entry
        .mode
        .map_or("-".to_owned(), |mode| format!("{mode:04o}"));
    let (user, group) = (owner(entry.user.as_ref()), owner(entry.group.as_ref()));
    let overwrite = if entry.overwrite { ", overwrite" } else { "" };
    format!("{}: {what}; {mode} {user}:{group}{overwrite}\n", entry.path)
}

fn shown(delivery: &Delivery) -> String {
    let mut text = String::new();
    if let Some(hostname) = &delivery.hostname {
        writeln!(text, "hostname: {hostname}").unwrap();
    }
    text.extend(delivery.entries.iter().map(line));
    for warning in &delivery.warnings {
        writeln!(text, "warning: {warning}").unwrap();
    }
    let document = String::from_utf8_lossy(delivery.document.expose());
    text + "document:\n" + &document
}

fn verdict(bytes: &[u8]) -> String {
    match envelope::open(bytes, &Offline) {
        Ok(delivery) => shown(&delivery),
        Err(error) => format!("exit {}\n{error:#}\n", exit_of(&error) as u8),
    }
}

#[test]
fn every_envelope_gets_its_verdict() {
    cases::judge("tests/envelopes", |case| verdict(&input(case)));
}
