//! Machines whose document is missing or wrong stop in the initrd, and say why on the console.

use crate::process;
use crate::scenario::Context;
use crate::vm::console::has;
use crate::vm::machine::Machine;
use crate::vm::media::Medium;
use anyhow::{Result, ensure};
use std::process::Command;
use std::time::Duration;

/// From QEMU's start to the message, on a free machine with KVM.
const INITRD: Duration = Duration::from_secs(60);
/// From there the real root would answer in less, likewise.
const STAYS: Duration = Duration::from_secs(3);

/// Two mistakes, on lines 4 and 5.
const INVALID: &str = "apiVersion: slipway.dev/v1alpha1
kind: Machine
node:
  nane: node-a
  address: 10.2.0.15
cluster:
  name: harbour
";

/// The device lacks the entry: exit code 4, and what to give QEMU.
pub fn missing(context: &Context) -> Result<()> {
    let console = refused(context, "", None)?;
    says(
        &console,
        &["status=4", "-fw_cfg name=opt/dev.slipway/machine"],
    )
}

/// Exit code 3, and every problem with its line.
pub fn invalid(context: &Context) -> Result<()> {
    let console = refused(context, "", Some(INVALID.as_bytes()))?;
    says(
        &console,
        &["status=3", "line 4", "nane", "line 5", "node.address"],
    )
}

/// A document behind a name that nobody knows: the name servers of the network are asked, and named.
pub fn name(context: &Context) -> Result<()> {
    let hash = "0".repeat(64);
    let kernel = format!(
        "slipway.platform=url slipway.config=https://metadata.invalid/machine slipway.config.hash=sha256-{hash} slipway.timeout=20s"
    );
    let console = refused(context, &kernel, None)?;
    says(
        &console,
        &["status=4", "names are asked of 10.0.2.3", "after 20s"],
    )
}

/// Boots with the document and this on the kernel's command line; what the console said when the boot ended in emergency mode. It stays there, and
/// nothing was kept.
fn refused(context: &Context, kernel: &str, document: Option<&[u8]>) -> Result<String> {
    let mut machine = Machine::create(&context.image, &context.work, Medium::FwCfg, document)?;
    machine.spec.kernel = kernel.to_owned();
    let mut vm = machine.boot()?;
    vm.console
        .wait(has("emergency mode:"), machine.accel.scale(INITRD))?;
    let said = vm.console.text();
    ensure!(
        vm.channel.run("true", machine.accel.scale(STAYS)).is_err(),
        "the real root has started after all:\n{}",
        vm.console.text()
    );
    vm.cut_power()?;
    let disk = context.work.join("var.img");
    // Replays what the file system's journal holds; 1 means that it did.
    let _ = Command::new("e2fsck").arg("-fp").arg(&disk).output();
    let ask = ["-R", "ls -p /lib/slipway"];
    let listed = process::output(Command::new("debugfs").args(ask).arg(&disk))?;
    ensure!(
        !listed.contains("machine.yaml"),
        "the document was kept: {listed}"
    );
    Ok(said)
}

fn says(console: &str, expected: &[&str]) -> Result<()> {
    for text in expected {
        ensure!(
            console.contains(text),
            "the console does not say {text:?}:\n{console}"
        );
    }
    Ok(())
}
