//! A renewal: everything is new, nobody notices, and another one finds nothing to do.

use std::fs;
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{launched, launched_static, shown_everywhere, slipway, under_the_prober, unnoticed};
use crate::node::native::Node;
use crate::scenario::Context;
use crate::scenarios::{Kubectl, cluster, pods};

/// What Prometheus reads.
const METRICS: &str = "/var/lib/slipway/metrics.prom";

pub fn renew(context: &Context) -> Result<()> {
    let node = launched(context)?;
    let before = shown_everywhere(&node)?;
    let report = under_the_prober(&node, |node| {
        let renewed = slipway(node, &["certs", "renew", "--all"])?.success()?;
        ensure!(
            renewed.contains("tls/apiserver is new: asked for"),
            "the renewal does not say what is new: {renewed}"
        );
        Ok(())
    })?;
    unnoticed(&report)?;
    differ(&before, &shown_everywhere(&node)?)?;
    listed(&node)?;
    second_renewal_changes_nothing(&node)?;
    cluster::wait_until_ready(&node)?;
    pods::resolve_and_reach(&node)
}

/// The same with static pods: who asks meanwhile notices, because there is one API server, but every one of
/// them comes back with its new certificate.
pub fn renew_static(context: &Context) -> Result<()> {
    let node = launched_static(context)?;
    let before = shown_everywhere(&node)?;
    let renewed = slipway(&node, &["certs", "renew", "--all"])?.success()?;
    for pod in [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ] {
        let line = format!("static pod {pod} restarts");
        ensure!(
            renewed.contains(&line),
            "it does not say `{line}`: {renewed}"
        );
    }
    differ(&before, &shown_everywhere(&node)?)?;
    second_renewal_changes_nothing(&node)?;
    cluster::wait_until_ready(&node)
}

/// Every door shows another certificate than before.
pub fn differ(before: &[(String, String)], after: &[(String, String)]) -> Result<()> {
    for ((door, old), (_, new)) in before.iter().zip(after) {
        ensure!(old != new, "{door} still shows its former certificate");
    }
    Ok(())
}

/// The list and the metric know the new certificate and when it ends.
fn listed(node: &Node) -> Result<()> {
    let list = slipway(node, &["certs", "list", "--output=json"])?.success()?;
    let list: Value = serde_json::from_str(&list)?;
    let all = list["certificates"].as_array().into_iter().flatten();
    let mut all = all.filter(|one| one["name"] == "tls/apiserver");
    let one = all
        .next()
        .context("the API server's certificate is not listed")?;
    let left = one["secondsLeft"].as_i64().unwrap_or_default();
    ensure!(
        one["action"] == "none" && (1..=2 * 3600).contains(&left),
        "the list says {one}"
    );
    let metrics = fs::read_to_string(node.path(METRICS))?;
    let line = metrics
        .lines()
        .find(|line| line.contains("name=\"tls/apiserver\""))
        .context("the API server's certificate has no metric")?;
    let ends = line
        .rsplit(' ')
        .next()
        .and_then(|text| text.parse::<u64>().ok());
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_secs();
    ensure!(
        ends.is_some_and(|ends| ends > now && ends <= now + 2 * 3600),
        "the metric says {line}"
    );
    Ok(())
}

/// Node and cluster are as the asset directory.
pub fn second_renewal_changes_nothing(node: &Node) -> Result<()> {
    let before = (marks(node)?, shown_everywhere(node)?);
    let again = slipway(node, &["certs", "renew"])?.success()?;
    ensure!(
        again.contains("no certificate has to be renewed"),
        "the second renewal says: {again}"
    );
    let after = (marks(node)?, shown_everywhere(node)?);
    ensure!(
        before == after,
        "the second renewal changed something: {before:?} became {after:?}"
    );
    Ok(())
}

/// What changes when somebody writes to the control plane's Secrets or workloads.
fn marks(node: &Node) -> Result<Vec<(String, Value)>> {
    let mut marks = Vec::new();
    for path in [
        "api/v1/namespaces/kube-system/secrets",
        "apis/apps/v1/namespaces/kube-system/daemonsets",
    ] {
        for object in node.list(&format!("/{path}"))? {
            let metadata = &object["metadata"];
            let mark = match metadata["generation"].is_null() {
                true => &metadata["resourceVersion"],
                false => &metadata["generation"],
            };
            marks.push((cluster::name(&object).to_owned(), mark.clone()));
        }
    }
    ensure!(!marks.is_empty(), "there are no Secrets");
    marks.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(marks)
}
