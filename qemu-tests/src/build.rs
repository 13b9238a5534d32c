//! The product: one static binary.

use crate::{prereq, process, progress};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What slipway is compiled for; always Linux with musl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// The tested one.
    X86_64,
    /// Compiled by the tests, not run.
    Aarch64,
}

impl Arch {
    fn target(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64-unknown-linux-musl",
            Arch::Aarch64 => "aarch64-unknown-linux-musl",
        }
    }

    fn prerequisites(self) -> Result<()> {
        match self {
            Arch::X86_64 => prereq::binary(),
            Arch::Aarch64 => prereq::cross(),
        }
    }

    /// The C compiler and the linker, where cargo's own choice does not do: Debian has no musl
    /// compiler for aarch64, but ring's C needs no libc, and Rust brings musl and a linker along.
    fn tools(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Arch::X86_64 => &[],
            Arch::Aarch64 => &[
                ("CC_aarch64_unknown_linux_musl", "aarch64-linux-gnu-gcc"),
                ("AR_aarch64_unknown_linux_musl", "aarch64-linux-gnu-ar"),
                ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld"),
            ],
        }
    }

    /// Where the finished binary lies below the repository.
    fn place(self) -> &'static str {
        match self {
            Arch::X86_64 => "target/slipway",
            Arch::Aarch64 => "target/slipway-aarch64",
        }
    }
}

/// `target/slipway`, up to date.
pub fn slipway(repo: &Path) -> Result<PathBuf> {
    slipway_for(repo, Arch::X86_64)
}

/// The binary for one architecture, up to date; cargo decides what there is to do.
pub fn slipway_for(repo: &Path, arch: Arch) -> Result<PathBuf> {
    let built = compile(repo, arch, "release", &["-p", "slipway"])?;
    let place = repo.join(arch.place());
    place_static(&built.join("slipway"), &place)?;
    Ok(place)
}

/// `target/payload/bin/prober`, the tests' prober, as static as slipway so that it runs in a pod.
pub fn prober(repo: &Path) -> Result<PathBuf> {
    let built = compile(
        repo,
        Arch::X86_64,
        "prober",
        &["-p", "qemu-tests", "--bin", "prober"],
    )?;
    let place = repo.join("target/payload/bin/prober");
    place_static(&built.join("prober"), &place)?;
    Ok(place)
}

/// Compiles and links slipway unoptimised, which shows the same errors in half the time.
pub fn links(repo: &Path, arch: Arch) -> Result<()> {
    compile(repo, arch, "dev", &["-p", "slipway"]).map(drop)
}

/// Runs cargo and returns the folder of what it built. `profile` is also the folder's name.
fn compile(repo: &Path, arch: Arch, profile: &str, what: &[&str]) -> Result<PathBuf> {
    arch.prerequisites()?;
    let name = format!("build {} {}", what.last().unwrap_or(&""), arch.target());
    progress::step(&name, |log| {
        let mut cargo = cargo(repo);
        cargo.envs(arch.tools().iter().copied());
        cargo
            .args(["build", "--profile", profile, "--target", arch.target()])
            .args(what);
        process::run(&mut cargo, log)
    })?;
    Ok(repo.join("target").join(arch.target()).join(profile))
}

/// Copies a finished binary to its place unless it is there already, and refuses one that needs a
/// dynamic linker.
fn place_static(built: &Path, place: &Path) -> Result<()> {
    let bytes = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    if !is_static(&bytes).context("cargo built something that is no 64-bit ELF file")? {
        bail!(
            "{} is not static: it asks for an interpreter",
            built.display()
        );
    }
    if fs::read(place).ok().as_deref() == Some(&bytes) {
        return Ok(());
    }
    let partial = place.with_extension("partial");
    fs::copy(built, &partial)
        .and_then(|_| fs::rename(&partial, place))
        .with_context(|| format!("cannot write {}", place.display()))
}

/// cargo in the repository, without what the cargo that runs this program told it: crates such as
/// ring compile again whenever those variables differ.
pub fn cargo(repo: &Path) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(repo)
        .env("CARGO_TARGET_DIR", repo.join("target"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command.env_remove("LD_LIBRARY_PATH");
    command
}

/// Whether a 64-bit little-endian ELF file runs without a dynamic linker: it has no PT_INTERP
/// program header. `None` if it is no such file. Layout: elf(5).
fn is_static(elf: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let offset = usize::try_from(u64::from_le_bytes(*elf.get(32..)?.first_chunk()?)).ok()?;
    let size = usize::from(u16::from_le_bytes(*elf.get(54..)?.first_chunk()?));
    let count = usize::from(u16::from_le_bytes(*elf.get(56..)?.first_chunk()?));
    for index in 0..count {
        let header = elf.get(offset.checked_add(index * size)?..)?;
        if u32::from_le_bytes(*header.first_chunk()?) == PT_INTERP {
            return Some(false);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_static_from_dynamic() {
        let dynamic = fs::read("/bin/sh").unwrap();
        assert_eq!(is_static(&dynamic), Some(false));
        assert_eq!(is_static(b"#!/bin/sh"), None);
        assert_eq!(is_static(&dynamic[..60]), None);
        let mut none = dynamic;
        none[56..58].copy_from_slice(&[0, 0]);
        assert_eq!(is_static(&none), Some(true));
    }
}
