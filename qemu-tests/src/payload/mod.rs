//! What a node runs besides slipway: binaries built from pinned Go modules, and images of them.
//!
//! Each upstream is a component with a go.mod of its own in image/payload, and a cache entry of its
//! own, so that raising one version builds one upstream. Images and the store of unpacked images
//! follow from these. `target/payload` holds links to the cache.

mod component;
mod debian;
mod go;
pub mod images;
mod oci;
mod pause;
mod programs;
mod store;

use crate::{build, cache, image, prereq};
use anyhow::{Context, Result};
pub use component::kubernetes_version;
use component::{COMPONENTS, PREVIOUS};
pub use programs::Programs;
use std::path::{Path, PathBuf};

/// `target/payload` with the binaries in `bin/` and the CNI plugins in `cni/`: what the API tier
/// needs.
pub fn binaries(repo: &Path) -> Result<PathBuf> {
    components(repo)?;
    Ok(repo.join("target/payload"))
}

/// All of `target/payload`: `bin/`, `cni/`, `images/*.tar`, and `store/`, which is the content of
/// /var/lib/containerd with every image unpacked.
pub fn ensure(repo: &Path) -> Result<PathBuf> {
    let mut programs = components(repo)?;
    prereq::image()?;
    let rootfs = image::rootfs(repo)?;
    let payload = repo.join("target/payload");
    let upstream = images::upstream(&programs, &rootfs)?;
    programs.add_file("slipway", build::slipway(repo)?)?;
    programs.add_file("prober", build::prober(repo)?)?;
    let own = images::own(&programs, &rootfs)?;
    for archive in upstream.iter().chain(&own) {
        let name = archive.file_name().context("an archive has a name")?;
        place_file(archive, &payload.join("images").join(name))?;
    }
    let store = store::build(&programs, &upstream, &own)?;
    cache::point(&payload.join("store"), &store)?;
    Ok(payload)
}

/// The version of Kubernetes before the payload's.
#[derive(Debug)]
pub struct Previous {
    /// E.g. `1.36.3`.
    pub version: String,
    /// The folder of its programs.
    pub bin: PathBuf,
}

/// Builds it, if the cache has it not.
pub fn previous(repo: &Path) -> Result<Previous> {
    prereq::payload()?;
    Ok(Previous {
        version: PREVIOUS.pinned(repo)?,
        bin: go::build(repo, &PREVIOUS)?.join(PREVIOUS.folder),
    })
}

impl Previous {
    /// The archives of its images; no payload has them.
    pub fn images(&self, repo: &Path) -> Result<Vec<PathBuf>> {
        let mut programs = Programs::default();
        for file in cache::files_below(&self.bin)? {
            programs.add_cached(file)?;
        }
        images::kubernetes_of(&self.version, &programs, &image::rootfs(repo)?)
    }
}

/// Builds the components and links them into `target/payload`.
fn components(repo: &Path) -> Result<Programs> {
    prereq::payload()?;
    let payload = repo.join("target/payload");
    let mut programs = Programs::default();
    let go = COMPONENTS
        .iter()
        .map(|component| go::build(repo, component));
    for entry in go.chain(std::iter::once_with(|| pause::build(repo))) {
        let entry = entry?;
        for file in cache::files_below(&entry)? {
            place_file(&file, &payload.join(file.strip_prefix(&entry)?))?;
            programs.add_cached(file)?;
        }
    }
    Ok(programs)
}

/// Links one file of the cache to a place in `target/payload`.
fn place_file(from: &Path, to: &Path) -> Result<()> {
    if cache::is_linked(from, to) {
        Ok(())
    } else {
        cache::link(from, to)
    }
}
