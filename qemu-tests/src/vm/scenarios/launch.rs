//! From metadata to a self-hosted cluster, and what a person then does with it.

use super::{reboot, renewal};
use crate::scenario::Context;
use crate::scenarios::{cluster, pods, rollout};
use crate::vm::launch::{self, COMMAND, Launched};
use crate::vm::machine::Machine;
use crate::vm::media::Medium;
use anyhow::{Result, ensure};
use std::time::Duration;

/// Between two requests of the prober in a pod: this seldom, because each is a TLS handshake.
pub const IN_POD: Duration = Duration::from_secs(1);

/// The document comes from QEMU's firmware configuration device. In the end the machine is rebooted for whoever comes
/// after.
pub fn single_node(context: &Context) -> Result<()> {
    let document = renewal::document(context)?;
    let work = &context.work;
    let mut machine = Machine::create(&context.image, work, Medium::FwCfg, Some(&document))?;
    let mut launched = launch::launch(&mut machine, |_| {})?;
    let judged = judge(&mut launched, machine.accel.scale(COMMAND));
    judged.inspect_err(|_| launch::save_logs(&machine, &mut launched.vm))?;
    reboot::leave_rebooted(context, &machine, launched)
}

fn judge(launched: &mut Launched, deadline: Duration) -> Result<()> {
    cluster::wait_until_ready(launched)?;
    only_etcd_is_static(launched, deadline)?;
    start_succeeded(launched, deadline)?;
    pods::deploy(launched, IN_POD)?;
    pods::resolve_and_reach(launched)?;
    rollout::restart(launched, "daemonset/kube-apiserver")?;
    cluster::wait_until_ready(launched)?;
    second_start_is_done(launched, deadline)
}

/// No static control-plane pod is left but etcd: neither a mirror pod nor a file.
fn only_etcd_is_static(launched: &mut Launched, deadline: Duration) -> Result<()> {
    cluster::no_mirror_pod_but_etcd(launched)?;
    let files = launched
        .vm
        .channel
        .expect("ls /etc/kubernetes/manifests", deadline)?
        .text();
    ensure!(files == "etcd.yaml", "static pods left: {files}");
    Ok(())
}

fn start_succeeded(launched: &mut Launched, deadline: Duration) -> Result<()> {
    let show = "systemctl show --property=Result,ActiveState slipway-start.service";
    let state = launched.vm.channel.expect(show, deadline)?.text();
    let good = state.contains("Result=success") && state.contains("ActiveState=active");
    ensure!(good, "slipway-start.service: {state}");
    let failed = launched
        .vm
        .channel
        .expect("systemctl --failed --no-legend", deadline)?
        .text();
    ensure!(failed.is_empty(), "failed units: {failed}");
    Ok(())
}

/// A second `slipway start`, by a person: done already.
fn second_start_is_done(launched: &mut Launched, deadline: Duration) -> Result<()> {
    let said = launched
        .vm
        .channel
        .expect("slipway start", deadline)?
        .text();
    ensure!(
        said.contains("done"),
        "the second start does not say that it is done: {said}"
    );
    Ok(())
}
