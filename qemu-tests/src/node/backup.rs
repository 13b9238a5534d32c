//! A machine that is gone, what is left of it, and another one that becomes its cluster.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use slipway::backup::{BUNDLE, SNAPSHOT};

use super::launch;
use super::native::{Node, NodeSpec};
use super::process::Program;
use super::recover::{Took, follow, take};
use super::services;
use crate::scenario::Context;
use crate::scenarios::cluster;
use crate::scenarios::page::{self, Judged};
use crate::scenarios::reboot::Host as _;
use crate::scenarios::seeded::backup::{IDENTITY, sealed_to};
use crate::scenarios::seeded::{self, Before, Size};

/// The name of the machine that is lost.
pub const OLD: &str = "node-a";
const ENCRYPTED: &str = "encryption: {provider: secretbox}\n";
const WAITS: &str = "launch: wait\n";
/// Where the new machine has what is carried there: as in the page about recoveries.
const BACKUP: &str = "/root/backup";
const IDENTITY_FILE: &str = "/root/identity.txt";

/// Two machines and their cluster.
#[derive(Clone, Debug)]
pub struct Case {
    /// The machine that is lost.
    pub old: NodeSpec,
    /// The other one.
    pub new: NodeSpec,
    /// Lines of both documents below `cluster:`.
    pub cluster: &'static str,
}

impl Default for Case {
    /// One family of addresses, and nothing special.
    fn default() -> Self {
        Self {
            old: NodeSpec::default(),
            new: NodeSpec::new("node-b", "10.77.0.3"),
            cluster: "",
        }
    }
}

/// What is left: files on the harness's disk, and what was noted of the cluster.
#[derive(Debug)]
pub struct Lost {
    /// What has to be true of whoever comes back.
    pub before: Before,
    /// A folder with a snapshot of etcd and the bundle of what that lacks.
    backup: PathBuf,
    /// The machine, which still lives where the new one could see it.
    machine: Option<Node>,
    case: Case,
}

/// A cluster whose Secrets are encrypted was launched, filled and backed up, went on for a while, and its machine is gone;
/// one at a switch goes when the other has seen it.
pub fn lost(context: &Context, case: Case) -> Result<Lost> {
    let mut node = Node::create(context, case.old.clone())?;
    node.boot()?;
    let document = format!("{}{ENCRYPTED}{}", case.cluster, sealed_to()?);
    launch::up_to_start(&node, &launch::document(node.spec(), &document))?;
    launch::start_to_the_end(&node)?;
    cluster::wait_until_ready(&node)?;
    let mut before = seeded::furnish(&mut node, Size::FULL)?;
    let backup = back_up(context, &mut node)?;
    before.goes_on(&node)?;
    Ok(Lost {
        before,
        backup,
        machine: case.old.network.is_some().then_some(node),
        case,
    })
}

/// Takes a backup as slipway-backup.service does, and carries it away.
fn back_up(context: &Context, node: &mut Node) -> Result<PathBuf> {
    let take = Program::new(["slipway", "backup", "take"]);
    node.run(&take)?.success()?;
    let folder = node.shell("ls -d /var/lib/slipway/backups/*")?;
    let kept = context.work.join("backup");
    copy(&node.path(folder.trim()), &kept)?;
    Ok(kept)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for name in [SNAPSHOT, BUNDLE] {
        fs::copy(from.join(name), to.join(name)).with_context(|| name.to_owned())?;
    }
    Ok(())
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
    /// Another machine becomes the cluster, by the page about recoveries, whose answers are judged if it is `judged`.
    /// Returns when that began by its clock, too.
    pub fn on_new_machine(
        &mut self,
        context: &Context,
        judged: Judged,
    ) -> Result<(Node, String, Took)> {
        let mut node = Node::create(context, self.case.new.clone())?;
        node.boot()?;
        let lines = format!("{}{WAITS}{ENCRYPTED}", self.case.cluster);
        let document = launch::document(node.spec(), &lines);
        launch::prepare(&node, &document)?.success()?;
        services::have_units(&node)?;
        node.shell(&self.before.provision())?;
        copy(&self.backup, &node.path(BACKUP))?;
        fs::write(node.path(IDENTITY_FILE), IDENTITY)?;
        for look in page::section("When something is missing", judged)? {
            take(&node, &look)?;
        }
        if let Some(mut old) = self.machine.take() {
            for refused in page::section("While the old machine lives", judged)? {
                take(&node, &refused)?;
            }
            old.power_cut()?;
        }
        let moment = node.shell(seeded::NOW)?;
        let took = follow(&node, &page::section("3.", judged)?)?;
        Ok((node, moment, took))
    }
}
