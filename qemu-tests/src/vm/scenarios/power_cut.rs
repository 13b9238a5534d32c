//! The power fails in the middle of a launch, and the machine comes back with a newer image.

use crate::image;
use crate::scenario::Context;
use crate::scenarios::{Kubectl, cluster};
use crate::vm::launch::{self, COMMAND, stage_of};
use crate::vm::machine::Machine;
use crate::vm::media::Medium;
use crate::vm::qemu::Vm;
use anyhow::{Result, ensure};
use std::time::Duration;

/// From QEMU's start until every object is applied, on a free machine with KVM.
const APPLIED: Duration = Duration::from_secs(120);
/// The bootstrap API server listens inside the guest only.
const UID: &str = "/run/tools/kubectl --kubeconfig=/etc/kubernetes/admin.kubeconfig \
    --server=https://127.0.0.1:6443 get namespace kube-system --output=jsonpath={.metadata.uid}";
const BUILD_ID: &str = "after-the-power-cut";

/// The document comes from a NoCloud disk. The second boot runs another build of the root disk on
/// the same /var and finishes by itself: the same cluster, not a new one.
pub fn run(context: &Context) -> Result<()> {
    let document = context.example()?;
    let work = &context.work;
    let mut machine = Machine::create(&context.image, work, Medium::NoCloudIso, Some(&document))?;
    machine.add_files(&[&launch::kubectl()])?;
    let mut vm = machine.boot()?;
    let uid = cluster_while_waiting(&machine, &mut vm)
        .inspect_err(|_| launch::save_logs(&machine, &mut vm))?;
    vm.cut_power()?;

    // The disk with the document is gone: what counts now is what was kept.
    machine.spec.source = Medium::NoCloudIso.without();
    machine.spec.root = work.join("root.erofs");
    image::rebuilt(&context.image, BUILD_ID, &machine.spec.root)?;
    let mut launched = launch::launch(&mut machine, |_| {})?;
    let console = launched.vm.console.text();
    ensure!(
        console.contains("kept document") && console.contains("(later boot)"),
        "the kept document was not used:\n{console}"
    );
    cluster::wait_until_ready(&launched)?;
    let now = launched.get("/api/v1/namespaces/kube-system")?;
    ensure!(
        now["metadata"]["uid"] == uid.as_str(),
        "it was {uid}, now it is another cluster: {now}"
    );
    let deadline = machine.accel.scale(COMMAND);
    let release = launched
        .vm
        .channel
        .expect("cat /etc/os-release", deadline)?
        .text();
    ensure!(
        release.contains(BUILD_ID),
        "this is the old image: {release}"
    );
    Ok(())
}

/// The UID of kube-system once the objects are applied and the launch waits for their pods.
fn cluster_while_waiting(machine: &Machine, vm: &mut Vm) -> Result<String> {
    let waits = |line: &str| stage_of(line) == Some("wait");
    vm.console.wait(waits, machine.accel.scale(APPLIED))?;
    let uid = vm.channel.expect(UID, machine.accel.scale(COMMAND))?.text();
    let handed_over = vm
        .console
        .text()
        .lines()
        .any(|line| stage_of(line) == Some("done"));
    ensure!(
        !handed_over,
        "the launch was over before the power could be cut"
    );
    Ok(uid)
}
