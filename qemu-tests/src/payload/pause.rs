//! The sandbox's `pause`, from the C source that lies in the Kubernetes module.

use crate::cache::{self, Key};
use crate::progress::{self, Log};
use crate::{prereq, process};
use anyhow::{Context, Result};
use serde_json::Value;
use slipway::render::images;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler's arguments, upstream's own; the version is that of the image's tag.
const FLAGS: [&str; 4] = ["-Os", "-Wall", "-Werror", "-static"];

/// The cache entry with `bin/pause`.
pub fn build(repo: &Path) -> Result<PathBuf> {
    let kubernetes = repo.join("image/payload/kubernetes");
    let recipe = format!("1 {FLAGS:?} {} {}", images::PAUSE, prereq::go_version()?);
    let key = Key::new(&recipe).add_tree(&kubernetes)?.finish();
    cache::entry("payload-pause", &key, |entry| {
        progress::step("payload pause", |log| compile(&kubernetes, entry, log))
    })
}

fn compile(kubernetes: &Path, entry: &Path, log: &Log) -> Result<()> {
    let folder = entry.join("bin");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let module = module(kubernetes)?;
    let tag = images::PAUSE.rsplit(':').next().unwrap_or_default();
    process::run(
        Command::new("musl-gcc")
            .args(FLAGS)
            .arg(format!("-DVERSION=v{tag}"))
            .arg("-o")
            .arg(folder.join("pause"))
            .arg(module.join("build/pause/linux/pause.c")),
        log,
    )
}

/// Where Go keeps the sources of the Kubernetes module; fetched and checked if they are not there.
fn module(kubernetes: &Path) -> Result<PathBuf> {
    let mut download = Command::new("go");
    download
        .args(["mod", "download", "-json", "k8s.io/kubernetes"])
        .current_dir(kubernetes)
        .env("GOWORK", "off");
    let module: Value = serde_json::from_str(&process::output(&mut download)?)
        .context("go mod download printed no JSON")?;
    let folder = module["Dir"]
        .as_str()
        .context("Go does not say where k8s.io/kubernetes lies")?;
    Ok(PathBuf::from(folder))
}
