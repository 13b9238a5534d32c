//! One virtual machine: its process, and the ways to talk to it.

use super::accel::Accel;
use super::channel::{self, Channel};
use super::console::Console;
use super::qmp::{self, Qmp};
use super::spec::{METADATA, Network, Spec};
use crate::process;
use anyhow::{Context, Result};
use serde_json::json;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Version 10: 7.2's emulation of cmpxchg16b crashes current kernels.
pub const PROGRAM: &str = "qemu-system-x86_64";
/// A machine with nothing in it. `pc`, because q35's AHCI costs time and microvm does not boot under
/// emulation.
pub const BARE: &[&str] = &[
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-no-reboot",
    "-machine",
    "pc",
];
/// How long QEMU may take to open its sockets.
const OPEN: Duration = Duration::from_secs(30);

/// A running machine; dropping it is a power cut.
#[derive(Debug)]
pub struct Vm {
    child: Child,
    /// Its console; times are since QEMU was started.
    pub console: Console,
    /// The way to run commands in the guest.
    pub channel: Channel,
    network: Network,
    qmp: Qmp,
}

impl Spec {
    /// Starts the machine.
    pub fn start(&self, accel: Accel) -> Result<Vm> {
        fs::create_dir_all(&self.run)
            .with_context(|| format!("cannot create {}", self.run.display()))?;
        channel::write_guest_side(&self.run, accel.guest_setup())?;
        let log = File::create(&self.log)
            .with_context(|| format!("cannot create {}", self.log.display()))?;
        let stderr = File::create(self.run.join("qemu.stderr")).context("cannot log QEMU")?;
        let mut command = Command::new(PROGRAM);
        command
            .args(BARE)
            .args(accel.arguments())
            .args(self.arguments(accel.kernel_arguments()));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr);
        process::die_with_parent(&mut command);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {PROGRAM}"))?;
        let out = child.stdout.take().context("QEMU has no output")?;
        let console = Console::read(out, Some(log));
        let opened = self.open(&mut child);
        let (qmp, channel) = opened.inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
        })?;
        Ok(Vm {
            child,
            console,
            channel,
            network: self.network,
            qmp,
        })
    }

    fn open(&self, child: &mut Child) -> Result<(Qmp, Channel)> {
        let qmp = connect(&self.run.join("qmp"), child).with_context(|| self.complaint())?;
        let channel =
            connect(&self.run.join("channel"), child).with_context(|| self.complaint())?;
        Ok((Qmp::new(qmp)?, Channel::new(channel)))
    }

    /// What QEMU said when it gave up.
    fn complaint(&self) -> String {
        let said = fs::read_to_string(self.run.join("qemu.stderr")).unwrap_or_default();
        format!("QEMU did not start: {}", said.trim())
    }
}

impl Vm {
    /// The host's port on 127.0.0.1 that leads to the guest's API server.
    pub fn api_port(&mut self) -> Result<u16> {
        let text = self.qmp.monitor("info usernet")?;
        qmp::forwarded_port(&text, self.network.api_port)
            .with_context(|| format!("QEMU forwards no port to the API server: {text}"))
    }

    /// Gives it another disk while it runs.
    pub fn plug(&mut self, disk: &Path) -> Result<()> {
        let node = json!({
            "driver": "raw", "node-name": METADATA, "read-only": true,
            "file": {"driver": "file", "filename": disk, "read-only": true},
        });
        self.qmp.execute("blockdev-add", &node)?;
        let device = json!({
            "driver": "virtio-blk-pci", "id": METADATA, "drive": METADATA, "serial": METADATA,
        });
        self.qmp.execute("device_add", &device).map(drop)
    }

    /// Switches it off as a power cut does.
    pub fn cut_power(mut self) -> Result<()> {
        self.child.kill().context("cannot kill QEMU")?;
        self.child.wait().context("cannot wait for QEMU").map(drop)
    }

    /// Lets the guest power itself off.
    pub fn power_off(self, deadline: Duration) -> Result<()> {
        self.shut_down("poweroff", deadline)
    }

    /// Lets the guest reboot; QEMU ends there (`-no-reboot`), and the next start is the boot that follows.
    pub fn reboot(self, deadline: Duration) -> Result<()> {
        self.shut_down("reboot", deadline)
    }

    fn shut_down(mut self, verb: &str, deadline: Duration) -> Result<()> {
        // The unit that would answer is the first to be stopped, so there may be no answer.
        let command = format!("systemctl {verb} --no-block");
        let _ = self.channel.run(&command, deadline);
        self.console.wait_off(deadline)?;
        self.child.wait().context("cannot wait for QEMU").map(drop)
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects to a socket that QEMU is about to make.
fn connect(path: &Path, child: &mut Child) -> Result<UnixStream> {
    let until = Instant::now() + OPEN;
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                let gone = child.try_wait().context("cannot watch QEMU")?.is_some();
                if gone || Instant::now() >= until {
                    return Err(error).with_context(|| format!("no {}", path.display()));
                }
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
