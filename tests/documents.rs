//! Machine documents and what slipway says about them: `documents/NN-name/{in.yaml,expected}`.
//!
//! `expected` is the text of the problems, or `ok` and the machine as a value. With UPDATE_GOLDEN=1
//! the files are rewritten; the difference is then for a person to judge.

#![allow(clippy::unwrap_used)]

mod cases;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use slipway::config;

use cases::{judge, sorted};

fn verdict(text: &[u8]) -> String {
    match config::parse(text) {
        Ok(machine) => format!("ok\n{machine:#?}\n"),
        Err(problems) => format!("{problems}\n"),
    }
}

#[test]
fn every_document_gets_its_verdict() {
    judge("tests/documents", |case| {
        verdict(&fs::read(case.join("in.yaml")).unwrap())
    });
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

proptest! {
    /// Whatever a slip of the hand does to a document, the answer is a machine or problems that
    /// name a line of it.
    #[test]
    fn a_damaged_document_gets_an_answer(
        at in 0.0..1.0, len in 0_usize..60, instead in "\\PC{0,6}|[-:{},\\[\\]&*!|>'\" \n\t0-9a-z]{0,9}",
    ) {
        let full: Vec<char> = include_str!("../examples/full.yaml").chars().collect();
        let begin = (at * full.len() as f64) as usize;
        let (head, rest) = full.split_at(begin);
        let tail = &rest[len.min(rest.len())..];
        let text: String = head.iter().copied().chain(instead.chars()).chain(tail.iter().copied()).collect();
        if let Err(problems) = config::parse(text.as_bytes()) {
            let lines = text.split(['\n', '\r']).count();
            prop_assert!(problems.iter().count() > 0);
            prop_assert!(problems.iter().all(|problem| (1..=lines).contains(&problem.line)), "{problems}");
        }
    }
}
