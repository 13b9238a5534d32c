//! The machine is gone, and with it everything but a snapshot and a backup's bundle. Another machine, of another name
//! and address, becomes the cluster; its Secrets are encrypted.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{launched_on, recovered};
use crate::node::launch;
use crate::node::native::{Node, NodeSpec};
use crate::node::network::Network;
use crate::node::services;
use crate::scenario::Context;
use crate::scenarios::reboot::Host as _;
use crate::scenarios::seeded::{self, After, Before, Size};

const ENCRYPTED: &str = "encryption: {provider: secretbox}\n";
const WAITS: &str = "launch: wait\n";
/// Where the new machine has them.
const HANDED_IN: &str = "/root/backup";

/// What is left of a machine: files on the harness's disk.
#[derive(Debug)]
pub struct Backup {
    /// Of etcd.
    pub snapshot: PathBuf,
    /// What a snapshot lacks, sealed.
    pub bundle: PathBuf,
    /// What opens it.
    pub identity: PathBuf,
}

pub fn run(context: &Context) -> Result<()> {
    let (before, backup) = lost(context)?;
    let network = Network::create(context)?;
    let (mut node, moment, figures) = new_machine(context, &network, &before, &backup)?;
    context.keep_result(&figures)?;
    let after = After {
        forgotten: Some("node-a"),
    };
    seeded::check(&mut node, &before, after, &moment)
}

/// A cluster that was launched, filled and backed up, went on for a while, and whose machine is gone.
pub fn lost(context: &Context) -> Result<(Before, Backup)> {
    let network = Network::create(context)?;
    let mut node = launched_on(context, NodeSpec::default().on(&network), ENCRYPTED)?;
    let mut before = seeded::furnish(&mut node, Size::FULL)?;
    let backup = back_up(context, &node)?;
    before.goes_on(&node)?;
    Ok((before, backup))
}

/// Gives the machine what is left of the other; the words with which recover is told.
fn hand_in(node: &Node, backup: &Backup) -> Result<Vec<String>> {
    fs::create_dir_all(node.path(HANDED_IN))?;
    let mut words = Vec::new();
    for (option, file) in [
        ("--snapshot", &backup.snapshot),
        ("--bundle", &backup.bundle),
        ("--identity", &backup.identity),
    ] {
        let name = file.file_name().context("a file without name")?;
        let inside = format!("{HANDED_IN}/{}", name.to_string_lossy());
        fs::copy(file, node.path(&inside))?;
        words.extend([option.to_owned(), inside]);
    }
    words.extend(["--forget-node", "node-a"].map(str::to_owned));
    Ok(words)
}

/// Takes a backup as the image's timer does, and carries it away.
fn back_up(context: &Context, node: &Node) -> Result<Backup> {
    let _ = (context, node);
    anyhow::bail!("not yet")
}

/// Another machine becomes the cluster: when it began, and what it took.
pub fn new_machine(
    context: &Context,
    network: &Arc<Network>,
    before: &Before,
    backup: &Backup,
) -> Result<(Node, String, Value)> {
    let mut node = Node::create(context, NodeSpec::new("node-b", "10.77.0.3").on(network))?;
    node.boot()?;
    let document = launch::document(node.spec(), &format!("{WAITS}{ENCRYPTED}"));
    launch::prepare(&node, &document)?.success()?;
    services::start_containerd(&node)?;
    node.shell(&before.provision())?;
    let moment = node.shell(seeded::NOW)?;
    let words = hand_in(&node, backup)?;
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let figures = recovered(&node, &words)?;
    Ok((node, moment, figures))
}
