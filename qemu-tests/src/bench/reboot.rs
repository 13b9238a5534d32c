//! What checkpoints do for a single node that comes back, and what they cost one that is idle.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::{Figures, Results, judged, repeated, summary};
use crate::node::native::{Node, NodeSpec};
use crate::node::{launch, reboot};
use crate::scenario::Context;
use crate::scenarios::cluster;

/// Seconds from the kubelet's start.
const REBOOT: [(&str, f64); 3] = [
    ("reboot_api_s", 10.0),
    ("reboot_apiserver_ready_s", 15.0),
    ("reboot_leaders_s", 17.0),
];
const IDLE: [(&str, f64); 2] = [("idle_cpu_percent", 0.1), ("idle_rss_kib", 16.0 * 1024.0)];

/// For how long an idle node is looked at, each time.
const LOOK: Duration = Duration::from_secs(60);
/// Where the harness keeps the process id of the unit.
const PID: &str = "/run/harness/slipway-checkpoint.service.pid";

/// One launch, and five power cuts of it.
pub fn reboots(context: &Context) -> Result<Results> {
    let mut node = launched(context, "reboot")?;
    let runs = repeated("reboot", |_| {
        let took = reboot::after_power_cut(&mut node)?;
        let figures = [
            ("reboot_api_s", took.api_s),
            ("reboot_node_address_s", took.node_address_s),
            ("reboot_apiserver_ready_s", took.apiserver_ready_s),
            ("reboot_leaders_s", took.leaders_s),
        ];
        Ok(named(&figures))
    })?;
    Ok(judged(summary(&runs), &REBOOT))
}

/// One launch, and five minutes in which nobody asks for anything.
pub fn idle(context: &Context) -> Result<Results> {
    let node = launched(context, "idle")?;
    let runs = repeated("idle", |_| look(&node))?;
    Ok(judged(summary(&runs), &IDLE))
}

fn launched(context: &Context, name: &str) -> Result<Node> {
    let context = Context {
        work: context.work.join(name),
        ..context.clone()
    };
    let mut node = Node::create(&context, NodeSpec::default())?;
    node.boot()?;
    launch::launch(&node)?;
    cluster::wait_until_ready(&node)?;
    Ok(node)
}

/// Processor time in per cent of one core, and memory at the end.
fn look(node: &Node) -> Result<Figures> {
    let pid = pid(node)?;
    let (begun, before) = (Instant::now(), cpu_seconds(node, &pid)?);
    thread::sleep(LOOK);
    let spent = cpu_seconds(node, &pid)? - before;
    let percent = spent / begun.elapsed().as_secs_f64() * 100.0;
    ensure!(self::pid(node)? == pid, "it was started again meanwhile");
    let figures = [
        ("idle_cpu_percent", percent),
        ("idle_rss_kib", rss_kib(node, &pid)?),
    ];
    Ok(named(&figures))
}

fn pid(node: &Node) -> Result<String> {
    let pid =
        fs::read_to_string(node.path(PID)).context("`slipway checkpoint node` does not run")?;
    Ok(pid.trim().to_owned())
}

/// User and system time of all its threads, by the scheduler's clock: /proc/PID/stat counts in hundredths of a
/// second, of which a tenth of a per cent of a minute has six.
fn cpu_seconds(node: &Node, pid: &str) -> Result<f64> {
    let tasks = node.path(format!("/proc/{pid}/task"));
    let mut nanoseconds = 0.0;
    for task in fs::read_dir(&tasks).with_context(|| format!("no {}", tasks.display()))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text
            .split(' ')
            .next()
            .and_then(|first| first.parse::<f64>().ok());
        nanoseconds += first.context("/proc/PID/task/TID/schedstat has no time")?;
    }
    Ok(nanoseconds / 1e9)
}

fn rss_kib(node: &Node, pid: &str) -> Result<f64> {
    let text = fs::read_to_string(node.path(format!("/proc/{pid}/status")))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.context("/proc/PID/status has no VmRSS")
}

fn named(figures: &[(&str, f64)]) -> Figures {
    let figures = figures.iter();
    figures
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect()
}
