//! What both halves of the checkpoints cost a node that is idle, and what the API server is asked meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::reboot::{launched, named};
use super::{Figures, Results, judged, repeated, summary};
use crate::node::native::Node;
use crate::scenario::Context;
use crate::scenarios::Kubectl as _;

/// Per cent of one core, and memory at the end, of each half.
const TARGETS: [(&str, f64); 4] = [
    ("idle_cpu_percent", 0.1),
    ("idle_rss_kib", 16.0 * 1024.0),
    ("idle_cluster_cpu_percent", 0.1),
    ("idle_cluster_rss_kib", 16.0 * 1024.0),
];
/// What all requests for objects are called together. Who sent them the API server does not count.
const REQUESTS: &str = "idle_api_requests";

/// For how long an idle node is looked at, each time.
const LOOK: Duration = Duration::from_secs(60);
/// Where the harness keeps the process id of the unit.
const PID: &str = "/run/harness/slipway-checkpoint.service.pid";
/// How the command line of the pod's process ends, apart from options.
const CLUSTER: [&str; 2] = ["checkpoint", "cluster"];

/// One launch, and five minutes in which nobody asks for anything.
pub fn run(context: &Context) -> Result<Results> {
    let node = launched(context, "idle")?;
    let runs = repeated("idle", |_| look(&node))?;
    Ok(judged(summary(&runs), &TARGETS))
}

fn look(node: &Node) -> Result<Figures> {
    let pids = || -> Result<_> { Ok([unit(node)?, cluster(node)?]) };
    let spent = |pids: &[String; 2]| -> Result<[f64; 2]> {
        Ok([cpu_seconds(node, &pids[0])?, cpu_seconds(node, &pids[1])?])
    };
    let before = pids()?;
    let asked = requests(node)?;
    let (begun, spent_before) = (Instant::now(), spent(&before)?);
    thread::sleep(LOOK);
    let spent = spent(&before)?;
    let took = begun.elapsed().as_secs_f64();
    let percent = |half: usize| (spent[half] - spent_before[half]) / took * 100.0;
    let mut figures = named(&[
        ("idle_cpu_percent", percent(0)),
        ("idle_rss_kib", rss_kib(node, &before[0])?),
        ("idle_cluster_cpu_percent", percent(1)),
        ("idle_cluster_rss_kib", rss_kib(node, &before[1])?),
    ]);
    figures.extend(more(&asked, &requests(node)?));
    ensure!(pids()? == before, "one of them was started again meanwhile");
    Ok(figures)
}

/// Who runs as the node's unit.
fn unit(node: &Node) -> Result<String> {
    let pid =
        fs::read_to_string(node.path(PID)).context("`slipway checkpoint node` does not run")?;
    Ok(pid.trim().to_owned())
}

/// Who runs in the pod.
fn cluster(node: &Node) -> Result<String> {
    for entry in fs::read_dir(node.path("/proc"))? {
        let entry = entry?;
        // A process that has ended meanwhile has no command line.
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split('\0').skip(1);
        if CLUSTER.iter().all(|word| words.next() == Some(word)) {
            return Ok(entry.file_name().to_string_lossy().into_owned());
        }
    }
    bail!("`slipway checkpoint cluster` does not run")
}

fn requests(node: &Node) -> Result<BTreeMap<String, f64>> {
    let all = counted(&node.kubectl(&["get", "--raw", "/metrics"], "")?)?;
    ensure!(!all.is_empty(), "the API server counts no requests");
    Ok(all)
}

/// The requests for objects that the API server has answered, by verb and resource. A watch counts when it has ended.
fn counted(metrics: &str) -> Result<BTreeMap<String, f64>> {
    let mut all = BTreeMap::new();
    for line in metrics.lines() {
        let Some(labels) = line.strip_prefix("apiserver_request_total{") else {
            continue;
        };
        let label = |name: &str| {
            let (_, rest) = labels.split_once(&format!(",{name}=\""))?;
            rest.split('"').next()
        };
        let named = label("verb").zip(label("resource"));
        let (verb, resource) = named.with_context(|| format!("of what is {line}"))?;
        let count = line.rsplit(' ').next().and_then(|count| count.parse().ok());
        let count: f64 = count.with_context(|| format!("no number in {line}"))?;
        if !resource.is_empty() {
            *all.entry(format!("{REQUESTS} {verb} {resource}"))
                .or_default() += count;
        }
    }
    Ok(all)
}

/// How many more there are of each, and of all.
fn more(before: &BTreeMap<String, f64>, now: &BTreeMap<String, f64>) -> Figures {
    let more = now.iter().map(|(name, count)| {
        let before = before.get(name).copied().unwrap_or_default();
        (name.clone(), count - before)
    });
    let mut more: Figures = more.filter(|(_, count)| *count > 0.0).collect();
    let sum = more.values().sum();
    more.insert(REQUESTS.to_owned(), sum);
    more
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_for_objects_are_counted_by_verb_and_resource() {
        let line = |code: u32, resource: &str, verb: &str, count: u32| {
            format!(
                "apiserver_request_total{{code=\"{code}\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"{resource}\",\
                 scope=\"resource\",subresource=\"\",verb=\"{verb}\",version=\"v1\"}} {count}\n"
            )
        };
        let before = line(200, "secrets", "GET", 2) + &line(200, "pods", "LIST", 7);
        let now = "# TYPE apiserver_request_total counter\n".to_owned()
            + &line(200, "secrets", "GET", 4)
            + &line(404, "secrets", "GET", 1)
            + &line(200, "pods", "LIST", 7)
            + &line(200, "", "GET", 90);
        let more = more(&counted(&before).unwrap(), &counted(&now).unwrap());
        let expected = [
            ("idle_api_requests", 3.0),
            ("idle_api_requests GET secrets", 3.0),
        ];
        assert_eq!(more, named(&expected));
        assert!(counted("apiserver_request_total{} 1").is_err());
    }
}
