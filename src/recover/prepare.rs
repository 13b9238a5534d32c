//! Everything that is known before anything is written: what was found, what is missing, what would be.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Result, anyhow};

use super::assemble::{Assembled, Parts, assemble};
use super::base::{self, Base};
use super::encryption::Providers;
use super::keys::{Look, Supplied};
use super::missing::Missing;
use super::nodes::{self, Node};
use super::source::{Found, Source};
use super::template::Here;
use crate::assets::Assets;
use crate::backup::bundle::Bundle;
use crate::config::Machine;
use crate::config::machine::Etcd;
use crate::exit::{Exit, fail};
use crate::hash::sha256;
use crate::node::files::below;
use crate::pki::{Given, Issued, Order};
use crate::recovery::Recovery;
use crate::render::directory;
use crate::report::Reporter;
use crate::start::{JOURNAL, MARKER};

/// What `slipway recover` was asked to do.
pub struct Options {
    /// The prefix of every path; `/` on a machine.
    pub root: PathBuf,
    /// Where objects are read from.
    pub source: Source,
    /// Where the asset directory is written.
    pub folder: PathBuf,
    /// Whether this machine is to carry the cluster, and not only the folder.
    pub is_here: bool,
    /// The kubelet's static pods.
    pub pod_manifest_path: PathBuf,
    /// Keys that do not come from the source.
    pub supplied: Supplied,
    /// What a backup has beside the snapshot.
    pub bundle: Option<Bundle>,
    /// How stored objects are decrypted.
    pub providers: Option<Providers>,
    /// Components to recover; all if it is empty.
    pub components: Vec<String>,
    /// Nodes that are gone for good.
    pub forget_nodes: Vec<String>,
}

/// This machine, as its document says.
pub struct Task<'a> {
    /// The machine document.
    pub machine: &'a Machine,
    /// The secrets that it gives.
    pub given: &'a Given,
    /// The time that new certificates begin at.
    pub dated: &'a dyn Fn() -> Result<SystemTime>,
}

/// What a recovery would do.
pub struct Prepared {
    /// What was read.
    pub found: Found,
    /// The nodes that the store knows.
    pub nodes: Vec<Node>,
    /// What is missing; without it nothing is written.
    pub missing: Vec<Missing>,
    /// What would be written, if nothing is missing.
    pub writing: Option<Writing>,
}

/// What would be written.
pub struct Writing {
    /// The asset directory as it is.
    pub earlier: Assets,
    /// And as it is to be.
    pub assembled: Assembled,
    /// Certificates that are new, and why.
    pub issued: Vec<Issued>,
    /// What `start` is told.
    pub recovery: Recovery,
}

/// Reads, and works everything out. Writes nothing.
///
/// # Errors
/// If the source cannot be read or understood, or something is refused for safety.
pub fn prepare(options: &Options, task: &Task<'_>, reporter: &mut Reporter) -> Result<Prepared> {
    let mut found = options.source.read(options.providers.as_ref(), reporter)?;
    let mut missing = std::mem::take(&mut found.understood.missing);
    let earlier = directory::load(&options.folder)?;
    let launched = [MARKER, JOURNAL]
        .iter()
        .any(|sign| below(&options.root, sign).exists());
    let look = Look {
        objects: &found.understood.objects,
        supplied: &options.supplied,
        bundle: options.bundle.as_ref().map(|bundle| &bundle.assets),
        is_given: task.machine.certificates.authority.is_some(),
    };
    let base = base::choose(&options.folder, earlier.clone(), launched, &look)?;
    let nodes = nodes::nodes(&found.understood.objects, &task.machine.node.name);
    refuse_to_forget(options, task, &nodes)?;
    // Also where more is missing: all of it is told at once.
    if !matches!(base, Ok(Base::Directory(_))) && breaks_etcd(options, task) {
        missing.push(Missing::new(
            "the key of etcd's authority",
            "its API server is in use, and another authority would cut it off from etcd",
            "--etcd-ca FILE (certificate and key, PEM), or --bundle FILE",
        ));
    }
    let writing = match base {
        Ok(base) if missing.is_empty() => Some(write(options, task, &found, base, earlier)?),
        Ok(_) => None,
        Err(more) => {
            missing.extend(more);
            None
        }
    };
    Ok(Prepared {
        found,
        nodes,
        missing,
        writing,
    })
}

fn write(
    options: &Options,
    task: &Task<'_>,
    found: &Found,
    base: Base,
    earlier: Assets,
) -> Result<Writing> {
    // What was saved is no rendering, so nobody edited it.
    let (from, overwrite) = match base {
        Base::Directory(assets) => (assets, false),
        Base::Saved(assets) => (assets, true),
    };
    let order = Order::default();
    let planned = directory::plan_from(
        task.machine,
        task.given,
        from,
        task.dated,
        overwrite,
        &order,
    )?;
    if let Some(secrets) = &planned.secrets {
        secrets.complete()?;
    }
    let recovery = Recovery {
        id: id(found),
        source: found.source.clone(),
        revision: found.revision,
        components: options.components.clone(),
        restored: options.source.is_snapshot() && is_local(task.machine),
        forget_nodes: options.forget_nodes.clone(),
    };
    let here = Here {
        name: task.machine.node.name.clone(),
        addresses: task
            .machine
            .node
            .addresses()
            .map(|ip| ip.to_string())
            .collect(),
    };
    let assembled = assemble(&Parts {
        objects: &found.understood.objects,
        rendered: &planned.merged.assets,
        here: &here,
        port: task.machine.api.port,
        recovery: &recovery,
    })?;
    Ok(Writing {
        earlier,
        assembled,
        issued: planned.issued,
        recovery,
    })
}

/// Whether a new authority of etcd would end an API server that works.
fn breaks_etcd(options: &Options, task: &Task<'_>) -> bool {
    let is_in_use = matches!(options.source, Source::Api(_)) && options.is_here;
    let has_key = options.supplied.etcd_ca.is_some() || options.bundle.is_some();
    is_in_use && is_local(task.machine) && !has_key
}

/// Whether etcd is this machine's own.
pub fn is_local(machine: &Machine) -> bool {
    machine.etcd == Etcd::Local
}

/// The same state of the same store is the same recovery.
fn id(found: &Found) -> String {
    let hash = found
        .facts
        .as_ref()
        .and_then(|facts| facts.sha256.as_deref());
    let all = format!("{}\0{}", found.revision, hash.unwrap_or(&found.source));
    sha256(all.as_bytes()).chars().take(16).collect()
}

fn refuse_to_forget(options: &Options, task: &Task<'_>, nodes: &[Node]) -> Result<()> {
    let here = &task.machine.node.name;
    for name in &options.forget_nodes {
        let why = if name == here {
            "this node is named so"
        } else if !nodes.iter().any(|node| node.name == *name) {
            "the cluster has no such node"
        } else {
            continue;
        };
        return Err(fail(Exit::Refused, anyhow!("--forget-node {name}: {why}")));
    }
    Ok(())
}
