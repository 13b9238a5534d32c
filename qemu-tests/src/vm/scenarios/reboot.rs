//! A launched machine is switched off, cleanly or not, and is itself again after its next boot.

use anyhow::{Context as _, Result, anyhow, ensure};
use qemu_tests::probe::Reboot;
use std::process::Command;
use std::time::Duration;

use super::launch::IN_POD;
use super::renewal;
use crate::build;
use crate::image;
use crate::process;
use crate::scenario::Context;
use crate::scenarios::reboot::Host as _;
use crate::scenarios::{cluster, pods, reboot, rollout};
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
/// Of the newer image.
const BUILD_ID: &str = "after-the-reboot";

/// A pod's token lives for an hour, a certificate for a year: a checkpoint must need no token.
const AHEAD: &str = "--date=60 days";

/// How a machine goes off.
pub type Off = fn(Launched) -> Result<()>;

/// Boots what was rebooted, with a newer image, and cuts its power in the end, for the scenario that follows.
pub fn clean(context: &Context) -> Result<()> {
    let (mut machine, pods) = match left::take(context, How::Clean)? {
        Some(left) => left,
        None => off(context, shut_down)?,
    };
    machine.spec.root = context.work.join("root.erofs");
    image::rebuilt(&context.image, BUILD_ID, &machine.spec.root)?;
    let (mut launched, took) = comes_back(&mut machine, &pods)?;
    context.keep_result(&reboot::figures(&[took])?)?;
    let release = launched.shell("cat /etc/os-release")?;
    ensure!(release.contains(BUILD_ID), "an old image: {release}");
    cut(launched)?;
    left::leave(context, &machine, How::Cut, &pods)
}

/// Boots what lost its power. What comes back is good for what follows: here, new certificates.
pub fn power_cut(context: &Context) -> Result<()> {
    let (mut machine, pods) = match left::take(context, How::Cut)? {
        Some(left) => left,
        None => off(context, cut)?,
    };
    let (mut launched, took) = comes_back(&mut machine, &pods)?;
    context.keep_result(&reboot::figures(&[took])?)?;
    let renewed = renewal::by_the_timer(&mut launched, machine.accel.scale(COMMAND));
    renewed.inspect_err(|_| launch::save_logs(&machine, &mut launched.vm))
}

/// Ten times in a row.
pub fn ten_clean(context: &Context) -> Result<()> {
    ten(context, shut_down)
}

pub fn ten_power_cuts(context: &Context) -> Result<()> {
    ten(context, cut)
}

fn ten(context: &Context, go_off: Off) -> Result<()> {
    let (mut machine, pods) = off(context, go_off)?;
    let mut reboots = Vec::new();
    for number in 1..=10 {
        let back = comes_back(&mut machine, &pods);
        let (launched, took) = back.with_context(|| format!("boot {number}"))?;
        reboots.push(took);
        context.keep_result(&reboot::figures(&reboots)?)?;
        go_off(launched)?;
    }
    Ok(())
}

/// The power fails just after the API server's pod was replaced, and stays away for two months.
pub fn months_later(context: &Context) -> Result<()> {
    let (mut machine, launched) = launched(context, &context.example()?)?;
    rollout::restart(&launched, "daemonset/kube-apiserver")?;
    cluster::wait_until_ready(&launched)?;
    let pods = reboot::identities(&launched)?;
    cut(launched)?;
    let mut date = Command::new("date");
    let then = process::output(date.args(["--utc", AHEAD, "+%FT%T"]))?;
    machine.spec.clock = Some(then.trim().to_owned());
    let (_, took) = comes_back(&mut machine, &pods)?;
    context.keep_result(&reboot::figures(&[took])?)
}

/// Reboots a launched machine, and leaves it in the middle of that.
pub fn leave_rebooted(context: &Context, machine: &Machine, launched: Launched) -> Result<()> {
    let pods = reboot::identities(&launched)?;
    shut_down(launched)?;
    left::leave(context, machine, How::Clean, &pods)
}

fn shut_down(launched: Launched) -> Result<()> {
    let limit = launched.accel.scale(SHUT_DOWN);
    launched.vm.reboot(limit)
}

/// Cuts the power just after a pod of the pod network came: what was written for it and not synced is lost. What a disk has after half
/// a minute it would have after any cut.
pub fn cut(launched: Launched) -> Result<()> {
    pods::replace(&launched)?;
    launched.vm.cut_power()
}

/// A launch of its own, where no earlier scenario has left one: this one runs alone, or for the second time.
pub fn off(context: &Context, go_off: Off) -> Result<(Machine, Pods)> {
    let (machine, launched) = launched(context, &renewal::document(context)?)?;
    let pods = reboot::identities(&launched)?;
    go_off(launched)?;
    Ok((machine, pods))
}

fn launched(context: &Context, document: &[u8]) -> Result<(Machine, Launched)> {
    let work = &context.work;
    let mut machine = Machine::create(&context.image, work, Medium::FwCfg, Some(document))?;
    let launched = launch::launch(&mut machine, |_| {})?;
    cluster::wait_until_ready(&launched)?;
    pods::deploy(&launched, IN_POD)?;
    Ok((machine, launched))
}

/// Boots the machine, waits until its cluster is what it was, and says how long that took.
fn comes_back(machine: &mut Machine, pods: &Pods) -> Result<(Launched, Reboot)> {
    machine.add_prober(&build::prober(&crate::repo())?)?;
    let vm = machine.boot()?;
    let mut launched = launch::reached(machine, vm, Duration::ZERO)?;
    if machine.spec.clock.is_some() {
        launched.clock_is_ahead()?;
    }
    let took = judge(machine, &mut launched, pods)
        .inspect_err(|_| launch::save_logs(machine, &mut launched.vm))?;
    Ok((launched, took))
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
