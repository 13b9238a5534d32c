//! Machine + secrets -> assets: pure, no clock, no disk, no randomness.
//!
//! One file a component. Manifests are k8s-openapi's typed values, so a misspelt field does not
//! compile; [`emit`] makes them YAML. File names are those of the original's `render`, because
//! scripts and people know them; what this cluster does not need is not rendered.
//! [`directory`] and [`install`] are the edges: they put assets on disk.

mod apiserver;
mod controller_manager;
pub mod directory;
mod dns;
mod emit;
mod etcd;
mod flannel;
pub mod images;
pub mod install;
mod kubeconfig;
mod kubelet;
mod merge;
mod objects;
mod proxy;
mod scheduler;
mod shared;
mod tls;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::assets::Assets;
use crate::config::Machine;
use crate::pki::Secrets;

/// Everything the machine needs: the same arguments give the same bytes.
pub fn render(machine: &Machine, secrets: &Secrets) -> Result<Assets> {
    let mut out = Output::default();
    tls::render(&mut out, secrets)?;
    kubeconfig::render(&mut out, machine, secrets)?;
    etcd::render(&mut out, machine)?;
    kubelet::render(&mut out, machine)?;
    apiserver::render(&mut out, machine, secrets)?;
    controller_manager::render(&mut out, machine, secrets)?;
    scheduler::render(&mut out, machine)?;
    shared::render(&mut out, machine)?;
    proxy::render(&mut out, machine)?;
    dns::render(&mut out, machine)?;
    flannel::render(&mut out, machine)?;
    Ok(out.assets)
}

/// The assets rendered so far.
#[derive(Default)]
struct Output {
    assets: Assets,
}

impl Output {
    /// Adds a manifest; `comment` says in a sentence what it is for.
    fn manifest(&mut self, path: &str, comment: &str, object: &impl Serialize) -> Result<()> {
        let bytes = emit::document(comment, object).with_context(|| path.to_owned())?;
        self.assets.add(path, bytes);
        Ok(())
    }

    /// Adds a manifest that holds secrets.
    fn secret_manifest(
        &mut self,
        path: &str,
        comment: &str,
        object: &impl Serialize,
    ) -> Result<()> {
        let bytes = emit::document(comment, object).with_context(|| path.to_owned())?;
        self.assets.add_secret(path, 0, bytes);
        Ok(())
    }
}
