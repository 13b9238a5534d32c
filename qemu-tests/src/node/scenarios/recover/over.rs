//! A machine's own data is of no use, and a snapshot takes its place. The power fails while that is being restored.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use slipway::recovery::{MEMBER, RESTORING};

use super::launched;
use crate::node::launch;
use crate::node::native::Node;
use crate::node::process::Program;
use crate::node::reboot::boot_again;
use crate::node::recover::recover;
use crate::node::services;
use crate::scenario::Context;
use crate::scenarios::reboot::Host as _;
use crate::scenarios::seeded::{self, After, Size};
use crate::wait;

/// How long nothing may begin.
const EMPTY: Duration = Duration::from_secs(15);
const DATA: &str = "/var/lib/etcd";
/// Where etcdutl writes, in it.
const BESIDE: &str = ".slipway-restore-";
const ETCD: &str = "/etc/kubernetes/manifests/etcd.yaml";

pub fn run(context: &Context) -> Result<()> {
    let mut node = launched(context)?;
    let mut before = seeded::furnish(&mut node, Size::TENTH)?;
    let take = Program::new(["slipway", "backup", "take"]);
    node.run(&take)?.success()?;
    let folder = node.shell("ls -d /var/lib/slipway/backups/*")?;
    let snapshot = ["--snapshot", folder.trim()];
    before.goes_on(&node)?;

    move_away(&mut node, &snapshot)?;
    cut_while_it_restores(&mut node, &snapshot)?;
    nothing_begins(&node)?;
    let moment = node.shell(seeded::NOW)?;
    context.keep_result(&serde_json::to_value(recover(&node, &snapshot)?)?)?;
    seeded::check(&mut node, &before, After::default(), &moment)
}

/// It is refused, and what the refusal says is typed.
fn move_away(node: &mut Node, snapshot: &[&str]) -> Result<()> {
    let refused = node.run(&Program::new([&["slipway", "recover"], snapshot].concat()))?;
    let said = refused.stdout + &refused.stderr;
    ensure!(refused.ended.code() == Some(6), "not refused: {said}");
    let advice = said.split_once("if it is lost or of no use: ");
    let advice = advice.and_then(|(_, rest)| rest.split_once("; then run this again"));
    let (commands, _) = advice.with_context(|| format!("no advice in {said}"))?;
    node.shell(&format!("set -e; {commands}")).map(drop)
}

fn cut_while_it_restores(node: &mut Node, snapshot: &[&str]) -> Result<()> {
    let command = node.start(&launch::held(&[&["slipway", "recover"], snapshot].concat()))?;
    node.kill_when(&command, || restores(node))?;
    command.wait()?;
    boot_again(node)
}

fn restores(node: &Node) -> bool {
    let entries = fs::read_dir(node.path(DATA)).into_iter().flatten();
    let mut names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    names.any(|name| name.to_string_lossy().starts_with(BESIDE))
}

/// Neither the boot's render nor the kubelet brings an etcd that would begin empty.
fn nothing_begins(node: &Node) -> Result<()> {
    ensure!(node.path(RESTORING).exists(), "it does not know any more");
    services::start(node)?;
    wait::holds(EMPTY, || {
        for path in [ETCD, MEMBER] {
            ensure!(!node.path(path).exists(), "{path} is there");
        }
        Ok(())
    })
}
