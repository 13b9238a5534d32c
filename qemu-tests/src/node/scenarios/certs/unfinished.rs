//! What a killed or careless run leaves, and that the next one sees it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::authority::step;
use super::renew::second_renewal_changes_nothing;
use super::{
    PATIENCE, is_refused, launched, launched_static, shown_everywhere, slipway, was_killed,
};
use crate::node::launch::{self, MANIFESTS};
use crate::node::native::Node;
use crate::node::process::Program;
use crate::scenario::Context;
use crate::scenarios::{Kubectl, cluster};

const PODS: [&str; 3] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
];

/// On a static pod: the fingerprint of all that it reads.
const SECRETS: &str = "slipway.dev/secrets";

/// A renewal of static pods that is killed once a manifest is written: the next one ends only when the pod runs
/// what that manifest says, though it has nothing to write itself.
pub fn renew_static_killed(context: &Context) -> Result<()> {
    let node = launched_static(context)?;
    for (pod, arguments) in [(PODS[0], &["--all"][..]), (PODS[1], &[])] {
        kill_once_written(&node, pod, arguments)?;
        // Not into a log, which would have the runs before as well.
        let again = node.start(&Program::new(["slipway", "certs", "renew"]))?;
        let again = again.wait_within(PATIENCE)?.success()?;
        let line = format!("static pod {pod} restarts");
        ensure!(
            !again.contains(&line),
            "the killed run had not written it: {again}"
        );
        for pod in PODS {
            runs_its_manifest(&node, pod)?;
        }
        shown_everywhere(&node)?;
        age(&node)?;
    }
    slipway(&node, &["certs", "renew"])?.success()?;
    second_renewal_changes_nothing(&node)?;
    cluster::wait_until_ready(&node)
}

/// Kills a renewal at the first instant in which a static pod's manifest is another.
fn kill_once_written(node: &Node, pod: &str, arguments: &[&str]) -> Result<()> {
    let path = node.path(MANIFESTS).join(format!("{pod}.yaml"));
    let before = fs::read(&path)?;
    let program = launch::held(&[&["slipway", "certs", "renew"], arguments].concat());
    let renewal = node.start(&program.log("certs-killed"))?;
    node.kill_when(&renewal, || fs::read(&path).is_ok_and(|now| now != before))
        .with_context(|| format!("cannot kill it at {pod}"))?;
    was_killed(&renewal.wait()?)
}

/// Makes the controller-manager's and the scheduler's certificates due, as time would.
fn age(node: &Node) -> Result<()> {
    for pod in &PODS[1..] {
        let path = format!("{}/tls/{pod}.crt", launch::ASSETS);
        fs::remove_file(node.path(path))?;
    }
    Ok(())
}

/// Right now, as the kubelet tells of it, and not some time later.
fn runs_its_manifest(node: &Node, pod: &str) -> Result<()> {
    let text = fs::read_to_string(node.path(MANIFESTS).join(format!("{pod}.yaml")))?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(SECRETS));
    let wanted = line.context("the manifest has no fingerprint")?;
    let wanted = wanted.trim_start_matches([':', ' ']).trim_matches('"');
    let pods = node.list("/api/v1/namespaces/kube-system/pods")?;
    let mirror = pods
        .iter()
        .find(|one| cluster::name(one).starts_with(&format!("{pod}-")))
        .with_context(|| format!("{pod} has no mirror pod"))?;
    let status = &mirror["status"]["containerStatuses"][0];
    ensure!(
        mirror["metadata"]["annotations"][SECRETS] == wanted && status["ready"] == true,
        "{pod} should run {wanted}: {} {status}",
        mirror["metadata"]["annotations"]
    );
    Ok(())
}

/// A rotation may not begin while something of a former one is left; and whoever comes second is told.
pub fn rotate_unfinished(context: &Context) -> Result<()> {
    let node = launched(context)?;
    the_kubelets_own_are_listed(&node)?;
    let mark =
        r#"{"spec":{"template":{"metadata":{"annotations":{"slipway.dev/trusts":"another"}}}}}"#;
    let patch = [
        "--namespace=kube-system",
        "patch",
        "deployment/coredns",
        "--patch",
        mark,
    ];
    node.kubectl(&patch, "")?;
    let early = slipway(&node, &["certs", "rotate", "trust"])?;
    is_refused(&early, &["coredns was not restarted", "certs rotate drop"])?;
    ensure!(
        !node.path(launch::ASSETS).join("tls/ca-next.crt").exists(),
        "it began all the same"
    );
    one_at_a_time(&node)?;
    // What is left of the former rotation is done; another one may begin, and its first step again.
    step(&node, "trust")?;
    step(&node, "trust").map(drop)
}

/// While one run is at work, another is told which, and a launch waits for it.
fn one_at_a_time(node: &Node) -> Result<()> {
    let lock = node.path("/var/lib/slipway/.cluster.slipway-lock");
    let drop = Program::new(["slipway", "certs", "rotate", "drop"]).log("certs-rotate-drop");
    let mut first = node.start(&drop)?;
    while !lock_is_signed(&lock) {
        let ended = first.ends_within(Duration::from_millis(20))?;
        ensure!(!ended, "it ended before anybody saw it at work");
    }
    let second = slipway(node, &["certs", "renew"])?;
    is_refused(&second, &["slipway certs rotate (process ", "wait until"])?;
    let launch = slipway(node, &["start"])?.success()?;
    ensure!(launch.contains("nothing to do"), "start says: {launch}");
    ensure!(
        first.ends_within(Duration::from_secs(5))?,
        "start did not wait for it"
    );
    first.wait_within(PATIENCE)?.success().map(|_| ())
}

fn lock_is_signed(lock: &Path) -> bool {
    fs::read_to_string(lock).is_ok_and(|text| text.contains("process"))
}

/// The list has what this node's kubelet was issued, without its key. It asks for the first one only when the
/// rendered one is old, so that one lies here in its place, linked to as the kubelet links.
fn the_kubelets_own_are_listed(node: &Node) -> Result<()> {
    let pki = Path::new("/var/lib/kubelet/pki");
    let (file, link) = (
        pki.join("kubelet-client-1.pem"),
        pki.join("kubelet-client-current.pem"),
    );
    fs::create_dir_all(node.path(pki))?;
    let part = |ending| fs::read(node.path(format!("{}/kubelet/client.{ending}", launch::ASSETS)));
    fs::write(node.path(&file), [part("crt")?, part("key")?].concat())?;
    symlink(&file, node.path(&link))?;
    let listed = slipway(node, &["certs", "list", "--output=json"])?.success()?;
    let table = node.run(&Program::new(["slipway", "certs"]))?.success()?;
    // The kubelet must not begin with it when it restarts.
    fs::remove_file(node.path(&link))?;
    fs::remove_file(node.path(&file))?;
    ensure!(
        !(listed.contains("PRIVATE") || table.contains("PRIVATE")),
        "it prints a key"
    );
    ensure!(
        table.contains("kubelet-client-current.pem"),
        "the table says {table}"
    );
    let listed: Value = serde_json::from_str(&listed)?;
    let all = listed["certificates"].as_array().into_iter().flatten();
    let mut all = all.filter(|one| one["name"] == "kubelet-client-current");
    let one = all.next().context("the kubelet's own is not listed")?;
    let subject = format!("O=system:nodes, CN=system:node:{}", node.spec().name);
    ensure!(
        one["issuer"] == "tls/ca" && one["action"] == "none" && one["subject"] == *subject,
        "the list says {one}"
    );
    Ok(())
}
