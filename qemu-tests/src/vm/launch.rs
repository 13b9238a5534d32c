//! A launch as the outside sees it: a machine is switched on, and a cluster comes out.

use super::accel::Accel;
use super::console::{Line, by_slipway};
use super::machine::Machine;
use super::qemu::Vm;
use super::tools;
use crate::process;
use crate::scenarios::reboot::Host;
use crate::scenarios::{Api, Kubectl};
use anyhow::{Context as _, Result};
use qemu_tests::probe::Report;
use slipway::kube::{Client, Options, kubeconfig};
use slipway::report::Record;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// From QEMU's start to the handover, on a free machine with KVM.
const LAUNCH: Duration = Duration::from_secs(240);
/// What the guest may take to answer a command, likewise.
pub const COMMAND: Duration = Duration::from_secs(30);

/// Files that a failed launch leaves, and what prints them.
const LOGS: [(&str, &str); 2] = [
    (
        "journal.txt",
        "journalctl --boot --no-pager --output=short-monotonic",
    ),
    ("pods.tar", "tar --create --directory=/var/log/pods ."),
];

/// A launched machine.
#[derive(Debug)]
pub struct Launched {
    /// Still running.
    pub vm: Vm,
    /// What it runs on.
    pub accel: Accel,
    /// On the host; its server is `url`.
    pub kubeconfig: PathBuf,
    /// The API as the host reaches it.
    pub url: String,
    /// From QEMU's start to the handover.
    pub total: Duration,
    /// The stage record of `slipway start`.
    pub record: Record,
    /// The picture of that record.
    pub timeline: Vec<u8>,
    /// What the prober saw, if there was one.
    pub report: Option<Report>,
}

/// Boots `machine` and waits until it is handed over. `shown` gets every line of the console. If the
/// launch fails, the guest's logs are in the machine's folder.
pub fn launch(machine: &mut Machine, shown: impl FnMut(&Line)) -> Result<Launched> {
    let mut vm = machine.boot()?;
    let handed_over = wait_until_handed_over(machine, &vm, shown);
    let total = handed_over.inspect_err(|_| save_logs(machine, &mut vm))?;
    let mut launched = reached(machine, vm, total)?;
    if machine.probed() {
        let deadline = machine.accel.scale(COMMAND);
        launched.report = Some(tools::report(&mut launched.vm.channel, deadline)?);
    }
    Ok(launched)
}

fn wait_until_handed_over(
    machine: &Machine,
    vm: &Vm,
    mut shown: impl FnMut(&Line),
) -> Result<Duration> {
    let mut total = None;
    vm.console.follow(machine.accel.scale(LAUNCH), |line| {
        shown(line);
        if stage_of(&line.text) == Some("done") {
            total = Some(line.at);
        }
        total.is_some()
    })?;
    total.context("the console ended without a handover")
}

/// The stage of a line by slipway: `21.1s  done       API gap …`; `None` for other lines.
pub fn stage_of(line: &str) -> Option<&str> {
    let mut words = by_slipway(line)?.split_whitespace();
    words.next()?.strip_suffix('s')?.parse::<f64>().ok()?;
    words.next()
}

/// A machine that is on and was launched in this boot or an earlier one, as the host reaches it.
pub fn reached(machine: &Machine, mut vm: Vm, total: Duration) -> Result<Launched> {
    let deadline = machine.accel.scale(COMMAND);
    let url = format!("https://127.0.0.1:{}", vm.api_port()?);
    let kubeconfig = machine.work.join("kubeconfig");
    let admin = vm
        .channel
        .expect("cat /etc/kubernetes/admin.kubeconfig", deadline)?;
    write_kubeconfig(&kubeconfig, &admin.bytes, &url)?;
    let record = vm
        .channel
        .expect("cat /var/lib/slipway/status.json", deadline)?;
    let record = serde_json::from_slice(&record.bytes).context("status.json is no record")?;
    let timeline = vm
        .channel
        .expect("cat /var/lib/slipway/timeline.svg", deadline)?
        .bytes;
    Ok(Launched {
        vm,
        accel: machine.accel,
        kubeconfig,
        url,
        total,
        record,
        timeline,
        report: None,
    })
}

