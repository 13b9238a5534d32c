//! Cases as data: a folder each, with what goes in and, in `expected`, what must come out.

// Each test that is built with this module uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

/// What is in a folder of the repository, sorted.
pub fn sorted(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Whether what is expected is to be written anew; the difference is then for a person to judge.
pub fn update() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// Compares what `verdict` says of each case with its `expected`.
pub fn judge(folder: &str, verdict: impl Fn(&Path) -> String) {
    let mut wrong = Vec::new();
    for case in sorted(folder) {
        let got = verdict(&case);
        let expected = case.join("expected");
        if update() {
            fs::write(&expected, got).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != got {
            wrong.push(format!("{}:\n{got}", expected.display()));
        }
    }
    let wrong = wrong.join("\n");
    assert!(
        wrong.is_empty(),
        "differs (UPDATE_GOLDEN=1 rewrites):\n{wrong}"
    );
}
