//! A dead control plane comes back: on its own machine, where etcd alone is left, and on a new one, which has nothing but a
//! snapshot and a backup's bundle.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use slipway::backup::{BUNDLE, SNAPSHOT};

use super::reboot;
use crate::cache;
use crate::scenario::Context;
use crate::scenarios::cluster;
use crate::scenarios::destroy::{self, Assets};
use crate::scenarios::reboot::{Host as _, no_checkpoint_is_active};
use crate::scenarios::seeded::backup::IDENTITY;
use crate::scenarios::seeded::{self, After, Before, Size};
use crate::vm::launch::{self, COMMAND, Launched};
use crate::vm::left::{self, How};
use crate::vm::machine::Machine;
use crate::vm::media::Medium;
use crate::vm::qemu::Vm;

/// How long recover may take, and the launch after it, on a free machine with KVM.
const RECOVERY: Duration = Duration::from_secs(240);
/// The next step after recover: the image's unit, which wants the kubelet and the checkpoints' unit.
const START: &str = "systemctl start slipway-start.service";
/// The document of the new machine, by what differs from the old one's.
const OTHER: [(&str, &str); 2] = [("node-a", "node-b"), ("10.0.2.15", "10.0.2.16")];
const WAITS: &str = "launch: wait\n";
const NOTES: &str = "before.json";
/// What is carried from the old machine to the new one, by the option that names it.
const CARRIED: [(&str, &str); 3] = [
    ("--snapshot", SNAPSHOT),
    ("--bundle", BUNDLE),
    ("--identity", "identity"),
];

/// On a copy of what an earlier scenario left. In the end it leaves a backup, and what has to be true of whoever comes
/// back from it.
pub fn from_etcd(context: &Context) -> Result<()> {
    let (machine, mut launched) = back(context)?;
    let judged = lose_and_recover(&machine, &mut launched);
    let before = judged.inspect_err(|_| launch::save_logs(&machine, &mut launched.vm))?;
    leave(context, &mut launched, before)
}

/// On a machine of another name and address.
pub fn on_new_vm(context: &Context) -> Result<()> {
    let folder = folder(context);
    if !folder.join(NOTES).exists() {
        let (_, mut launched) = back(context)?;
        let before = seeded::furnish(&mut launched, Size::TENTH)?;
        leave(context, &mut launched, before)?;
    }
    let before: Before = serde_json::from_slice(&fs::read(folder.join(NOTES))?)?;
    let mut machine = new_machine(context)?;
    let files = CARRIED.map(|(_, name)| folder.join(name));
    machine.add_files(&files.each_ref().map(PathBuf::as_path))?;
    let mut vm = machine.boot()?;
    let moment = recover_on(&machine, &mut vm, &before)
        .inspect_err(|_| launch::save_logs(&machine, &mut vm))?;
    let mut launched = launch::reached(&machine, vm, Duration::ZERO)?;
    let after = After {
        forgotten: Some("node-a"),
    };
    seeded::check(&mut launched, &before, after, &moment)
        .inspect_err(|_| launch::save_logs(&machine, &mut launched.vm))
}

/// A machine that was launched before, on, and with a cluster that is well.
fn back(context: &Context) -> Result<(Machine, Launched)> {
    let (mut machine, _) = match left::copy(context, How::Cut)? {
        Some(left) => left,
        None => reboot::off(context, reboot::cut)?,
    };
    let vm = machine.boot()?;
    let mut launched = launch::reached(&machine, vm, Duration::ZERO)?;
    cluster::wait_until_ready(&launched)?;
    no_checkpoint_is_active(&mut launched)?;
    cluster::wait_until_ready(&launched)?;
    Ok((machine, launched))
}

fn lose_and_recover(machine: &Machine, launched: &mut Launched) -> Result<Before> {
    let mut before = seeded::furnish(launched, Size::TENTH)?;
    before.goes_on(launched)?;
    destroy::control_plane(launched, Assets::Lost)?;
    let moment = launched.shell(seeded::NOW)?;
    let limit = machine.accel.scale(RECOVERY);
    for line in ["slipway recover", START] {
        launched.vm.channel.expect(line, limit)?;
    }
    seeded::check(launched, &before, After::default(), &moment)?;
    Ok(before)
}

/// Leaves a backup of a machine that goes on for a moment and is lost then, with what was noted of it.
fn leave(context: &Context, launched: &mut Launched, mut before: Before) -> Result<()> {
    let folder = folder(context);
    cache::empty(&folder)?;
    back_up(launched, &folder)?;
    before.goes_on(launched)?;
    // The notes last: they say that all is there.
    let notes = serde_json::to_vec(&before)?;
    fs::write(folder.join(NOTES), notes).context("cannot leave notes")
}

fn folder(context: &Context) -> PathBuf {
    context.left.join("backup")
}

/// Takes a backup as the image's timer does, and carries it away, with what opens it.
fn back_up(launched: &mut Launched, folder: &Path) -> Result<()> {
    let limit = launched.accel.scale(COMMAND);
    let channel = &mut launched.vm.channel;
    channel.expect("systemctl start slipway-backup.service", limit * 2)?;
    for name in [SNAPSHOT, BUNDLE] {
        let show = format!("cat /var/lib/slipway/backups/*/{name}");
        let bytes = channel.expect(&show, limit)?.bytes;
        fs::write(folder.join(name), bytes).with_context(|| format!("cannot keep {name}"))?;
    }
    fs::write(folder.join("identity"), IDENTITY).context("cannot keep the identity")
}

fn new_machine(context: &Context) -> Result<Machine> {
    let text = String::from_utf8(context.example()?)?;
    let other = OTHER
        .iter()
        .fold(text, |text, (old, new)| text.replace(old, new));
    let document = format!("{other}{WAITS}");
    let (image, work) = (&context.image, &context.work);
    Machine::create(image, work, Medium::FwCfg, Some(document.as_bytes()))
}

/// Nothing has been launched by itself, and a person recovers. Returns when that began.
fn recover_on(machine: &Machine, vm: &mut Vm, before: &Before) -> Result<String> {
    let command = machine.accel.scale(COMMAND);
    let mut shell =
        |line: &str, limit| Ok::<_, anyhow::Error>(vm.channel.expect(line, limit)?.text());
    shell("systemctl start multi-user.target", command)?;
    let manifests = shell("ls /etc/kubernetes/manifests || true", command)?;
    ensure!(!manifests.contains("yaml"), "it did not wait: {manifests}");
    shell(&before.provision(), command)?;
    let moment = shell(seeded::NOW, command)?;
    let limit = machine.accel.scale(RECOVERY);
    let options = CARRIED.map(|(option, name)| format!("{option} /run/tools/{name}"));
    let options = options.join(" ");
    shell(
        &format!("slipway recover {options} --forget-node node-a"),
        limit,
    )?;
    shell(START, limit)?;
    Ok(moment)
}
