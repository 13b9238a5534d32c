//! Everything that is known before anything is written: what was found, what is missing, what would be.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, Result};

use super::assemble::{Assembled, Parts, assemble};
use super::base::{self, Base};
use super::encryption::Providers;
use super::keys::{Look, Supplied};
use super::missing::Missing;
use super::nodes::{self, Node};
use super::refusals;
use super::source::{Found, Source};
use super::template::Here;
use crate::assets::Assets;
use crate::backup::bundle::Bundle;
use crate::config::Machine;
use crate::config::machine::Etcd;
use crate::hash::sha256;
use crate::node::files::below;
use crate::pki::{Given, Issued, Order};
use crate::recovery::Recovery;
use crate::render::directory;
use crate::report::Reporter;
use crate::start::{self, JOURNAL, MARKER};

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
    /// The configuration that says so, as it was read.
    pub encryption: Option<Vec<u8>>,
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
    refusals::another_store(options, task)?;
    let mut found = options.source.read(options.providers.as_ref(), reporter)?;
    let mut missing = std::mem::take(&mut found.understood.missing);
    let is_readable = missing.is_empty();
    let earlier = directory::load(&options.folder)?;
    let mut signs = [MARKER, JOURNAL].iter();
    let launched = options.is_here && signs.any(|sign| below(&options.root, sign).exists());
    let look = Look {
        objects: &found.understood.objects,
        supplied: &options.supplied,
        bundle: options.bundle.as_ref().map(|bundle| &bundle.assets),
        is_given: task.machine.certificates.authority.is_some(),
    };
    let base = base::choose(&options.folder, earlier.clone(), launched, &look)?;
    refusals::conversion(task, &found.understood.objects)?;
    let nodes = nodes::nodes(&found.understood.objects, &task.machine.node.name);
    refusals::forgetting_itself(options, task)?;
    let more = notes(options, task, &nodes);
    found.understood.notes.extend(more);
    // Also where more is missing: all of it is told at once.
    if !matches!(base, Ok(Base::Directory(_))) && breaks_etcd(options, task) {
        missing.push(Missing::new(
            "the key of etcd's authority",
            "its API server is in use, and another authority would cut it off from etcd",
            "--etcd-ca FILE (certificate and key, PEM), or --bundle FILE",
        ));
    }
    let writing = match base {
        Ok(base) if missing.is_empty() => {
            refusals::other_encryption(options, &found)?;
            let writing = write(options, task, &found, base, earlier)?;
            missing.extend(writing.assembled.missing.iter().cloned());
            Some(writing).filter(|_| missing.is_empty())
        }
        base => {
            // What cannot be read may be found missing once more, where it is looked for.
            let is_new = |one: &Missing| !missing.iter().any(|known| known.what == one.what);
            let more = base.err().into_iter().flatten();
            let more: Vec<_> = more.filter(is_new).collect();
            missing.extend(more);
            if is_readable {
                missing.extend(lacks_beside_keys(options, task, &found));
            }
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

/// What components need and is not there, worked out with keys that are made and thrown away. Why that cannot be worked
/// out, if it cannot, is told once the keys are there.
fn lacks_beside_keys(options: &Options, task: &Task<'_>, found: &Found) -> Vec<Missing> {
    let task = Task {
        dated: &|| Ok(SystemTime::now()),
        ..*task
    };
    let (keys, nothing) = (Base::Saved(Assets::default()), Assets::default());
    let written = write(options, &task, found, keys, nothing);
    written.map_or_else(|_| Vec::new(), |writing| writing.assembled.missing)
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
    let unusable = || {
        let folder = options.folder.display();
        format!(
            "{folder} cannot be used as it is; move it away (mv {folder} {folder}.before) and run this again: what is kept \
             of the cluster is read from {} then, and from what you supply",
            found.source
        )
    };
    let order = Order::default();
    let planned = directory::plan_from(
        task.machine,
        task.given,
        from,
        task.dated,
        overwrite,
        &order,
    );
    let planned = match overwrite {
        true => planned?,
        false => planned.with_context(unusable)?,
    };
    if let Some(secrets) = &planned.secrets {
        secrets.complete()?;
    }
    let recovery = Recovery {
        id: id(options, found)?,
        node: task.machine.node.name.clone(),
        source: found.source.clone(),
        revision: found.revision,
        components: options.components.clone(),
        snapshot: snapshot(options, task, found)?,
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
        is_here: options.is_here,
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

/// The hash of the snapshot that etcd's data is to be restored from, if it is.
fn snapshot(options: &Options, task: &Task<'_>, found: &Found) -> Result<Option<String>> {
    let Some(facts) = found
        .facts
        .as_ref()
        .filter(|_| options.is_here && is_local(task.machine))
    else {
        return Ok(None);
    };
    let hash = facts.sha256.clone().context("the snapshot has no hash")?;
    Ok(Some(hash))
}

/// The same state of the same store is the same recovery, until one was done.
fn id(options: &Options, found: &Found) -> Result<String> {
    let hash = found
        .facts
        .as_ref()
        .and_then(|facts| facts.sha256.as_deref());
    let before = start::done_before(&options.root)?;
    let all = format!(
        "{before}\0{}\0{}",
        found.revision,
        hash.unwrap_or(&found.source)
    );
    Ok(sha256(all.as_bytes()).chars().take(16).collect())
}

/// What a person should know of what was asked for.
fn notes(options: &Options, task: &Task<'_>, nodes: &[Node]) -> Vec<String> {
    let mut notes = Vec::new();
    let unknown = |name: &&String| !nodes.iter().any(|node| node.name == **name);
    for name in options.forget_nodes.iter().filter(unknown) {
        notes.push(format!(
            "--forget-node {name}: the cluster has no such node"
        ));
    }
    if options.source.is_snapshot() && !options.is_here {
        notes.push("etcd's data is not restored: --recovery-dir writes an asset directory and nothing else".to_owned());
    } else if options.source.is_snapshot() && !is_local(task.machine) {
        notes.push(
            "etcd's data is not restored: the document's etcd is somebody else's; restore it there"
                .to_owned(),
        );
    }
    notes
}
