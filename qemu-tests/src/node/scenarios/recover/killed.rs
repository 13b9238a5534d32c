//! Recover and the start after it are killed again and again; the same command does what is left.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::launched;
use crate::node::launch::{self, ADMIN, ASSETS};
use crate::node::native::Node;
use crate::node::process::Program;
use crate::node::recover::RECOVER;
use crate::node::scenarios::launch::kill_at;
use crate::node::services;
use crate::scenario::Context;
use crate::scenarios::destroy::{self, Assets};
use crate::scenarios::reboot::Host as _;
use crate::scenarios::seeded::{self, After, Size};

/// A point, and whether it has come.
type Point = (&'static str, fn(&Node) -> bool);

/// Where recover is killed, each as late as a look at the disk can tell.
const POINTS: [Point; 3] = [
    ("half-written", |node| {
        there(node, "/var/lib/slipway/.assets.slipway-new/tls/ca.crt")
    }),
    ("written", |node| there(node, ASSETS)),
    ("half-installed", |node| there(node, ADMIN)),
];
/// The steps of the start after it. After the last one everything is done, and only the marker is not there.
const STEPS: [&str; 4] = ["seed-controllers", "wait", "controllers-gone", "done"];
const RECORD: &str = "/var/lib/slipway/assets/recovery.json";

pub fn run(context: &Context) -> Result<()> {
    let mut node = launched(context)?;
    let mut before = seeded::furnish(&mut node, Size::FULL)?;
    before.goes_on(&node)?;
    destroy::control_plane(&mut node, Assets::Lost)?;
    let moment = node.shell(seeded::NOW)?;
    for (name, is_there) in POINTS {
        kill_recover(&node, is_there).with_context(|| format!("recover, {name}"))?;
    }
    node.run(&Program::new(RECOVER))?.success()?;
    services::start_wanted(&node)?;
    an_older_etcd_is_refused(&node)?;
    for step in STEPS {
        kill_at(&node, step)?;
    }
    ensure!(!there(&node, launch::HANDED_OVER), "the marker came first");
    launch::start_to_the_end(&node)?;
    seeded::check(&mut node, &before, After::default(), &moment)
}

/// What was read may be of another etcd than the one that is here: then the record knows more than this one.
fn an_older_etcd_is_refused(node: &Node) -> Result<()> {
    let path = node.path(RECORD);
    let record = fs::read(&path)?;
    let mut newer: Value = serde_json::from_slice(&record)?;
    newer["revision"] = 1_000_000_000.into();
    fs::write(&path, newer.to_string())?;
    let refused = launch::start(node)?.wait()?;
    let said = refused.stdout + &refused.stderr;
    ensure!(refused.ended.code() == Some(6), "not refused: {said}");
    ensure!(said.contains("is of revision 1000000000"), "{said}");
    fs::write(&path, record)?;
    Ok(())
}

fn kill_recover(node: &Node, is_time: fn(&Node) -> bool) -> Result<()> {
    let command = node.start(&launch::held(&RECOVER))?;
    node.kill_when(&command, || is_time(node))?;
    let killed = command.wait()?;
    ensure!(
        killed.ended.code().is_none(),
        "it was not killed: {killed:?}"
    );
    Ok(())
}

fn there(node: &Node, path: impl AsRef<Path>) -> bool {
    node.path(path).exists()
}
