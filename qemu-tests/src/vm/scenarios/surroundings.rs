//! What surrounds a fetch and is not as usual: a disk that comes late, no document at all, a clock that is
//! years behind.

use super::sources::{Expected, judge, machine};
use crate::scenario::Context;
use crate::vm::console::has;
use crate::vm::launch::{COMMAND, save_logs};
use crate::vm::machine::Machine;
use crate::vm::media::Medium;
use crate::vm::qemu::Vm;
use crate::vm::spec::Source;
use anyhow::{Result, ensure};
use std::time::Duration;

/// From QEMU's start until the initrd's fetch waits, on a free machine with KVM.
const INITRD: Duration = Duration::from_secs(60);
/// Runs the stage, or waits until it has run, and tells how it ended.
const RENDER: &str = "systemctl start slipway-render.service; \
    systemctl show --property=ExecMainStatus slipway-render.service";

/// The disk comes when the fetch waits for it already.
pub fn late(context: &Context) -> Result<()> {
    let document = context.example()?;
    let full = Medium::NoCloudIso.with(&context.work, &document)?;
    let mut machine = machine(context, Medium::NoCloudIso.without())?;
    let mut vm = machine.boot()?;
    vm.console.wait(
        has("waiting for a disk labelled"),
        machine.accel.scale(INITRD),
    )?;
    if let Source::Disk(_, Some(disk)) = full {
        vm.plug(&disk)?;
    }
    let judged = judge(&machine, &mut vm, &Expected::plain(&document, "NoCloud"));
    judged.inspect_err(|_| save_logs(&machine, &mut vm))
}

/// A machine without a document, where none is required, boots on, and is no node.
pub fn none(context: &Context) -> Result<()> {
    let mut machine = machine(context, Medium::FwCfg.without())?;
    machine.spec.kernel = "slipway.document=optional".to_owned();
    let judge = |vm: &mut Vm, deadline| {
        vm.channel
            .expect("systemctl start multi-user.target", deadline)?;
        let failed = vm
            .channel
            .expect("systemctl --failed --no-legend", deadline)?
            .text();
        ensure!(failed.is_empty(), "failed units: {failed}");
        vm.channel
            .expect("! test -e /var/lib/slipway/machine.yaml", deadline)?;
        Ok("no machine document")
    };
    no_node(&mut machine, judge)
}

/// A clock that is years late: the document is kept, but no certificate is made, and the console says
/// why.
pub fn clock(context: &Context) -> Result<()> {
    let document = context.example()?;
    let mut machine = machine(context, Medium::FwCfg.with(&context.work, &document)?)?;
    machine.spec.clock = Some("2020-02-02".into());
    let judge = |vm: &mut Vm, deadline| {
        let said = vm.channel.run(RENDER, deadline)?.text();
        ensure!(said.ends_with("ExecMainStatus=6"), "{said}");
        vm.channel
            .expect("test -s /var/lib/slipway/machine.yaml", deadline)?;
        Ok("before the image was built")
    };
    no_node(&mut machine, judge)
}

/// Boots; `judge` returns what the console must say. There must be no asset directory then.
fn no_node(
    machine: &mut Machine,
    judge: impl FnOnce(&mut Vm, Duration) -> Result<&'static str>,
) -> Result<()> {
    let mut vm = machine.boot()?;
    let deadline = machine.accel.scale(COMMAND);
    let judged = judge(&mut vm, deadline).and_then(|reason| {
        vm.channel
            .expect("! test -e /var/lib/slipway/assets", deadline)?;
        let console = vm.console.text();
        ensure!(
            console.contains(reason),
            "the console does not say {reason:?}:\n{console}"
        );
        Ok(())
    });
    judged.inspect_err(|_| save_logs(machine, &mut vm))
}
