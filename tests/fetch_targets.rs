//! `fetch` onto file systems that cannot take it: full, and read-only.
//!
//! Such a file system is a tmpfs of a few pages in a mount namespace of the test's own: the test
//! runs itself again under `unshare`, which needs no root.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use slipway::metadata::{self, Request};

const INSIDE: &str = "SLIPWAY_TEST_INSIDE";

/// Runs the named test again in namespaces of its own; true in that second run.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let again = Command::new("unshare")
        .args(["--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&again.stdout) + String::from_utf8_lossy(&again.stderr);
    assert!(
        again.status.success() && text.contains("1 passed"),
        "{text}"
    );
    false
}

fn tmpfs(folder: &Path, flags: MsFlags, data: &str) {
    fs::create_dir_all(folder).unwrap();
    mount(Some("none"), folder, Some("tmpfs"), flags, Some(data)).unwrap();
}

/// What fetch says when it writes to a target whose /var is `folder`.
fn refusal(target: &Path) -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/full.yaml");
    let request = Request {
        config: Some(example),
        ..Request::new(target.join("root"), target)
    };
    format!("{:#}", metadata::fetch(&request).unwrap_err())
}

fn files_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
        .sum()
}

#[test]
fn a_full_target_is_named_and_holds_nothing_half_written() {
    if inside("a_full_target_is_named_and_holds_nothing_half_written") {
        let target = tempfile::tempdir().unwrap();
        let var = target.path().join("var");
        // One page holds less than the document; folders take none.
        tmpfs(&var, MsFlags::empty(), "size=4k");
        fs::write(var.join("full"), [0; 4096]).unwrap();
        let text = refusal(target.path());
        assert!(
            text.contains("var/lib/slipway/machine.yaml is full; make room"),
            "{text}"
        );
        assert_eq!(files_below(&var), 1, "only what filled it");
    }
}

#[test]
fn a_read_only_target_is_named() {
    if inside("a_read_only_target_is_named") {
        let target = tempfile::tempdir().unwrap();
        let var = target.path().join("var");
        tmpfs(&var, MsFlags::MS_RDONLY, "size=4k");
        let text = refusal(target.path());
        assert!(
            text.contains("var/lib/slipway/machine.yaml is read-only; mount"),
            "{text}"
        );
        assert_eq!(files_below(&var), 0);
    }
}
