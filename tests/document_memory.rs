//! Hostile documents of the largest size that is read: each is refused, within a bounded heap.
//!
//! The initrd has no swap, and fetch runs beside everything else that boots.

mod heap;

use slipway::config::{self, yaml::MAX_BYTES};

/// What `start` may take at its peak.
const MAX_HEAP: usize = 16 * 1024 * 1024;

/// Aliases of aliases: nine levels of nine are 387 million nodes.
fn laughs() -> String {
    let level = |n: u8| {
        let aliases = vec![format!("*l{}", n - 1); 9].join(", ");
        format!("l{n}: &l{n} [{aliases}]\n")
    };
    format!("l0: &l0 [a]\n{}", (1..10).map(level).collect::<String>())
}

#[test]
fn hostile_documents_are_refused_within_bounds() {
    let long = "k".repeat(120);
    let pieces = "[|{|[a,|{a: |[a,b],|- |-\n|? |: |a: b\n|&a |!t |# c\n|'|\"|>\n|a\n|---\n|0644\n| |\n|\
        %T\n|[]: |{}\n,|\\|x|é|- [[[[[[[[[[a]]]]]]]]]]\n";
    let mut documents: Vec<String> = pieces
        .split('|')
        .map(|p| p.repeat(MAX_BYTES / p.len()))
        .collect();
    documents
        .extend(["[", "{", "[[", "- ["].map(|p| format!("{p}{}", "a,".repeat(MAX_BYTES / 2 - 2))));
    documents.push((0..MAX_BYTES / 8).map(|n| format!("{n:x}: y\n")).collect());
    documents.push(format!(
        "{long}:\n {}",
        format!("- {{{long}: on}}\n ").repeat(480)
    ));
    documents.push(laughs());
    for document in documents {
        let (refused, peak) = heap::peak(|| config::parse(document.as_bytes()).is_err());
        let begin: String = document.chars().take(20).collect();
        assert!(refused, "{begin:?}");
        assert!(peak < MAX_HEAP, "{begin:?} took {} KiB", peak / 1024);
    }
}