impl Host for Launched {
    fn shell(&mut self, line: &str) -> Result<String> {
        let deadline = self.accel.scale(COMMAND);
        Ok(self.vm.channel.expect(line, deadline)?.text())
    }
}

impl Kubectl for Launched {
    fn patience(&self) -> u32 {
        self.accel.patience()
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(kubectl());
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments);
        process::output_with(&mut command, input)
    }
}

impl Api for Launched {
    fn api(&self, work: &mut (dyn FnMut(&Client) -> Result<()> + Send)) -> Result<()> {
        let options = Options::default();
        let timeout = self.accel.scale(options.timeout);
        let config = kubeconfig::load(&self.kubeconfig)?;
        work(&Client::new(&config, Options { timeout, ..options })?)
    }
}

/// The guest's kubeconfig for use on the host: the same user and CA, another address of the same server,
/// whose certificate also names 127.0.0.1.
fn write_kubeconfig(path: &Path, bytes: &[u8], url: &str) -> Result<()> {
    let private = slipway::node::files::PRIVATE;
    slipway::node::files::write(path, bytes, private)?;
    let config = |arguments: &[&str]| {
        let mut command = Command::new(kubectl());
        process::output(
            command
                .arg("--kubeconfig")
                .arg(path)
                .arg("config")
                .args(arguments),
        )
    };
    let cluster = config(&["view", "-o", "jsonpath={.clusters[0].name}"])?;
    config(&["set-cluster", &cluster, "--server", url]).map(drop)
}

/// kubectl of the version that is launched.
pub fn kubectl() -> PathBuf {
    crate::repo().join("target/payload/bin/kubectl")
}

/// Saves what the guest can still say: its journal and its pods' logs. Best effort: the error that
/// leads here is the one that counts.
pub fn save_logs(machine: &Machine, vm: &mut Vm) {
    let deadline = machine.accel.scale(COMMAND);
    for (file, command) in LOGS {
        if let Ok(answer) = vm.channel.run(command, deadline) {
            let _ = fs::write(machine.work.join(file), answer.bytes);
        }
    }
}

/// Seconds by stage: `boot` until slipway start's first line, then the launch's own stages.
pub fn stages(total: Duration, record: &Record) -> BTreeMap<String, f64> {
    let mut stages = BTreeMap::new();
    let mut launch = 0.0;
    for stage in &record.stages {
        let seconds = stage.end_s.unwrap_or(record.last_s) - stage.start_s;
        *stages.entry(stage.name.clone()).or_default() += seconds;
        launch += seconds;
    }
    stages.insert("boot".into(), (total.as_secs_f64() - launch).max(0.0));
    stages
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use slipway::report::record::Stage;

    #[test]
    fn knows_slipways_lines() {
        let done = "slipway[307]:  21.1s  done       API gap 0.19 s";
        assert_eq!(stage_of(done), Some("done"));
        assert_eq!(stage_of("slipway[1]: slipway 0.1.0 · node-a"), None);
        assert_eq!(stage_of("21.1s  done"), None);
        assert_eq!(stage_of("slipway[1]: nones done"), None);
    }

    /// A record of stages by name, start and end.
    pub fn record(stages: &[(&str, f64, f64)]) -> Record {
        let mut record = Record::new("start");
        record.stages = stages
            .iter()
            .map(|&(name, start_s, end)| Stage {
                name: name.into(),
                start_s,
                end_s: Some(end),
            })
            .collect();
        record
    }

    #[test]
    fn stages_add_up_to_the_total() {
        let record = record(&[("seed", 0.0, 4.0), ("wait", 4.0, 9.0), ("seed", 9.0, 10.0)]);
        let stages = stages(Duration::from_secs(30), &record);
        assert_eq!(stages["seed"], 5.0);
        assert_eq!(stages["boot"], 20.0);
        assert_eq!(stages.values().sum::<f64>(), 30.0);
    }
}
