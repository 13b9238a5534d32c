//! Cases as data: a folder each, with what goes in and, in `expected`, what must come out.

// Each test that is built with this module uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::os::unix::fs::symlink;
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

/// Copies a tree, with its links as they are; of one that is not there, an empty folder is made.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).into_iter().flatten() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&from, &to);
        } else if kind.is_symlink() {
            symlink(fs::read_link(from).unwrap(), to).unwrap();
        } else {
            fs::write(to, fs::read(from).unwrap()).unwrap();
        }
    }
}

/// The paths of what is in a tree and is no folder, from its top, sorted.
pub fn files(tree: &Path) -> Vec<String> {
    let (mut folders, mut files) = (vec![tree.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() && !path.is_symlink() {
                true => folders.push(path),
                false => files.push(format!("/{}", path.strip_prefix(tree).unwrap().display())),
            }
        }
    }
    files.sort();
    files
}
