//! The life of certificates in a cluster that runs, while somebody keeps asking it: what its scenarios share.

mod authority;
mod killed;
mod renew;
mod rotate;
mod unfinished;
mod worker;

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use qemu_tests::probe::{Kind, Report};

pub use killed::killed;
pub use renew::{renew, renew_static, second_renewal_changes_nothing};
pub use rotate::rotate;
pub use unfinished::{renew_static_killed, rotate_unfinished};
pub use worker::rotate_worker;

use crate::node::launch::{self, ASSETS};
use crate::node::native::{Node, NodeSpec};
use crate::node::process::{Finished, Program};
use crate::scenario::Context;
use crate::scenarios::{cluster, pods};

/// How long a step may take here: after five minutes an API server looks again at whom kubelets show.
const PATIENCE: Duration = Duration::from_secs(600);

/// Long enough that nothing is due before it is ordered, and short enough that nobody takes it for a default.
const LIFETIMES: &str = "certificates:\n  lifetimes:\n    leaf: 2h\n";

/// A renewal takes a second; whoever notices it late is seen too.
const AFTERWARDS: Duration = Duration::from_secs(15);

pub const EXIT_REFUSED: i32 = 6;

/// Where the API server and etcd are reached, and the asset that each has to show.
fn doors(node: &Node) -> [(String, &'static str, &'static str); 2] {
    let door = |port| format!("{}:{port}", node.spec().address);
    [
        (door(6443), "tls/apiserver.crt", "tls/ca.crt"),
        (door(2379), "tls/etcd/server.crt", "tls/etcd-client-ca.crt"),
    ]
}

/// A node with a cluster and a pod in it that asks the API.
fn launched(context: &Context) -> Result<Node> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launch::up_to_start(&node, &launch::document(node.spec(), LIFETIMES))?;
    launch::start_to_the_end(&node)?;
    pods::deploy(&node, pods::INTERVAL)?;
    cluster::wait_until_ready(&node)?;
    Ok(node)
}

/// A node whose control plane is static pods.
fn launched_static(context: &Context) -> Result<Node> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    let document = launch::document(node.spec(), &format!("{LIFETIMES}controlPlane: static\n"));
    launch::up_to_start(&node, &document)?;
    launch::start_to_the_end(&node)?;
    Ok(node)
}

fn slipway(node: &Node, arguments: &[&str]) -> Result<Finished> {
    let program = Program::new([&["slipway"], arguments].concat());
    node.start(&program.log(&log(arguments)))?
        .wait_within(PATIENCE)
}

/// The log of a command; its next run goes on in it.
fn log(arguments: &[&str]) -> String {
    arguments.join("-")
}

/// What every prober saw from before `act` until after it: outside the cluster and in a pod.
pub fn under_the_prober(node: &Node, act: impl FnOnce(&Node) -> Result<()>) -> Result<Report> {
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

/// What all five of the probers saw is [`good`].
pub fn unnoticed(report: &Report) -> Result<()> {
    ensure!(report.series.len() == 5, "five series are due: {report:?}");
    good(report)
}

/// No request failed that one repetition did not cure, and nobody was turned away.
fn good(report: &Report) -> Result<()> {
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
fn shown_everywhere(node: &Node) -> Result<Vec<(String, String)>> {
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
pub fn shown(node: &Node, door: &str, authority: &str) -> Result<Finished> {
    node.run(&Program::new(["prober", "--shown", door, authority]))
}

/// The first certificate of a PEM file of the asset directory, in base64 on one line.
pub fn body(node: &Node, asset: &str) -> Result<String> {
    let pem = fs::read_to_string(node.path(ASSETS).join(asset))?;
    let lines = pem.lines().skip(1);
    Ok(lines.take_while(|line| !line.starts_with('-')).collect())
}

/// It was refused, and said so in these words.
fn is_refused(finished: &Finished, words: &[&str]) -> Result<()> {
    let said = &finished.stderr;
    ensure!(
        finished.ended.code() == Some(EXIT_REFUSED) && words.iter().all(|one| said.contains(one)),
        "it should refuse with {words:?}: {finished:?}"
    );
    Ok(())
}

/// It did not end by itself.
fn was_killed(finished: &Finished) -> Result<()> {
    ensure!(
        finished.ended.code().is_none(),
        "it was not killed: {finished:?}"
    );
    Ok(())
}
