//! Machine + secrets -> assets: pure, no clock, no disk, no randomness.
//!
//! One file a component. Manifests are k8s-openapi's typed values, so a misspelt field does not
//! compile; [`emit`] makes them YAML. File names are those of the original's `render`, because
//! scripts and people know them; what this cluster does not need is not rendered.
//! [`directory`] and [`install`] are the edges: they put assets on disk.

mod apiserver;
mod checkpointer;
mod configuration;
mod controller_manager;
pub mod directory;
mod dns;
pub mod emit;
mod etcd;
mod flannel;
pub mod images;
pub mod install;
mod join;
mod kubeconfig;
mod kubelet;
mod merge;
mod objects;
mod proxy;
mod scheduler;
mod shared;
mod tls;
mod workload;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::assets::{Asset, Assets, CONTROL_PLANE_UID};
use crate::config::Machine;
use crate::pki::Secrets;
use crate::secret::Secret;

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
    join::render(&mut out, secrets)?;
    checkpointer::render(&mut out, machine)?;
    proxy::render(&mut out, machine)?;
    dns::render(&mut out, machine)?;
    flannel::render(&mut out, machine)?;
    Ok(out.assets)
}

/// Whose a file is once it is installed on a node: the control plane's user reads `tls/` and
/// `auth/`, but etcd and the kubelet run as root. The asset directory itself belongs to whoever
/// rendered it, so reading it back asks here again.
fn owner(path: &str) -> u32 {
    let control_plane = path.starts_with("tls/") || path.starts_with("auth/");
    if control_plane && !path.starts_with("tls/etcd/") {
        CONTROL_PLANE_UID
    } else {
        0
    }
}

/// The assets rendered so far.
#[derive(Default)]
struct Output {
    assets: Assets,
}

impl Output {
    /// Adds a file that everybody may read.
    fn public(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.insert(path.into(), 0o644, Secret::new(bytes));
    }

    /// Adds a file that only its owner may read.
    fn private(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.insert(path.into(), 0o600, Secret::new(bytes));
    }

    fn insert(&mut self, path: String, mode: u32, bytes: Secret) {
        let owner = owner(&path);
        self.assets.insert(path, Asset { mode, owner, bytes });
    }

    /// Adds a manifest; `comment` says in a sentence what it is for.
    fn manifest(&mut self, path: &str, comment: &str, object: &impl Serialize) -> Result<()> {
        let bytes = emit::document(comment, object).with_context(|| path.to_owned())?;
        self.public(path, bytes);
        Ok(())
    }

    /// Adds a manifest that only its owner may read.
    fn private_manifest(
        &mut self,
        path: &str,
        comment: &str,
        object: &impl Serialize,
    ) -> Result<()> {
        let bytes = emit::document(comment, object).with_context(|| path.to_owned())?;
        self.private(path, bytes);
        Ok(())
    }
}
