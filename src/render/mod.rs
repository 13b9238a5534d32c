//! Machine + secrets -> assets: pure, no clock, no disk, no randomness.
//!
//! One file a component. Manifests are k8s-openapi's typed values, so a misspelt field does not
//! compile; [`emit`] makes them YAML. File names are those of the original's `render`, because
//! scripts and people know them; what this cluster does not need is not rendered.
//! [`directory`] and [`install`] are the edges: they put assets on disk; [`extra::read`] reads what the
//! document only names.

mod apiserver;
mod checkpointer;
mod checkpoints;
mod configuration;
mod controller_manager;
pub mod directory;
mod dns;
mod edit;
pub mod emit;
mod endpoints;
mod etcd;
pub mod extra;
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
mod static_pods;
mod tls;
mod worker;
mod workload;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use crate::assets::{Asset, Assets, CONTROL_PLANE_UID, STATIC_MANIFESTS};
use crate::config::Machine;
use crate::exit::{Exit, WithExit};
use crate::pki::Secrets;
use crate::secret::Secret;

pub use configuration::KEY_NAME;
pub use worker::render as render_worker;

/// Everything a control-plane node needs: the same arguments give the same bytes.
pub fn render(machine: &Machine, secrets: &Secrets) -> Result<Assets> {
    let mut out = Output::default();
    tls::render(&mut out, secrets)?;
    kubeconfig::render(&mut out, machine, secrets)?;
    etcd::render(&mut out, machine)?;
    kubelet::render(&mut out, machine, secrets.can_sign())?;
    apiserver::render(&mut out, machine, secrets)?;
    controller_manager::render(&mut out, machine, secrets)?;
    scheduler::render(&mut out, machine)?;
    shared::render(&mut out, machine)?;
    // Where somebody else signs, nobody joins by a token: its first step ends with a signature made here.
    if secrets.can_sign() {
        join::render(&mut out, secrets)?;
    }
    checkpointer::render(&mut out, machine)?;
    proxy::render(&mut out, machine)?;
    dns::render(&mut out, machine)?;
    flannel::render(&mut out, machine)?;
    out.finish(machine)
}

/// `tls/` alone, of secrets that may not be complete.
fn keys(secrets: &Secrets) -> Result<Assets> {
    let mut out = Output::default();
    tls::render(&mut out, secrets)?;
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

/// What is rendered so far.
#[derive(Default)]
struct Output {
    assets: Assets,
    /// Manifests that the document may still change.
    manifests: Vec<Pending>,
}

/// A manifest that is not text yet.
struct Pending {
    path: String,
    comment: String,
    object: Value,
    mode: u32,
}

impl Output {
    /// Adds a file that everybody may read.
    fn public(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.insert(path.into(), PUBLIC, Secret::new(bytes));
    }

    /// Adds a file that only its owner may read.
    fn private(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.insert(path.into(), PRIVATE, Secret::new(bytes));
    }

    fn insert(&mut self, path: String, mode: u32, bytes: Secret) {
        let owner = owner(&path);
        self.assets.insert(path, Asset { mode, owner, bytes });
    }

    /// Adds a manifest; `comment` says in a sentence what it is for.
    fn manifest(&mut self, path: &str, comment: &str, object: &impl Serialize) -> Result<()> {
        self.pend(path, comment, object, PUBLIC)
    }

    /// Adds a manifest that only its owner may read.
    fn private_manifest(
        &mut self,
        path: &str,
        comment: &str,
        object: &impl Serialize,
    ) -> Result<()> {
        self.pend(path, comment, object, PRIVATE)
    }

    fn pend(
        &mut self,
        path: &str,
        comment: &str,
        object: &impl Serialize,
        mode: u32,
    ) -> Result<()> {
        self.manifests.push(Pending {
            path: path.to_owned(),
            comment: comment.to_owned(),
            object: serde_json::to_value(object).with_context(|| path.to_owned())?,
            mode,
        });
        Ok(())
    }

    /// Lets the document change the manifests, writes them out, and adds the document's own.
    fn finish(mut self, machine: &Machine) -> Result<Assets> {
        edit::apply(machine, &mut self.manifests).exit(Exit::Invalid)?;
        checkpoints::close(&mut self.manifests);
        let own = extra::render(&machine.manifests, &self.manifests).exit(Exit::Invalid)?;
        // Static pods last: what they read is hashed, kubeconfigs among it.
        let (mut pods, others) = std::mem::take(&mut self.manifests)
            .into_iter()
            .partition(|manifest| manifest.path.starts_with(STATIC_MANIFESTS));
        self.write(others);
        static_pods::hash(&self.assets, &mut pods);
        self.write(pods);
        for (path, mode, bytes) in own {
            self.insert(path, mode, Secret::new(bytes));
        }
        Ok(self.assets)
    }

    fn write(&mut self, manifests: Vec<Pending>) {
        for manifest in manifests {
            let bytes = emit::text(&manifest.comment, &manifest.object);
            self.insert(manifest.path, manifest.mode, Secret::new(bytes));
        }
    }
}

const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o600;
