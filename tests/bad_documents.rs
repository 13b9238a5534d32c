//! What a person is told of each wrong input: `bad_documents.txt`, a table to be read from top to bottom.

#![allow(clippy::unwrap_used)]

mod cases;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use slipway::config;

/// The smallest good document, by its top-level keys.
const SMALLEST: [(&str, &str); 4] = [
    ("apiVersion", "slipway.dev/v1alpha1"),
    ("kind", "Machine"),
    ("node", "{name: node-a, address: 10.0.2.15}"),
    ("cluster", "{name: harbour}"),
];

/// The input completed by what it says nothing of, which stands below it so that lines are its own.
fn document(input: &str) -> String {
    let mut text = input.to_owned();
    for (key, value) in SMALLEST {
        if !input
            .lines()
            .any(|line| line.starts_with(&format!("{key}:")))
        {
            writeln!(text, "{key}: {value}").unwrap();
        }
    }
    text
}

/// Input and answer of a block.
fn split(block: &str) -> (String, String) {
    let (answer, input): (Vec<_>, Vec<_>) = block.lines().partition(|line| line.starts_with('>'));
    (input.join("\n") + "\n", answer.join("\n"))
}

fn answer(input: &str) -> String {
    let problems = config::parse(document(input).as_bytes())
        .unwrap_err()
        .to_string();
    let lines = problems.lines().map(|line| format!("> {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_wrong_input_has_its_answer() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_documents.txt");
    let text = fs::read_to_string(&path).unwrap();
    let (head, table) = text.trim_end().split_once("\n\n").unwrap();
    let cases: Vec<_> = table.split("\n\n").map(split).collect();
    if cases::update() {
        let blocks = cases
            .iter()
            .map(|(input, _)| format!("\n\n{input}{}", answer(input)));
        let text = format!("{head}{}\n", blocks.collect::<String>());
        return fs::write(path, text).unwrap();
    }
    for (input, wanted) in &cases {
        assert_eq!(*wanted, answer(input), "of\n{input}");
        assert!(!wanted.contains("s3cret"), "{wanted}");
    }
    let inputs: BTreeSet<_> = cases.iter().map(|(input, _)| input).collect();
    let answers: BTreeSet<_> = cases.iter().map(|(_, answer)| answer).collect();
    assert_eq!(
        (inputs.len(), answers.len()),
        (cases.len(), cases.len()),
        "one stands there twice"
    );
    assert!(
        cases.len() >= 100,
        "only {} wrong inputs are left",
        cases.len()
    );
}

#[test]
fn what_they_are_completed_with_is_good() {
    config::parse(document("").as_bytes()).unwrap();
}
