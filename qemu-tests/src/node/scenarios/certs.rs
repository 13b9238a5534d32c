//! The life of certificates: renewed in a cluster that runs, while somebody keeps asking it.

use std::fs;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use qemu_tests::probe::{Kind, Report};
use serde_json::Value;

use crate::node::launch::{self, ASSETS};
use crate::node::native::{Node, NodeSpec};
use crate::node::process::{Finished, Program};
use crate::scenario::Context;
use crate::scenarios::{Kubectl, cluster, pods};

/// How long a step may take here: after five minutes an API server looks again at whom kubelets show.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// Long enough that nothing is due before it is ordered, and short enough that nobody takes it for a default.
pub(super) const LIFETIMES: &str = "certificates:\n  lifetimes:\n    leaf: 2h\n";

/// A renewal takes a second; whoever notices it late is seen too.
const AFTERWARDS: Duration = Duration::from_secs(15);

pub(super) const EXIT_REFUSED: i32 = 6;

/// What Prometheus reads.
const METRICS: &str = "/var/lib/slipway/metrics.prom";

/// Where the API server and etcd are reached, and the asset that each has to show.
fn doors(node: &Node) -> [(String, &'static str, &'static str); 2] {
    let door = |port| format!("{}:{port}", node.spec().address);
    [
        (door(6443), "tls/apiserver.crt", "tls/ca.crt"),
        (door(2379), "tls/etcd/server.crt", "tls/etcd-client-ca.crt"),
    ]
}

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
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    let document = launch::document(node.spec(), &format!("{LIFETIMES}controlPlane: static\n"));
    launch::up_to_start(&node, &document)?;
    launch::start_to_the_end(&node)?;
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

fn differ(before: &[(String, String)], after: &[(String, String)]) -> Result<()> {
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

/// Files of the asset directory as they were before the rotation, which nobody may take any more.
const OLD: &str = "/root/old";
const KEPT: [&str; 3] = ["ca.crt", "admin.crt", "admin.key"];

pub fn rotate(context: &Context) -> Result<()> {
    let node = launched(context)?;
    fs::create_dir_all(node.path(OLD))?;
    for file in KEPT {
        let from = node.path(ASSETS).join("tls").join(file);
        fs::copy(from, node.path(OLD).join(file))?;
    }
    let early = slipway(&node, &["certs", "rotate", "reissue"])?;
    ensure!(
        early.ended.code() == Some(EXIT_REFUSED) && early.stderr.contains("certs rotate trust"),
        "a step before its time: {early:?}"
    );
    let report = under_the_prober(&node, |node| {
        let trusted = step(node, "trust")?;
        ensure!(
            trusted.contains("Deployment probe/prober"),
            "it does not name the pod that somebody else has to restart: {trusted}"
        );
        step(node, "reissue")?;
        // Again: there is nothing left to do but to look.
        step(node, "reissue")?;
        step(node, "drop").map(drop)
    })?;
    unnoticed(&report)?;
    shown_everywhere(&node)?;
    the_old_authority_is_refused(&node)?;
    cluster::wait_until_ready(&node)
}

/// How kubectl tells of a 401 with a Status of the API, and of one without.
const UNAUTHORISED: [&str; 2] = [
    "Unauthorized",
    "asked for the client to provide credentials",
];

pub(super) fn step(node: &Node, step: &str) -> Result<String> {
    let done = slipway(node, &["certs", "rotate", step])?;
    done.success().with_context(|| format!("the step {step}"))
}

/// Whoever trusts only the old authority refuses the API server and the kubelet, and both refuse whoever
/// shows a certificate of it.
fn the_old_authority_is_refused(node: &Node) -> Result<()> {
    let address = &node.spec().address;
    for (port, path) in [(6443, "/api/v1/namespaces"), (10250, "/pods")] {
        let door = format!("{address}:{port}");
        shown(node, &door, &format!("{ASSETS}/tls/ca.crt"))?.success()?;
        let distrusted = shown(node, &door, &format!("{OLD}/ca.crt"))?;
        ensure!(
            distrusted.ended.code() == Some(1) && distrusted.stderr.contains("UnknownIssuer"),
            "the old authority proves {door}: {distrusted:?}"
        );
        let old = ask(node, &door, path, OLD)?;
        ensure!(
            old.ended.code() == Some(1) && UNAUTHORISED.iter().any(|one| old.stderr.contains(one)),
            "{door} takes a certificate of the old authority: {old:?}"
        );
        ask(node, &door, path, &format!("{ASSETS}/tls"))?.success()?;
    }
    Ok(())
}

/// Asks as the administrator whose certificate lies in a folder.
fn ask(node: &Node, door: &str, path: &str, folder: &str) -> Result<Finished> {
    let server = format!("--server=https://{door}");
    let authority = format!("--certificate-authority={ASSETS}/tls/ca.crt");
    let certificate = format!("--client-certificate={folder}/admin.crt");
    let key = format!("--client-key={folder}/admin.key");
    let program = ["kubectl", &server, &authority, &certificate, &key];
    node.run(&Program::new(
        [&program[..], &["get", "--raw", path]].concat(),
    ))
}

/// A node with a cluster and a pod in it that asks the API.
pub(super) fn launched(context: &Context) -> Result<Node> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launch::up_to_start(&node, &launch::document(node.spec(), LIFETIMES))?;
    launch::start_to_the_end(&node)?;
    pods::deploy(&node, pods::INTERVAL)?;
    cluster::wait_until_ready(&node)?;
    Ok(node)
}

