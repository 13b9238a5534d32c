//! Rust's targets and Cargo's tools.

use crate::{process, progress};
use anyhow::{Context, Result};
use std::path::Path;
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
