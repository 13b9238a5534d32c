//! containerd, the kubelet and the unit of checkpoints, started as the image's units start them.
//!
//! What differs from the image stands in files that the image could have too: containerd's own
//! configuration and a kubelet drop-in that comes after slipway's. Both exist because the harness
//! may run where only cgroup version 1 is mounted and CAP_SYS_RESOURCE is missing.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use slipway::render::images;

use super::launch::ASSETS;
use super::native::Node;
use super::process::{Process, Program};

/// The kubelet's drop-in. Thresholds of zero: the kubelet must not evict because the host is full.
const DROP_IN: &str = r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: /
failCgroupV1: false
failSwapOn: false
resolvConf: /dev/null
imageGCHighThresholdPercent: 100
evictionHard:
  memory.available: "0%"
  nodefs.available: "0%"
  nodefs.inodesFree: "0%"
  imagefs.available: "0%"
  imagefs.inodesFree: "0%"
"#;

/// What slipway-checkpoint.service runs.
const CHECKPOINT: [&str; 3] = ["slipway", "checkpoint", "node"];

/// containerd's configuration but for the sandbox image.
const CONTAINERD: &str = r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.blockfile", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false
"#;

/// Starts all of them, after the stage `render` has written the kubelet's configuration.
pub fn start(node: &Node) -> Result<()> {
    start_before_kubelet(node)?;
    start_kubelet(node)?;
    Ok(())
}

/// Starts what the image's units start before the kubelet, or beside it.
pub fn start_before_kubelet(node: &Node) -> Result<()> {
    start_containerd(node)?;
    start_checkpoint(node)
}

/// Has the units of a machine on which nothing is rendered yet: their conditions do not hold, and somebody may start them
/// later.
pub fn have_units(node: &Node) -> Result<()> {
    start_containerd(node)?;
    for unit in ["kubelet", "slipway-checkpoint"] {
        write(node, &format!("{RUN}/{unit}.service"), "")?;
        write(node, &format!("{RUN}/{unit}.service.stopped"), "")?;
    }
    start_kubelet_unit(node)?;
    supervise_checkpoint(node)
}

/// Starts what slipway-start.service wants; all units are there.
pub fn start_wanted(node: &Node) -> Result<()> {
    for unit in ["kubelet", "slipway-checkpoint"] {
        let start = Program::new(["systemctl", "start", unit]);
        node.run(&start)?.success()?;
    }
    Ok(())
}

/// Under the condition of slipway-checkpoint.service.
fn start_checkpoint(node: &Node) -> Result<()> {
    if node.path(ASSETS).join("bootstrap-manifests").exists() {
        supervise_checkpoint(node)?;
    }
    Ok(())
}

fn supervise_checkpoint(node: &Node) -> Result<()> {
    supervise(node, "slipway-checkpoint", "checkpoint", 2, &CHECKPOINT).map(drop)
}

/// Starts the container runtime and waits until it answers.
pub fn start_containerd(node: &Node) -> Result<Process> {
    let pinned = format!(
        "[plugins.\"io.containerd.cri.v1.images\".pinned_images]\nsandbox = \"{}\"\n",
        images::PAUSE
    );
    write(
        node,
        "/etc/containerd/config.toml",
        &format!("{CONTAINERD}{pinned}"),
    )?;
    let mut containerd = supervise(node, "containerd", "containerd", 5, &["containerd"])?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while node
        .run(&Program::new(["ctr", "version"]))?
        .success()
        .is_err()
    {
        if Instant::now() > deadline || containerd.ends_within(Duration::from_millis(50))? {
            bail!(
                "containerd does not answer; see {}/containerd.log",
                node.logs().display()
            );
        }
    }
    Ok(containerd)
}

/// Starts the kubelet with the flags of the image's unit.
pub fn start_kubelet(node: &Node) -> Result<Process> {
    let file = node.path("/etc/kubernetes/kubelet/kubelet.env");
    ensure!(
        file.exists(),
        "{} is not there; was it rendered?",
        file.display()
    );
    start_kubelet_unit(node)
}

fn start_kubelet_unit(node: &Node) -> Result<Process> {
    write(
        node,
        "/etc/kubernetes/kubelet/config.d/60-harness.conf",
        DROP_IN,
    )?;
    supervise(node, "kubelet", "kubelet", 1, &[KUBELET])
}

/// Starts `command` as a service that comes again when it ends, after `pause` seconds, and that
/// `systemctl` inside restarts, stops and starts.
fn supervise(node: &Node, name: &str, log: &str, pause: u32, command: &[&str]) -> Result<Process> {
    let (unit, pause) = (format!("{name}.service"), pause.to_string());
    let line = [&[UNIT, &unit, &pause], command].concat();
    node.start(&Program::new(line).log(log))
}

/// What stands in for systemd, relative to the repository, and where it is shown in a node.
pub const UNITS: [(&str, &str); 3] = [
    ("qemu-tests/src/node/unit/unit.sh", UNIT),
    ("qemu-tests/src/node/unit/kubelet.sh", KUBELET),
    (
        "qemu-tests/src/node/unit/systemctl.sh",
        "/usr/bin/systemctl",
    ),
];

/// What they know of their services.
const RUN: &str = "/run/harness";
/// Supervises a service.
const UNIT: &str = "/usr/libexec/harness-unit";
/// Runs the kubelet.
const KUBELET: &str = "/usr/libexec/harness-kubelet";

fn write(node: &Node, inside: &str, text: &str) -> Result<()> {
    let path = node.path(inside);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // A disk that is full by now would take it away.
    if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
