//! Machine documents and what slipway says about them: `documents/NN-name/{in.yaml,expected}`.
//!
//! `expected` is the text of the problems, or `ok` and the machine as a value. With UPDATE_GOLDEN=1
//! the files are rewritten; the difference is then for a person to judge.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use slipway::config;

fn sorted(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn verdict(text: &[u8]) -> String {
    match config::parse(text) {
        Ok(machine) => format!("ok\n{machine:#?}\n"),
        Err(problems) => format!("{problems}\n"),
    }
}

#[test]
fn every_document_gets_its_verdict() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for case in sorted("tests/documents") {
        let got = verdict(&fs::read(case.join("in.yaml")).unwrap());
        let expected = case.join("expected");
        if update {
            fs::write(&expected, got).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != got {
            wrong.push(format!("{}:\n{got}", expected.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "differs (UPDATE_GOLDEN=1 rewrites):\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_example_is_valid() {
    for example in sorted("examples") {
        let verdict = verdict(&fs::read(&example).unwrap());
        assert!(
            verdict.starts_with("ok\n"),
            "{}: {verdict}",
            example.display()
        );
    }
}

#[test]
fn the_full_example_shows_the_defaults() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let parse = |name| config::parse(&fs::read(folder.join(name)).unwrap()).unwrap();
    let (mut full, small) = (parse("full.yaml"), parse("single-node.yaml"));
    assert_eq!(full.api.alt_names.len(), 2);
    full.api.alt_names.clear();
    assert_eq!(full, small);
}
