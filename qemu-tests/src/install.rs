//! `./x install`: what an OS image needs of slipway, and nothing else.
//!
//! Completions and the manual page come from the binary itself, so that they cannot differ from it.

use crate::{cache, process};
use anyhow::{Context, Result};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Folders of the repository and where their files go below the destination.
const FOLDERS: [(&str, &str); 3] = [
    ("dracut/50slipway", "usr/lib/dracut/modules.d/50slipway"),
    (
        "dracut/50slipway-network",
        "usr/lib/dracut/modules.d/50slipway-network",
    ),
    ("systemd", "usr/lib/systemd/system"),
];

/// What an image is made of; other commits leave it as it was.
const IMAGE: [&str; 6] = [
    "src",
    "dracut",
    "systemd",
    "image",
    "Cargo.toml",
    "Cargo.lock",
];

/// What the binary prints about itself and the file that it goes to.
const PRINTED: [(&[&str], &str); 4] = [
    (
        &["completions", "bash"],
        "usr/share/bash-completion/completions/slipway",
    ),
    (
        &["completions", "zsh"],
        "usr/share/zsh/vendor-completions/_slipway",
    ),
    (
        &["completions", "fish"],
        "usr/share/fish/vendor_completions.d/slipway.fish",
    ),
    (&["man"], "usr/share/man/man8/slipway.8"),
];

/// Puts the binary, the dracut module, the systemd units, completions and the manual page below
/// `destdir`.
pub fn into(repo: &Path, slipway: &Path, destdir: &Path) -> Result<()> {
    place(slipway, &destdir.join("usr/bin/slipway"), 0o755)?;
    for (from, to) in FOLDERS {
        for file in cache::files_below(&repo.join(from))? {
            let is_script = file.extension().is_some_and(|extension| extension == "sh");
            let mode = if is_script { 0o755 } else { 0o644 };
            let name = file.file_name().unwrap_or_default();
            place(&file, &destdir.join(to).join(name), mode)?;
        }
    }
    write(
        built(repo)?.as_bytes(),
        &destdir.join("usr/lib/slipway/built"),
        0o644,
    )?;
    for (arguments, to) in PRINTED {
        let text = process::output(Command::new(slipway).args(arguments))?;
        write(text.as_bytes(), &destdir.join(to), 0o644)?;
    }
    Ok(())
}

/// When the image is built, in seconds since 1970, for the clock's gate: SOURCE_DATE_EPOCH if it is
/// set, else the date of the last commit, so that the same sources give the same image.
pub fn built(repo: &Path) -> Result<String> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => {
            let mut log = Command::new("git");
            log.arg("-C")
                .arg(repo)
                .args(["log", "-1", "--format=%ct", "--"])
                .args(IMAGE);
            process::output(&mut log).context("cannot ask git; set SOURCE_DATE_EPOCH")?
        }
    };
    let seconds: u64 = text
        .trim()
        .parse()
        .with_context(|| format!("{text:?} is no date"))?;
    Ok(format!("{seconds}\n"))
}

fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write(&bytes, to, mode)
}

/// Writes a new file in place of whatever is there: in a tree of hard links, the old one is not only
/// this tree's.
fn write(bytes: &[u8], to: &Path, mode: u32) -> Result<()> {
    let shown = || format!("cannot install {}", to.display());
    fs::create_dir_all(to.parent().unwrap_or(to)).with_context(shown)?;
    if to.exists() {
        fs::remove_file(to).with_context(shown)?;
    }
    fs::write(to, bytes).with_context(shown)?;
    fs::set_permissions(to, Permissions::from_mode(mode)).with_context(shown)
}
