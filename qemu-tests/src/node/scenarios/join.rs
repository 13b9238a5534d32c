//! A worker joins: from its document alone, over the switch, with everything that a pod needs there.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::node::launch;
use crate::node::native::{Node, NodeSpec};
use crate::node::network::Network;
use crate::node::services;
use crate::scenario::Context;
use crate::scenarios::{Kubectl, cluster, pods};
use crate::wait;

/// The worker's name.
pub const WORKER: &str = "worker-1";
const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
/// How long a kubelet that joins may take to be given its certificates.
const PATIENCE: Duration = Duration::from_secs(120);
/// Which nodes the control plane takes.
pub const NODES: &str = "nodes:\n  names: [node-a, \"worker-*\"]\n  addresses: [10.77.0.0/24]\n";

pub fn worker(context: &Context) -> Result<()> {
    let network = Network::create(context)?;
    let mut control_plane = Node::create(context, NodeSpec::default().on(&network))?;
    let spec = NodeSpec::new(WORKER, "10.77.0.3").on(&network);
    let mut worker = Node::create(context, spec)?;
    control_plane.boot()?;
    let document = launch::document(control_plane.spec(), NODES);
    launch::up_to_start(&control_plane, &document)?;
    launch::start_to_the_end(&control_plane)?;

    worker.boot()?;
    launch::up_to_start(&worker, &joining(&control_plane, worker.spec())?)?;
    is_ready(&control_plane)?;
    serving_certificate_is_approved(&control_plane)?;
    start_is_refused(&worker)?;

    // Whatever is asked for from now on runs on the worker.
    control_plane.kubectl(&["cordon", "node-a"], "")?;
    pods::deploy(&control_plane, pods::INTERVAL)?;
    runs_on_the_worker(&control_plane)?;
    // Logs and shells go through the worker's kubelet, whose certificate the API server verifies.
    pods::resolve_and_reach(&control_plane)?;

    // What it has now is its own: the token is not needed again.
    worker.power_cut()?;
    fs::remove_file(worker.path("/etc/kubernetes/bootstrap-kubeconfig"))?;
    worker.boot()?;
    services::start(&worker)?;
    answers_again(&control_plane)
}

/// The worker's document: three things of the control plane's, which its person carries over.
pub fn joining(control_plane: &Node, worker: &NodeSpec) -> Result<String> {
    let assets = control_plane.path(launch::ASSETS);
    let read = |file: &str| {
        let path = assets.join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let authority: String = read("tls/ca.crt")?
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect();
    let (token, server) = (read("auth/bootstrap-token")?, &control_plane.spec().address);
    let more = format!(
        "role: worker\njoin:\n  server: {server}:6443\n  token: {}\n  authority: |\n{authority}",
        token.trim_end()
    );
    Ok(launch::document(worker, &more))
}

/// Waits until the worker and everything else is Ready.
pub fn is_ready(cluster: &Node) -> Result<()> {
    wait::until("Node of the worker", PATIENCE, || {
        cluster.get(&format!("/api/v1/nodes/{WORKER}"))
    })?;
    cluster::wait_until_ready(cluster)?;
    let node = cluster.get(&format!("/api/v1/nodes/{WORKER}"))?;
    let labels = node["metadata"]["labels"].to_string();
    ensure!(
        !labels.contains("control-plane"),
        "the worker calls itself more: {labels}"
    );
    Ok(())
}

fn serving_certificate_is_approved(cluster: &Node) -> Result<()> {
    wait::until("serving certificate", PATIENCE, || {
        let requests = cluster.list(REQUESTS)?;
        let of = |signer: &str, user: &str| {
            let found = requests.iter().find(|request| {
                let spec = &request["spec"];
                let asks = spec["username"].as_str().unwrap_or_default();
                spec["signerName"] == signer && asks.starts_with(user)
            });
            found.with_context(|| format!("{user} asked {signer} for nothing"))
        };
        let client = of(
            "kubernetes.io/kube-apiserver-client-kubelet",
            "system:bootstrap:",
        )?;
        is_issued(client, "SlipwayNodeClient")?;
        let user = format!("system:node:{WORKER}");
        let serving = of("kubernetes.io/kubelet-serving", &user)?;
        is_issued(serving, "SlipwayKubeletServing")
    })
}

fn is_issued(request: &Value, reason: &str) -> Result<()> {
    let status = &request["status"];
    let condition = &status["conditions"][0];
    ensure!(
        condition["type"] == "Approved" && condition["reason"] == reason,
        "{reason} is missing: {status}"
    );
    ensure!(status["certificate"].is_string(), "not signed yet");
    Ok(())
}

fn start_is_refused(worker: &Node) -> Result<()> {
    let finished = launch::start(worker)?.wait()?;
    ensure!(
        finished.ended.code() == Some(6) && finished.stderr.contains("joins by itself"),
        "{finished:?}"
    );
    Ok(())
}

/// Every pod of the probers runs on the worker.
pub fn runs_on_the_worker(cluster: &Node) -> Result<()> {
    for pod in cluster.list("/api/v1/namespaces/probe/pods")? {
        let (name, node) = (cluster::name(&pod), &pod["spec"]["nodeName"]);
        ensure!(node == WORKER, "{name} runs on {node}");
    }
    Ok(())
}

/// The kubelet serves logs again with the certificates that it had, and so do the pods what they serve.
fn answers_again(cluster: &Node) -> Result<()> {
    cluster::wait_until_ready(cluster)?;
    pods::resolve_and_reach(cluster)
}
