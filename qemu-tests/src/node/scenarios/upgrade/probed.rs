//! What the probers see of a step of an upgrade, in judgement and in numbers.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use qemu_tests::probe::{Failure, Kind, Report, Series};
use serde_json::{Value, json};

use crate::node::launch;
use crate::node::native::Node;

/// What the issue allows an upgrade: requests on connections that the old process had just accepted.
const RESETS_ALLOWED: usize = 2;

/// What the probers on the node saw from before `act` until it was done.
pub fn under_the_probers(node: &Node, act: impl FnOnce(&Node) -> Result<()>) -> Result<Report> {
    let prober = launch::probe(node)?;
    let done = act(node);
    let report = launch::end_probe(node, prober);
    done?;
    report
}

/// The outcomes that are promised; how long anything took is a figure.
pub fn unrefused(report: &Report) -> Result<()> {
    let failures: Vec<_> = report.failures().collect();
    let of = |kind: Kind| failures.iter().filter(|(_, one)| one.kind == kind).count();
    ensure!(of(Kind::Refused) == 0, "somebody was refused: {failures:?}");
    ensure!(
        of(Kind::Closed) <= RESETS_ALLOWED,
        "too many connections were reset: {failures:?}"
    );
    // A process that starts knows nobody's roles; but for loopback, where it is its own client, nobody is sent to it.
    let is_forbidden = |one: &&(&Series, &Failure)| one.1.kind == Kind::Forbidden;
    let outside = failures.iter().filter(is_forbidden);
    let outside = outside.map(|(series, _)| &series.door);
    let outside: Vec<_> = outside.filter(|door| !door.starts_with("127.")).collect();
    ensure!(outside.is_empty(), "the next one was met at {outside:?}");
    let lost = failures
        .iter()
        .find(|(_, one)| one.kind != Kind::Forbidden && !one.cured);
    ensure!(lost.is_none(), "one retry did not cure {lost:?}");
    let emptied = &report.endpoints.emptied;
    ensure!(
        emptied.is_empty(),
        "default/kubernetes was emptied at {emptied:?}"
    );
    Ok(())
}

/// Everything in numbers, by who asked where.
pub fn seen(report: &Report) -> Value {
    let series: Vec<_> = report
        .series
        .iter()
        .map(|one| {
            let of = |kind: Kind| one.failures.iter().filter(|it| it.kind == kind).count();
            json!({
                "user": one.user,
                "door": one.door,
                "requests": one.requests,
                "longest_gap_s": one.longest_gap_ms / 1e3,
                "refused": of(Kind::Refused),
                "reset": of(Kind::Closed),
                "forbidden": of(Kind::Forbidden),
                "timed_out": of(Kind::TimedOut),
                "status": of(Kind::Status),
                "says": one.failures.iter().map(|it| &*it.message).collect::<BTreeSet<_>>(),
                "uncured": one.failures.iter().filter(|it| !it.cured).count(),
            })
        })
        .collect();
    json!({
        "series": series,
        "endpoints_emptied": report.endpoints.emptied.len(),
        "leader_gap_s": report.longest_vacancy_ms() / 1e3,
        "old_process_s": old_process(report),
    })
}

/// How long the process that was rolled out lived on after the next pod, if there is one, was seen Ready.
fn old_process(report: &Report) -> Option<f64> {
    let is_server = |name: &str| name == "kube-apiserver";
    let mut all = report.processes.iter().filter(|it| is_server(&it.name));
    let (seen, ended) = all.find_map(|process| Some((process.seen, process.ended?)))?;
    let next = report.ready_pods.iter();
    let mut next = next.filter(|it| is_server(&it.workload) && it.started >= seen.floor());
    Some(ended - next.next()?.ready)
}