pub(super) fn slipway(node: &Node, arguments: &[&str]) -> Result<Finished> {
    let program = Program::new([&["slipway"], arguments].concat());
    node.start(&program.log(&arguments.join("-")))?
        .wait_within(PATIENCE)
}

/// What every prober saw from before `act` until after it: outside the cluster and in a pod.
fn under_the_prober(node: &Node, act: impl FnOnce(&Node) -> Result<()>) -> Result<Report> {
    let prober = launch::probe(node)?;
    act(node)?;
    std::thread::sleep(AFTERWARDS);
    let in_pod = seen_in_pod(node)?;
    let mut report = launch::end_probe(node, prober)?;
    report.series.extend(in_pod.series);
    Ok(report)
}

/// What the prober in the pod has seen, read where the kubelet keeps it: the way through the API server may
/// be closed for some minutes after a rotation.
fn seen_in_pod(node: &Node) -> Result<Report> {
    let pods = node.logs().join("pods");
    for folder in fs::read_dir(&pods)? {
        let folder = folder?.path();
        let log = folder.join("prober/0.log");
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("probe_prober-") || !log.exists() {
            continue;
        }
        let text = fs::read_to_string(log)?;
        let last = text.lines().rfind(|line| line.ends_with('}'));
        let report = last.and_then(|line| Some(&line[line.find('{')?..]));
        return serde_json::from_str(report.context("the pod has said nothing")?)
            .context("the pod's report cannot be read");
    }
    anyhow::bail!("the prober's pod has no log in {}", pods.display())
}

/// No request failed that one repetition did not cure, and nobody was turned away.
fn unnoticed(report: &Report) -> Result<()> {
    ensure!(report.series.len() == 5, "five series are due: {report:?}");
    for series in &report.series {
        let (user, door, asked) = (&series.user, &series.door, series.requests);
        ensure!(asked > 20, "{user} asked {door} only {asked} times");
    }
    let bad: Vec<_> = report
        .failures()
        .filter(|(_, failure)| !failure.cured || failure.kind == Kind::Forbidden)
        .collect();
    ensure!(bad.is_empty(), "somebody noticed: {bad:?}");
    Ok(())
}

/// The certificate at each door, which is that of the asset directory.
pub(super) fn shown_everywhere(node: &Node) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for (door, asset, authority) in doors(node) {
        let authority = format!("{ASSETS}/{authority}");
        let shown = shown(node, &door, &authority)?.success()?.trim().to_owned();
        ensure!(
            shown == body(node, asset)?,
            "{door} does not show {asset} of the asset directory"
        );
        all.push((door, shown));
    }
    Ok(all)
}

/// Asks a server for its certificate, trusting a file's authorities only.
fn shown(node: &Node, door: &str, authority: &str) -> Result<Finished> {
    node.run(&Program::new(["prober", "--shown", door, authority]))
}

/// The first certificate of a PEM file of the asset directory, in base64 on one line.
fn body(node: &Node, asset: &str) -> Result<String> {
    let pem = fs::read_to_string(node.path(ASSETS).join(asset))?;
    let lines = pem.lines().skip(1);
    Ok(lines.take_while(|line| !line.starts_with('-')).collect())
}

pub(super) fn second_renewal_changes_nothing(node: &Node) -> Result<()> {
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
