//! Another authority below which a worker lives too: both are a person's own, and the steps on the worker are
//! those of docs/certificates.md.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::authority::{keep, refused, step, the_old_one_is_refused};
use super::{good, seen_in_pod, shown, shown_everywhere};
use crate::node::authority::Kind;
use crate::node::launch::{self, ASSETS, MACHINE};
use crate::node::native::{Node, NodeSpec};
use crate::node::network::Network;
use crate::node::process::Program;
use crate::node::scenarios::join::{self, NODES, WORKER, joining};
use crate::node::scenarios::own::Own;
use crate::scenario::Context;
use crate::scenarios::{Kubectl, cluster, pods, rollout, until};

/// The cluster gives a worker its name again a minute after it missed it; all else takes seconds.
const REJOINED: Duration = Duration::from_secs(240);

pub fn rotate_worker(context: &Context) -> Result<()> {
    let (old, new) = (
        Own::make(&context.work.join("old"), Kind::Rsa)?,
        Own::make(&context.work.join("new"), Kind::Ec)?,
    );
    let (node, worker) = launched(context, &old)?;

    keep(&node)?;
    refused(&node, "trust", "certificates.authority is still the one")?;
    fs::write(node.path(MACHINE), document(&node, &new)?)?;
    rotate(&node, &worker)?;

    shown_everywhere(&node)?;
    let address = &*worker.spec().address;
    the_old_one_is_refused(&node, &[address])?;
    new.is_enough(&node, &old)?;
    cluster::wait_until_ready(&node)?;
    good(&seen_in_pod(&worker)?)?;
    // Logs and shells; who cannot wait for five minutes restarts the API server.
    rollout::restart(&node, "daemonset/kube-apiserver")?;
    pods::resolve_and_reach(&node)
}

/// A cluster below this authority, whose worker has the probers' pods.
fn launched(context: &Context, own: &Own) -> Result<(Node, Node)> {
    let network = Network::create(context)?;
    let mut node = Node::create(context, NodeSpec::default().on(&network))?;
    let spec = NodeSpec::new(WORKER, "10.77.0.3").on(&network);
    let mut worker = Node::create(context, spec)?;
    node.boot()?;
    launch::up_to_start(&node, &document(&node, own)?)?;
    launch::start_to_the_end(&node)?;
    worker.boot()?;
    launch::up_to_start(&worker, &joining(&node, worker.spec())?)?;
    join::is_ready(&node)?;
    node.kubectl(&["cordon", "node-a"], "")?;
    pods::deploy(&node, pods::INTERVAL)?;
    join::runs_on_the_worker(&node)?;
    Ok((node, worker))
}

/// The three steps, each with its own on the worker.
fn rotate(node: &Node, worker: &Node) -> Result<()> {
    let told = step(node, "trust")?;
    ensure!(
        told.contains(&format!("each of the nodes {WORKER} needs")),
        "it does not name the worker: {told}"
    );
    trust(node, worker)?;
    step(node, "reissue")?;
    refused(node, "drop", &format!("the kubelet of {WORKER}"))?;
    // It is a node that joins, under the name that it had.
    let forget = "rm /var/lib/kubelet/pki/kubelet-*.pem";
    worker.run(&Program::new(["sh", "-c", forget]))?.success()?;
    follow(node, worker)?;
    let signer = format!("{ASSETS}/tls/ca-signer.crt");
    let kubelet = format!("{}:10250", worker.spec().address);
    until(node, "new serving certificate", REJOINED, || {
        shown(node, &kubelet, &signer)?.success()
    })?;
    step(node, "drop")?;
    trust(node, worker)
}

/// The worker trusts whom the asset directory does, its pods too.
fn trust(node: &Node, worker: &Node) -> Result<()> {
    follow(node, worker)?;
    let wanted = fs::read_to_string(node.path(ASSETS).join("tls/ca.crt"))?;
    until(node, "new authority in every pod", REJOINED, || {
        let copies = copies(&worker.path("/var/lib/kubelet/pods"))?;
        ensure!(!copies.is_empty(), "there is no pod");
        ensure!(
            copies.iter().all(|copy| copy.trim() == wanted.trim()),
            "not yet"
        );
        Ok(())
    })
}

/// What every step on a worker ends with: the control plane's things into its document, and a restart.
fn follow(node: &Node, worker: &Node) -> Result<()> {
    fs::write(worker.path(MACHINE), joining(node, worker.spec())?)?;
    for program in [
        ["slipway", "render"].as_slice(),
        &["systemctl", "restart", "kubelet"],
    ] {
        worker
            .run(&Program::new(program.iter().copied()))?
            .success()?;
    }
    Ok(())
}

/// Every pod's copy of the authorities, below the kubelet's folder of pods.
fn copies(pods: &Path) -> Result<Vec<String>> {
    let mut copies = Vec::new();
    for pod in fs::read_dir(pods)? {
        let volumes = pod?.path().join("volumes/kubernetes.io~projected");
        let Ok(volumes) = fs::read_dir(volumes) else {
            continue;
        };
        for volume in volumes {
            let copy = volume?.path().join("ca.crt");
            copies.push(fs::read_to_string(&copy).with_context(|| copy.display().to_string())?);
        }
    }
    Ok(copies)
}

fn document(node: &Node, own: &Own) -> Result<String> {
    let more = format!("{NODES}{}", own.document()?);
    Ok(launch::document(node.spec(), &more))
}
