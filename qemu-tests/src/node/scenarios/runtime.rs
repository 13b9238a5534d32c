//! What runs, on the container runtime's and the kubelet's word, on a node whose API does not answer: it
//! was rendered, its kubelet starts etcd from its static pod, and nobody launches it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use slipway::node::cri::{self, Runtime, Sandbox, kubelet_pods};

use crate::node::launch;
use crate::node::native::{Node, NodeSpec};
use crate::node::process::Program;
use crate::node::services;
use crate::scenario::Context;
use crate::wait;

/// Enough for etcd to start on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);
const GRACE: Duration = Duration::from_secs(10);

pub fn run(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    let mut runtime = Runtime::new(&node.path(cri::CONTAINERD));
    unknown(&mut runtime, "containerd has not started")?;
    services::start_containerd(&node)?;
    let listed = runtime.sandboxes()?;
    ensure!(listed.is_empty(), "an empty runtime lists {listed:?}");

    launch::prepare(&node, &launch::document(node.spec(), ""))?.success()?;
    ensure!(
        kubelet_pods(&kubelet(&node)).is_err(),
        "a kubelet that has not started knows pods"
    );
    services::start_kubelet(&node)?;
    let first = running_etcd(&mut runtime, "")?;
    only_etcd_is_known(&node)?;

    runtime.end(&first.id, GRACE)?;
    let ended = find(&mut runtime, &first.id)?;
    ensure!(!ended.runs() && !ended.ready, "it runs still: {ended:?}");
    runtime
        .end(&first.id, GRACE)
        .context("it cannot be ended twice")?;
    // The kubelet wants it, so it comes again.
    let second = running_etcd(&mut runtime, &first.id)?;
    ensure!(
        second.uid == first.uid,
        "{second:?} is another pod than {first:?}"
    );

    systemctl(&node, "stop")?;
    unknown(&mut runtime, "containerd was stopped")?;
    systemctl(&node, "start")?;
    let again = wait::until("list after containerd's restart", LIMIT, || {
        find(&mut runtime, &second.id)
    })?;
    ensure!(again.runs(), "etcd ended with containerd: {again:?}");
    runtime.end("no-such-sandbox", GRACE)
}

fn systemctl(node: &Node, order: &str) -> Result<()> {
    let order = Program::new(["systemctl", order, "containerd.service"]);
    node.run(&order)?.success().map(drop)
}

fn kubelet(node: &Node) -> PathBuf {
    node.path(cri::KUBELET)
}

/// Nobody who could answer: that is no empty list.
fn unknown(runtime: &mut Runtime, when: &str) -> Result<()> {
    match runtime.sandboxes() {
        Ok(listed) => bail!("{when}, and it lists {listed:?}"),
        Err(error) => {
            let text = format!("{error:#}");
            ensure!(text.contains("does containerd run?"), "{when}: {text}");
            Ok(())
        }
    }
}

fn find(runtime: &mut Runtime, id: &str) -> Result<Sandbox> {
    let mut listed = runtime.sandboxes()?.into_iter();
    listed
        .find(|sandbox| sandbox.id == id)
        .with_context(|| format!("the sandbox {id} is gone"))
}

/// Waits for etcd's sandbox, another than `former`, with one container that runs.
fn running_etcd(runtime: &mut Runtime, former: &str) -> Result<Sandbox> {
    wait::until("etcd that runs", LIMIT, || {
        let listed = runtime.sandboxes()?;
        let is_etcd = |one: &&Sandbox| {
            let running = one.containers.iter().filter(|container| container.running);
            (one.namespace.as_str(), one.name.as_str()) == ("kube-system", "etcd-node-a")
                && one.ready
                && one.id != former
                && running.map(|container| &container.name).eq(["etcd"])
        };
        let found = listed.iter().find(is_etcd).cloned();
        found.with_context(|| format!("the runtime lists {listed:?}"))
    })
}

/// The kubelet answers although it has met no API since its start, and lists its static pods only.
fn only_etcd_is_known(node: &Node) -> Result<()> {
    let known = kubelet_pods(&kubelet(node))?;
    let expected = [("kube-system".to_owned(), "etcd-node-a".to_owned())];
    ensure!(known == expected, "the kubelet knows {known:?}");
    Ok(())
}
