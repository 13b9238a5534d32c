//! One image, every source that a guest can be given here, each in another envelope: what arrives is
//! the document, the asset directory made of it, the host name, and what else the envelope carried.
//!
//! The launch itself is left out.

use super::envelopes::{self, CARRIED, HOSTNAME};
use crate::scenario::Context;
use crate::vm::boot::{self, NO_LAUNCH};
use crate::vm::imds::Imds;
use crate::vm::launch::{COMMAND, save_logs};
use crate::vm::machine::Machine;
use crate::vm::media::{self, Medium};
use crate::vm::qemu::Vm;
use crate::vm::spec::Source;
use anyhow::{Context as _, Result, ensure};
use rcgen::KeyPair;
use std::fs;

const NODE: &str = "node-a";
const ADDRESS: &str = "10.0.2.15";

/// What a machine should have become.
pub struct Expected<'a> {
    /// The document's text.
    document: &'a [u8],
    /// The host name.
    hostname: &'a str,
    /// Whether [`CARRIED`] came with the document.
    carried: bool,
    /// What the fetch says of the document's source.
    origin: &'a str,
    /// Whether the source needed the network, in the initrd.
    online: bool,
}

/// gzip; and secrets by reference: one passed as a credential, one sealed by the machine itself.
pub fn fw_cfg(context: &Context) -> Result<()> {
    let mut document = context.example()?;
    document.extend(b"  serviceAccountKey: {secretRef: {credential: slipway.sa}}\n");
    let source = Medium::FwCfg.with(&context.work, &envelopes::gzip(&context.work, &document)?)?;
    let mut machine = machine(context, source)?;
    let key = context.work.join("service-account.pem");
    let pem = KeyPair::generate()
        .context("cannot make a key")?
        .serialize_pem();
    fs::write(&key, &pem).context("cannot write the key")?;
    machine
        .spec
        .credentials
        .push(("slipway.sa".to_owned(), key));
    let expected = Expected::plain(&document, "fw_cfg");
    run(&mut machine, &expected, |machine, vm| {
        let path = "/var/lib/slipway/assets/tls/service-account.key";
        let there = vm
            .channel
            .expect(&format!("cat {path}"), machine.accel.scale(COMMAND))?;
        ensure!(
            there.text().trim() == pem.trim(),
            "the credential is not the cluster's key"
        );
        sealed(machine, vm)
    })
}

/// Sealed on the machine, opened by it, and refused as soon as one character differs.
fn sealed(machine: &Machine, vm: &mut Vm) -> Result<()> {
    let deadline = machine.accel.scale(COMMAND);
    let key = "/var/lib/slipway/assets/tls/service-account.key";
    let seal = format!(
        "systemd-creds encrypt --with-key=host --name=slipway.cluster.serviceAccountKey {key} - \
         | tr -d '\\n' >/run/sealed"
    );
    vm.channel.expect(&seal, deadline)?;
    let document = |blob: &str, to: &str| {
        format!(
            "{{ sed /serviceAccountKey/d /var/lib/slipway/machine.yaml; printf \
             '  serviceAccountKey: {{secretRef: {{sealed: \"%s\"}}}}\\n' \"$({blob})\"; }} >{to}"
        )
    };
    vm.channel
        .expect(&document("cat /run/sealed", "/run/good.yaml"), deadline)?;
    let render =
        |name: &str| format!("slipway render --config /run/{name}.yaml --asset-dir /run/{name}");
    vm.channel.expect(&render("good"), deadline)?;
    vm.channel.expect(
        &format!("cmp {key} /run/good/tls/service-account.key"),
        deadline,
    )?;
    // The middle of the blob is ciphertext; its ends are header and tag.
    let tamper = "s=$(cat /run/sealed); n=$((${#s}/2)); a=$(printf %.${n}s \"$s\"); b=${s#\"$a\"}; \
        case $b in A*) printf %sB%s \"$a\" \"${b#?}\";; *) printf %sA%s \"$a\" \"${b#?}\";; esac";
    vm.channel
        .expect(&document(tamper, "/run/bad.yaml"), deadline)?;
    let answer = vm.channel.run(&render("bad"), deadline)?;
    ensure!(
        answer.code == 6,
        "a tampered secret: exit code {}: {}",
        answer.code,
        answer.text()
    );
    let nothing = vm.channel.run("test -e /run/bad", deadline)?;
    ensure!(
        nothing.code == 1,
        "a tampered secret left an asset directory"
    );
    Ok(())
}

/// A cloud-config, with a host name of its own; afterwards read from the SMBIOS tables as well.
pub fn credential(context: &Context) -> Result<()> {
    let document = context.example()?;
    let expected = Expected {
        hostname: HOSTNAME,
        carried: true,
        ..Expected::plain(&document, "credential")
    };
    let envelope = envelopes::cloud_config(&document);
    let source = Medium::Credential.with(&context.work, &envelope)?;
    run(&mut machine(context, source)?, &expected, |machine, vm| {
        // The tables themselves, which hold what systemd made the credential of.
        let read = "slipway fetch --print --refetch --platform smbios";
        let said = vm
            .channel
            .expect(read, machine.accel.scale(COMMAND))?
            .text();
        ensure!(
            said.contains("SMBIOS") && said.contains(NODE),
            "{read}: {said}"
        );
        Ok(())
    })
}

/// A MIME message, in a CD-ROM drive, as Proxmox and libvirt attach it.
pub fn nocloud_iso(context: &Context) -> Result<()> {
    let document = context.example()?;
    let expected = Expected::plain(&document, "NoCloud").carried();
    on(
        context,
        Medium::NoCloudCd,
        &envelopes::mime(&document),
        &expected,
    )
}

