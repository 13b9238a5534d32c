//! The node's disk is full: nothing that is kept is lost, somebody is told, and whatever waited goes on once there is room.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::kept::{exactly, kept};
use super::{Host, cut, log, says};
use crate::node::native::Node;
use crate::node::process::Program;
use crate::node::services;
use crate::scenarios::reboot;
use crate::wait;

/// The tmpfs that is the node's disk, of /var/lib and of what is written below /etc.
const FILL: &str = "used=$(df --block-size=1K --output=used /var/lib | tail -n 1); \
    mount -o remount,size=$((used + 8192))k /var/lib";
const TO_THE_LAST_BYTE: &str = "dd if=/dev/zero of=/var/lib/ballast bs=4k 2>/dev/null; \
    df --block-size=1K --output=avail /var/lib | tail -n 1";
const FREE: &str = "mount -o remount,size=8g /var/lib; rm -f /var/lib/ballast";
/// What the unit says of it.
const SAID: &str = "MiB are left on the disk";
/// A look without a reason comes once a minute.
const LOOK: Duration = Duration::from_secs(150);

/// Eight MiB are left: the unit says so at its door, which the checkpointer's readiness passes on.
pub fn nearly_full(node: &mut Node) -> Result<f64> {
    let before = kept(node)?;
    node.shell(FILL)?;
    wait::until("the unit's word", LOOK, || {
        cut::is_ready(node, "False")?;
        says(node, 0, SAID)
    })?;
    ensure!(kept(node)? == before, "kept was {before:?}");
    node.shell(FREE)?;
    let freed = Instant::now();
    wait::until("the unit's word", LOOK, || cut::is_ready(node, "True"))?;
    exactly(node, &[])?;
    Ok(freed.elapsed().as_secs_f64())
}

/// Nothing at all is left, and the power is cut. What can be started without writing starts; the rest once there is room,
/// and nobody has to do more than make some.
pub fn full_at_reboot(node: &mut Node) -> Result<f64> {
    let before = kept(node)?;
    let pods = reboot::identities(node)?;
    node.shell(FILL)?;
    let left = node.shell(TO_THE_LAST_BYTE)?;
    ensure!(left.trim() == "0", "{left} KiB are left");
    node.power_cut()?;
    let said = log(node)?.len();
    node.boot()?;
    node.run(&Program::new(["slipway", "render"]))?
        .success()
        .context("nothing has to be written")?;
    let since = qemu_tests::probe::now();
    services::start(node)?;
    wait::until("the unit's word", LOOK, || says(node, said, SAID))?;
    ensure!(kept(node)? == before, "kept was {before:?}");
    node.shell(FREE)?;
    let freed = Instant::now();
    reboot::is_back(node, &pods, since)?;
    exactly(node, &[])?;
    Ok(freed.elapsed().as_secs_f64())
}
