//! Rust's targets and Cargo's tools.

use crate::{cache, process, progress};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Adds the standard library of `target` if the toolchain lacks it.
pub fn target(target: &str) -> Result<()> {
    let root = process::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    if Path::new(root.trim())
        .join("lib/rustlib")
        .join(target)
        .join("lib")
        .is_dir()
    {
        return Ok(());
    }
    progress::step(&format!("install {target}"), |log| {
        process::run(Command::new("rustup").args(["target", "add", target]), log)
    })
    .with_context(|| format!("Rust's standard library for {target} is missing: install it as your toolchain was installed"))
}

/// Adds a component to the toolchain if its program is missing.
pub fn component(component: &str, program: &str) -> Result<()> {
    if process::output(Command::new(program).arg("--version")).is_ok() {
        return Ok(());
    }
    progress::step(&format!("install {component}"), |log| {
        process::run(
            Command::new("rustup").args(["component", "add", component]),
            log,
        )
    })
    .with_context(|| format!("{component} is missing: install it as your toolchain was installed"))
}

/// The release of cargo-deny that deny.toml is written for.
const CARGO_DENY: &str = "0.20.2";

/// The path of cargo-deny, compiled once a machine, without optimising: two minutes
/// of processor time instead of seven, and it runs for one second.
pub fn cargo_deny() -> Result<PathBuf> {
    let entry = cache::entry("tool-cargo-deny", CARGO_DENY, |entry| {
        progress::step("install cargo-deny", |log| {
            let mut install = Command::new("cargo");
            install
                .args([
                    "install",
                    "--locked",
                    "--debug",
                    "cargo-deny",
                    "--version",
                    CARGO_DENY,
                    "--root",
                ])
                .arg(entry)
                .env_remove("CARGO_TARGET_DIR");
            process::run(&mut install, log)
        })
    })?;
    Ok(entry.join("bin/cargo-deny"))
}