/// The document itself, in JSON.
pub fn nocloud_fat(context: &Context) -> Result<()> {
    let document = envelopes::json(NODE);
    on(
        context,
        Medium::NoCloudFat,
        &document,
        &Expected::plain(&document, "NoCloud"),
    )
}

/// An Ignition config.
pub fn config_drive(context: &Context) -> Result<()> {
    let document = context.example()?;
    let envelope = envelopes::ignition(&context.work, &document)?;
    let expected = Expected::plain(&document, "config").carried();
    on(context, Medium::ConfigDrive, &envelope, &expected)
}

/// A packed cloud-config, over the network, which only this boot brings up in the initrd.
pub fn ec2(context: &Context) -> Result<()> {
    let document = context.example()?;
    let packed = envelopes::gzip(&context.work, &envelopes::cloud_config(&document))?;
    let imds = Imds::ec2(&context.work, packed)?;
    let mut machine = machine(context, Source::Ec2(imds.connect.clone()))?;
    let expected = Expected {
        hostname: HOSTNAME,
        carried: true,
        online: true,
        ..Expected::plain(&document, "EC2")
    };
    run(&mut machine, &expected, |_, vm| {
        let said = vm.console.text();
        ensure!(
            said.contains("ec2 needs the network"),
            "the network was not asked for:\n{said}"
        );
        let seen = imds.seen();
        ensure!(seen.len() == 2, "not one token and one document: {seen:?}");
        Ok(())
    })
}

/// The document itself as custom data, on the disc that counts once the service says that there is no user data.
pub fn azure(context: &Context) -> Result<()> {
    let document = context.example()?;
    let imds = Imds::azure(&context.work)?;
    let disc = media::azure_disc(&context.work, &document)?;
    let mut machine = machine(context, Source::Azure(imds.connect.clone(), disc))?;
    let expected = Expected {
        online: true,
        ..Expected::plain(&document, "Azure custom data")
    };
    run(&mut machine, &expected, |_, _| {
        let seen = imds.seen();
        ensure!(seen.len() == 1, "the service was not asked once: {seen:?}");
        Ok(())
    })
}

impl<'a> Expected<'a> {
    /// The document of an envelope that has nothing else.
    pub fn plain(document: &'a [u8], origin: &'a str) -> Self {
        Self {
            document,
            hostname: NODE,
            carried: false,
            origin,
            online: false,
        }
    }

    fn carried(self) -> Self {
        Self {
            carried: true,
            ..self
        }
    }
}

/// A machine that boots without a launch.
pub fn machine(context: &Context, source: Source) -> Result<Machine> {
    let mut machine = Machine::with_source(&context.image, &context.work, source, None)?;
    machine.spec.kernel = NO_LAUNCH.to_owned();
    Ok(machine)
}

fn on(context: &Context, medium: Medium, user_data: &[u8], expected: &Expected) -> Result<()> {
    let source = medium.with(&context.work, user_data)?;
    run(&mut machine(context, source)?, expected, |_, _| Ok(()))
}

fn run(
    machine: &mut Machine,
    expected: &Expected,
    more: impl FnOnce(&Machine, &mut Vm) -> Result<()>,
) -> Result<()> {
    let mut vm = machine.boot()?;
    let judged = judge(machine, &mut vm, expected).and_then(|()| more(machine, &mut vm));
    judged.inspect_err(|_| save_logs(machine, &mut vm))
}

/// Looks inside as soon as the render, which this waits for, is done.
pub fn judge(machine: &Machine, vm: &mut Vm, expected: &Expected) -> Result<()> {
    let deadline = machine.accel.scale(COMMAND);
    let mut ask = |command: &str| vm.channel.expect(command, deadline);
    ask("systemctl start slipway-render.service")?;
    let kept = ask("cat /var/lib/slipway/machine.yaml")?;
    ensure!(
        kept.bytes == expected.document,
        "another document was kept: {}",
        kept.text()
    );
    let modes = ask("stat -c %a /var/lib/slipway/machine.yaml /run/slipway/machine.yaml")?.text();
    ensure!(modes == "600\n600", "modes of the document: {modes}");
    let manifests = "/var/lib/slipway/assets/bootstrap-manifests";
    ask(&format!(
        "grep -q advertise-address={ADDRESS} {manifests}/bootstrap-apiserver.yaml"
    ))?;
    ask("test -s /var/lib/slipway/assets/manifests/kube-apiserver.yaml")?;
    ask("cmp /var/lib/slipway/assets/etcd/etcd.yaml /etc/kubernetes/manifests/etcd.yaml")?;
    let names = ask("cat /etc/hostname /proc/sys/kernel/hostname")?.text();
    let hostname = expected.hostname;
    ensure!(
        names == format!("{hostname}\n{hostname}"),
        "host name: {names}"
    );
    let (path, text) = CARRIED;
    if expected.carried {
        let there = ask(&format!("stat -c %a {path} && cat {path}"))?.text();
        ensure!(there == format!("640\n{}", text.trim()), "{path}: {there}");
    }
    let asked = vm.channel.run("test -e /run/slipway/neednet", deadline)?;
    let started = boot::has_started(vm, "slipway-network.service", deadline)?;
    let needed = (asked.code == 0, started);
    ensure!(
        needed == (expected.online, expected.online),
        "the initrd's network was asked for and brought up: {needed:?}"
    );
    let console = vm.console.text();
    let said = console.lines().any(|line| {
        line.contains("(first boot)")
            && line.contains("document from")
            && line.contains(expected.origin)
    });
    ensure!(
        said,
        "the console does not name the source {}:\n{console}",
        expected.origin
    );
    Ok(())
}
