//! A launched machine is switched off, cleanly or not, and is itself again after its next boot.

use anyhow::{Result, anyhow};
use qemu_tests::probe::Reboot;
use std::time::Duration;

use crate::build;
use crate::scenario::Context;
use crate::scenarios::{cluster, reboot};
use crate::vm::boot;
use crate::vm::launch::{self, COMMAND, Launched};
use crate::vm::left::{self, How, Pods};
use crate::vm::machine::Machine;
use crate::vm::media::Medium;
use crate::vm::tools;
use crate::wait;

/// From `systemctl reboot` until the machine is off, on a free machine with KVM: containers are told to end.
const SHUT_DOWN: Duration = Duration::from_secs(120);
/// From QEMU's start until the kubelet is started, likewise.
const BOOT: Duration = Duration::from_secs(60);
const KUBELET: &str = "kubelet.service";

/// Boots what was rebooted, and cuts its power in the end, for the scenario that follows.
pub fn clean(context: &Context) -> Result<()> {
    let (mut machine, pods) = rebooted(context)?;
    let launched = comes_back(context, &mut machine, &pods)?;
    launched.vm.cut_power()?;
    left::leave(context, &machine, How::Cut, &pods)
}

pub fn power_cut(context: &Context) -> Result<()> {
    let (mut machine, pods) = match left::take(context, How::Cut)? {
        Some(left) => left,
        None => {
            let (machine, launched, pods) = launched(context)?;
            launched.vm.cut_power()?;
            (machine, pods)
        }
    };
    comes_back(context, &mut machine, &pods).map(drop)
}

/// Reboots a launched machine, and leaves it in the middle of that.
pub fn leave_rebooted(context: &Context, machine: &Machine, launched: Launched) -> Result<()> {
    let pods = reboot::identities(&launched)?;
    launched.vm.reboot(machine.accel.scale(SHUT_DOWN))?;
    left::leave(context, machine, How::Clean, &pods)
}

fn rebooted(context: &Context) -> Result<(Machine, Pods)> {
    if let Some(left) = left::take(context, How::Clean)? {
        return Ok(left);
    }
    let (machine, launched, pods) = launched(context)?;
    launched.vm.reboot(machine.accel.scale(SHUT_DOWN))?;
    Ok((machine, pods))
}

/// A launch, where no earlier scenario has left one: this one runs alone, or for the second time.
fn launched(context: &Context) -> Result<(Machine, Launched, Pods)> {
    let document = context.example()?;
    let work = &context.work;
    let mut machine = Machine::create(&context.image, work, Medium::FwCfg, Some(&document))?;
    let launched = launch::launch(&mut machine, |_| {})?;
    cluster::wait_until_ready(&launched)?;
    let pods = reboot::identities(&launched)?;
    Ok((machine, launched, pods))
}

/// Boots the machine, waits until its cluster is what it was, and writes down how long that took.
fn comes_back(context: &Context, machine: &mut Machine, pods: &Pods) -> Result<Launched> {
    machine.add_prober(&build::prober(&context.repo)?)?;
    let vm = machine.boot()?;
    let mut launched = launch::reached(machine, vm, Duration::ZERO)?;
    let took = judge(machine, &mut launched, pods)
        .inspect_err(|_| launch::save_logs(machine, &mut launched.vm))?;
    context.keep_result(&reboot::figures(&[took])?)?;
    Ok(launched)
}

fn judge(machine: &Machine, launched: &mut Launched, pods: &Pods) -> Result<Reboot> {
    let deadline = machine.accel.scale(COMMAND);
    let since = wait::until("start of the kubelet", machine.accel.scale(BOOT), || {
        boot::started_at(&mut launched.vm, KUBELET, deadline)
    })?;
    let back = reboot::is_back(launched, pods, since);
    let report = tools::report(&mut launched.vm.channel, deadline);
    back?;
    Reboot::of(&report?, since).map_err(|unseen| anyhow!("the prober did not see {unseen}"))
}
