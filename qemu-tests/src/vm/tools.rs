//! Programs of the harness in the guest, on a read-only disk: the production image has neither a
//! prober nor kubectl.

use super::channel::Channel;
use super::spec::Network;
use crate::process;
use anyhow::{Context, Result};
use qemu_tests::probe::Report;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Ends the prober and prints its report.
const REPORT: &str = "pid=$(cat /run/prober.pid) && kill -TERM $pid; \
    while kill -0 $pid 2>/dev/null; do sleep 0.2; done; cat /run/prober.json";

/// Makes a disk with `files`, which the guest finds in /run/tools; the script `start` runs beside
/// the launch.
pub fn disk(files: &[&Path], start: &str, work: &Path) -> Result<PathBuf> {
    let folder = work.join("tools");
    fs::create_dir_all(&folder).context("cannot make the tools' folder")?;
    for file in files {
        fs::copy(file, folder.join(file.file_name().unwrap_or_default()))
            .with_context(|| format!("cannot copy {}", file.display()))?;
    }
    fs::write(folder.join("start"), start).context("cannot write the tools' script")?;
    let disk = work.join("tools.erofs");
    process::output(
        Command::new("mkfs.erofs")
            .arg("--quiet")
            .arg(&disk)
            .arg(&folder),
    )?;
    Ok(disk)
}

/// The script that starts the prober: an administrator at both doors, and the watcher of Leases,
/// manifests and processes; each pauses for `interval` between two looks.
pub fn start_prober(network: Network, interval: Duration) -> String {
    let Network { address, api_port } = network;
    let admin = "/etc/kubernetes/admin.kubeconfig";
    let interval = interval.as_millis();
    let arguments = format!(
        "--user admin={admin} --door 127.0.0.1:{api_port} --door {address}:{api_port} \
         --interval {interval} --observe {admin} --manifests /etc/kubernetes/manifests"
    );
    include_str!("prober.sh").replace("@ARGUMENTS@", &arguments)
}

/// Ends the prober and reads what it saw.
pub fn report(channel: &mut Channel, deadline: Duration) -> Result<Report> {
    let answer = channel.expect(REPORT, deadline)?;
    serde_json::from_slice(&answer.bytes)
        .with_context(|| format!("the prober's report is {:?}", answer.text()))
}
