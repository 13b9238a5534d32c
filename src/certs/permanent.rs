//! A control plane of static pods (`controlPlane: static`): their files, one pod after the other.
//!
//! A manifest holds a fingerprint of all that its pod reads, so the kubelet starts the pod anew when that has
//! changed, with or without an API. Whether the new one works is judged by what it does: the API server by
//! when its process was started, the others by their Lease, which each process holds under a name of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::cluster::{Cluster, NEXT_STEP};
use crate::assets::{Assets, STATIC_MANIFESTS};
use crate::kube::Client;
use crate::node::files::{self, below};
use crate::node::static_pods;
use crate::render::install::MANIFESTS;
use crate::report::Reporter;
use crate::start::wait::{Look, Wait, until};
use crate::start::{is_serving, lease};

const APISERVER: &str = "kube-apiserver";

/// Brings every static pod up to date, the API server first.
pub fn update(cluster: &Cluster<'_>, reporter: &mut Reporter) -> Result<()> {
    let assets = cluster.assets();
    let mut pods: Vec<_> = assets
        .below(STATIC_MANIFESTS)
        .map(|(file, _)| file)
        .collect();
    pods.sort_by_key(|file| name(file) != APISERVER);
    for file in pods {
        let root = &cluster.options().root;
        let before = process(&cluster.client, name(file));
        let changed = static_pods::install_one(assets, file, root, &below(root, MANIFESTS))?;
        if changed.is_empty() {
            continue;
        }
        reporter.line(format!("static pod {} restarts", name(file)));
        await_other(cluster, name(file), before.as_deref(), reporter)?;
        if name(file) == APISERVER {
            cluster.await_new_certificate(reporter)?;
        }
    }
    Ok(())
}

/// The static pods whose manifest in the kubelet's folder is another.
pub fn outdated(assets: &Assets, root: &Path) -> Result<Vec<String>> {
    let mut outdated = Vec::new();
    for (file, pod) in assets.below(STATIC_MANIFESTS) {
        let there = files::read_if_there(&below(root, MANIFESTS).join(file))?;
        if there.is_none_or(|there| there != pod.bytes.expose()) {
            outdated.push(format!("static pod {} was not restarted", name(file)));
        }
    }
    Ok(outdated)
}

fn name(file: &str) -> &str {
    file.trim_end_matches(".yaml")
}

/// What tells a component's process from the one before it; `None` if it does not answer.
fn process(client: &Client, component: &str) -> Option<String> {
    if component == APISERVER {
        return started(&client.text("/metrics").ok()?).map(str::to_owned);
    }
    let found = client.get(&lease::path(component)).ok()?;
    Some(lease::holder(&found).to_owned())
}

/// When a process was started, by its own metrics.
fn started(metrics: &str) -> Option<&str> {
    let mut lines = metrics.lines();
    lines.find_map(|line| line.strip_prefix("process_start_time_seconds "))
}

/// Waits until a component's process is another than `before`, and works.
fn await_other(
    cluster: &Cluster<'_>,
    component: &str,
    before: Option<&str>,
    reporter: &mut Reporter,
) -> Result<()> {
    let what = format!("the new {component} works");
    let wait = Wait {
        what: &what,
        deadline: Instant::now() + cluster.options().machine.timeouts.pods,
        every: Duration::from_millis(500),
        changes: None,
        next_step: NEXT_STEP,
    };
    until(reporter, wait, |_| {
        if let Err(why) = is_serving(&cluster.client) {
            return Ok(Look::NotYet(why));
        }
        Ok(match process(&cluster.client, component) {
            Some(now) if !now.is_empty() && Some(&*now) != before => Look::There(()),
            Some(_) => Look::NotYet("the former one is still there".to_owned()),
            None => Look::NotYet(format!("{component} does not tell who it is")),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start() {
        let metrics =
            "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1.79e+09\nx 1\n";
        assert_eq!(started(metrics), Some("1.79e+09"));
        assert_eq!(started("x 1\n"), None);
    }

    #[test]
    fn a_pod_whose_manifest_is_another_is_outdated() {
        let mut assets = Assets::default();
        for file in ["a", "b", "c"] {
            assets.add(format!("{STATIC_MANIFESTS}{file}.yaml"), "new");
        }
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [("a", "new"), ("b", "old")] {
            let path = below(dir.path(), MANIFESTS).join(format!("{file}.yaml"));
            files::write(&path, text.as_bytes(), files::PUBLIC).unwrap();
        }
        let expected = ["b", "c"].map(|pod| format!("static pod {pod} was not restarted"));
        assert_eq!(outdated(&assets, dir.path()).unwrap(), expected);
    }
}
