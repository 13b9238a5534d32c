//! A machine that is gone, what is left of it, and another one that becomes its cluster.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use slipway::backup::{BUNDLE, SNAPSHOT};

use super::launch;
use super::native::{Node, NodeSpec};
use super::process::Program;
use super::recover::{Took, recover};
use super::services;
use crate::scenario::Context;
use crate::scenarios::cluster;
use crate::scenarios::reboot::Host as _;
use crate::scenarios::seeded::backup::{IDENTITY, sealed_to};
use crate::scenarios::seeded::{self, Before, Size};

/// The name of the machine that is lost.
pub const OLD: &str = "node-a";
/// That of the other, and its address.
const NEW: (&str, &str) = ("node-b", "10.77.0.3");
const ENCRYPTED: &str = "encryption: {provider: secretbox}\n";
const WAITS: &str = "launch: wait\n";
/// Where the new machine has what is carried there.
const HANDED_IN: &str = "/root/backup";

/// What is left: files on the harness's disk, and what was noted of the cluster.
#[derive(Debug)]
pub struct Lost {
    /// What has to be true of whoever comes back.
    pub before: Before,
    /// By the option that names it: a snapshot of etcd, the bundle of what that lacks, and what opens the bundle.
    files: Vec<(&'static str, PathBuf)>,
}

/// A cluster whose Secrets are encrypted was launched, filled and backed up, went on for a while, and its machine is gone.
pub fn lost(context: &Context) -> Result<Lost> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    let document = format!("{ENCRYPTED}{}", sealed_to()?);
    launch::up_to_start(&node, &launch::document(node.spec(), &document))?;
    launch::start_to_the_end(&node)?;
    cluster::wait_until_ready(&node)?;
    let mut before = seeded::furnish(&mut node, Size::FULL)?;
    let files = back_up(context, &mut node)?;
    before.goes_on(&node)?;
    Ok(Lost { before, files })
}

/// Takes a backup as slipway-backup.service does, and carries it away, with what opens it.
fn back_up(context: &Context, node: &mut Node) -> Result<Vec<(&'static str, PathBuf)>> {
    let take = Program::new(["slipway", "backup", "take"]);
    node.run(&take)?.success()?;
    let folder = node.shell("ls -d /var/lib/slipway/backups/*")?;
    let mut files = Vec::new();
    for (option, name) in [("--snapshot", SNAPSHOT), ("--bundle", BUNDLE)] {
        let (inside, outside) = (Path::new(folder.trim()).join(name), context.work.join(name));
        fs::copy(node.path(&inside), &outside).with_context(|| inside.display().to_string())?;
        files.push((option, outside));
    }
    let identity = context.work.join("identity");
    fs::write(&identity, IDENTITY)?;
    files.push(("--identity", identity));
    Ok(files)
}

/// A program that asks this node's etcd as etcd itself would.
pub fn etcdctl(program: Program) -> Program {
    let folder = "/etc/kubernetes/etcd";
    program
        .env("ETCDCTL_ENDPOINTS", "https://127.0.0.1:2379")
        .env("ETCDCTL_CACERT", &format!("{folder}/server-ca.crt"))
        .env("ETCDCTL_CERT", &format!("{folder}/peer.crt"))
        .env("ETCDCTL_KEY", &format!("{folder}/peer.key"))
}

impl Lost {
    /// Another machine becomes the cluster. Returns when that began by its clock, too.
    pub fn on_new_machine(&self, context: &Context) -> Result<(Node, String, Took)> {
        let mut node = Node::create(context, NodeSpec::new(NEW.0, NEW.1))?;
        node.boot()?;
        let document = launch::document(node.spec(), &format!("{WAITS}{ENCRYPTED}"));
        launch::prepare(&node, &document)?.success()?;
        services::have_units(&node)?;
        node.shell(&self.before.provision())?;
        let words = self.hand_in(&node)?;
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let moment = node.shell(seeded::NOW)?;
        let took = recover(&node, &words)?;
        Ok((node, moment, took))
    }

    /// Gives the machine what is left of the other; the words with which recover is told.
    fn hand_in(&self, node: &Node) -> Result<Vec<String>> {
        fs::create_dir_all(node.path(HANDED_IN))?;
        let mut words = Vec::new();
        for (option, file) in &self.files {
            let name = file.file_name().context("a file without name")?;
            let inside = format!("{HANDED_IN}/{}", name.to_string_lossy());
            fs::copy(file, node.path(&inside))?;
            words.extend([(*option).to_owned(), inside]);
        }
        words.extend(["--forget-node", OLD].map(str::to_owned));
        Ok(words)
    }
}
