//! The checks of the unit tier that are no `cargo test`: form, lints, licences, scripts, units.

use super::{dracut, schema};
use crate::build::{self, Arch, cargo};
use crate::{cache, image, install, prereq, process, progress};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A check: its name, and what fails if it does not hold.
pub type Check = (&'static str, fn(&Path) -> Result<()>);

/// All of them, fast ones first.
pub const CHECKS: &[Check] = &[
    ("rustfmt", rustfmt),
    ("shellcheck", shellcheck),
    ("clippy", clippy),
    ("cargo-deny", deny),
    ("schema", schema::check),
    ("systemd-units", units),
    ("dracut", dracut::check),
    ("aarch64", aarch64),
    ("binary-size", binary_size),
];

/// What the static binary may weigh, in bytes: it lies in every image, and twice where the initrd has it.
const BUDGET: u64 = 6 << 20;

/// Runs one command as a step of the check's name.
fn run(name: &str, command: &mut Command) -> Result<()> {
    progress::step(name, |log| process::run(command, log))
}

fn rustfmt(repo: &Path) -> Result<()> {
    run("rustfmt", cargo(repo).args(["fmt", "--all", "--check"]))
}

fn clippy(repo: &Path) -> Result<()> {
    let args = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    run("clippy", cargo(repo).args(args))
}

/// Licences, duplicates and sources of the dependencies, which Cargo.lock alone decides.
fn deny(repo: &Path) -> Result<()> {
    let mut deny = Command::new(prereq::cargo_deny()?);
    deny.current_dir(repo)
        .args(["check", "bans", "licenses", "sources"]);
    run("cargo-deny", &mut deny)
}

/// Advisories about the dependencies. Their database comes from the network at every run.
pub fn advisories(repo: &Path) -> Result<()> {
    let mut deny = Command::new(prereq::cargo_deny()?);
    run(
        "advisories",
        deny.current_dir(repo).args(["check", "advisories"]),
    )
}

fn binary_size(repo: &Path) -> Result<()> {
    let binary = build::slipway(repo)?;
    let size = fs::metadata(&binary).context("there is no binary")?.len();
    ensure!(
        size <= BUDGET,
        "the binary has {size} bytes of {BUDGET}: a new dependency, or `cargo bloat`?"
    );
    Ok(())
}

/// Variables that dracut sets are no mistake of its modules: SC2154.
fn shellcheck(repo: &Path) -> Result<()> {
    let mut shellcheck = Command::new("shellcheck");
    shellcheck
        .current_dir(repo)
        .arg("--exclude=SC2154")
        .args(scripts(repo)?);
    run("shellcheck", &mut shellcheck)
}

/// The shell scripts of the repository.
fn scripts(repo: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![repo.join("x")];
    for folder in [".ci", "dracut", "image", "systemd", "qemu-tests"] {
        files.extend(cache::files_below(&repo.join(folder))?);
    }
    let mut scripts = Vec::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if is_script(&bytes) {
            scripts.push(file);
        }
    }
    Ok(scripts)
}

fn is_script(bytes: &[u8]) -> bool {
    let first = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    first.starts_with(b"#!") && first.ends_with(b"sh")
}

/// The units as they are installed, read by the image's own systemd: the machine's may be too old
/// to know their settings. It runs outside its tree, so it is called with its own dynamic linker.
fn units(repo: &Path) -> Result<()> {
    prereq::image()?;
    let rootfs = image::rootfs(repo)?;
    let tree = tempfile::tempdir().context("cannot create a temporary folder")?;
    install::into(repo, &build::slipway(repo)?, tree.path())?;
    // The one program of somebody else's that a unit calls.
    fs::copy(
        rootfs.join("usr/bin/systemctl"),
        tree.path().join("usr/bin/systemctl"),
    )
    .context("the root file system has no systemctl")?;
    let units = gather_units(tree.path())?;
    let libraries = rootfs.join("usr/lib/x86_64-linux-gnu");
    let mut verify = Command::new(rootfs.join("usr/lib64/ld-linux-x86-64.so.2"));
    verify
        .arg("--library-path")
        .arg(format!("{0}:{0}/systemd", libraries.display()))
        .arg(rootfs.join("usr/bin/systemd-analyze"))
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(format!("--root={}", tree.path().display()))
        .args(units);
    run("systemd-units", &mut verify)
}

/// Every service and timer of an installed tree, in the folder where systemd looks for it; those of the dracut
/// module lie elsewhere until an initrd is made.
fn gather_units(tree: &Path) -> Result<Vec<PathBuf>> {
    let folder = tree.join("usr/lib/systemd/system");
    let mut units = Vec::new();
    for file in cache::files_below(&tree.join("usr/lib"))? {
        if file
            .extension()
            .is_some_and(|extension| extension == "service" || extension == "timer")
        {
            let unit = folder.join(file.file_name().unwrap_or_default());
            if unit != file {
                fs::copy(&file, &unit)
                    .with_context(|| format!("cannot copy {}", file.display()))?;
            }
            units.push(unit);
        }
    }
    Ok(units)
}

/// Compiles and links for the architecture that no test runs on.
fn aarch64(repo: &Path) -> Result<()> {
    build::links(repo, Arch::Aarch64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_scripts_by_their_first_line() {
        assert!(is_script(b"#!/bin/sh\necho"));
        assert!(is_script(b"#!/usr/bin/env bash\n"));
        assert!(!is_script(b"#!/usr/bin/python3\n"));
        assert!(!is_script(b"#![allow(x)]\n"));
        assert!(!is_script(b""));
    }

    #[test]
    fn finds_the_scripts_that_everything_starts_with() {
        let repo = crate::repo();
        let scripts = scripts(&repo).unwrap();
        assert!(scripts.contains(&repo.join("x")) && scripts.contains(&repo.join(".ci/run")));
    }
}
