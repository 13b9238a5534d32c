//! `controlPlane: static`: launched, and there again after a power cut without anybody's help.

use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::{Result, ensure};

use super::launch::{kill_at, second_start_touches_nothing};
use crate::node::launch;
use crate::node::native::{Node, NodeSpec};
use crate::node::process::Program;
use crate::node::services;
use crate::scenario::Context;
use crate::scenarios::{cluster, pods};

/// What makes a document's control plane one of static pods.
pub const DOCUMENT: &str = "controlPlane: static\n";

/// What each static pod reads, no more.
const SECRETS: [(&str, &str); 3] = [
    (
        "kube-apiserver",
        "apiserver-kubelet-client.crt apiserver-kubelet-client.key apiserver.crt apiserver.key \
         authentication.yaml ca.crt etcd-client-ca.crt etcd-client.crt etcd-client.key \
         front-proxy-ca.crt front-proxy-client.crt front-proxy-client.key service-account.key \
         service-account.pub",
    ),
    (
        "kube-controller-manager",
        "ca-signer.crt ca.crt ca.key front-proxy-ca.crt kube-controller-manager.crt \
         kube-controller-manager.key kube-controller-manager.kubeconfig service-account.key",
    ),
    (
        "kube-scheduler",
        "ca.crt front-proxy-ca.crt kube-scheduler.crt kube-scheduler.key kube-scheduler.kubeconfig",
    ),
];

pub fn launch(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launch::up_to_start(&node, &launch::document(node.spec(), DOCUMENT))?;
    launch::start_to_the_end(&node)?;
    launched(&node)?;
    second_start_touches_nothing(&node, "already launched")?;
    another_kind_is_refused(&node)?;
    // Nobody but the kubelet brings it back.
    node.power_cut()?;
    node.boot()?;
    services::start(&node)?;
    works(&node)
}

/// Killed in every step that each run of it enters, and run again.
pub fn killed(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launch::up_to_start(&node, &launch::document(node.spec(), DOCUMENT))?;
    for step in ["start", "seed-etcd", "apply", "wait"] {
        kill_at(&node, step)?;
    }
    launch::start_to_the_end(&node)?;
    launched(&node)
}

fn launched(node: &Node) -> Result<()> {
    cluster::wait_until_ready(node)?;
    ensure!(
        node.path(launch::HANDED_OVER).exists(),
        "there is no done-marker"
    );
    let status = launch::json_file(node, launch::STATUS)?;
    let outcome = &status["outcome"];
    ensure!(outcome == "handed-over", "the stage record says {outcome}");
    let pods = names(node, launch::MANIFESTS)?;
    ensure!(
        pods == "etcd.yaml kube-apiserver.yaml kube-controller-manager.yaml kube-scheduler.yaml",
        "static pods: {pods}"
    );
    for (pod, expected) in SECRETS {
        let folder = format!("/etc/kubernetes/secrets/{pod}");
        let files = names(node, &folder)?;
        ensure!(files == expected, "{folder} holds {files}");
        for path in std::iter::once(folder.clone())
            .chain(files.split(' ').map(|file| format!("{folder}/{file}")))
        {
            let look = fs::metadata(node.path(&path))?;
            let mode = look.mode() & 0o777;
            let private = if look.is_dir() { 0o700 } else { 0o600 };
            ensure!(
                (look.uid(), mode) == (slipway::assets::CONTROL_PLANE_UID, private),
                "{path} is of user {} and mode {mode:o}",
                look.uid()
            );
        }
    }
    let temporary = node.path("/etc/kubernetes/bootstrap-secrets");
    ensure!(!temporary.exists(), "there are bootstrap secrets");
    Ok(())
}

/// The controllers and the scheduler make pods, and pods reach what they need.
fn works(node: &Node) -> Result<()> {
    // The API answers again; what it says is from before the power cut.
    cluster::wait_until_ready(node)?;
    pods::deploy(node, pods::INTERVAL)?;
    pods::resolve_and_reach(node)?;
    cluster::wait_until_ready(node)
}

/// The document may not turn a launched control plane into one of the other kind.
fn another_kind_is_refused(node: &Node) -> Result<()> {
    let manifests = names(node, launch::MANIFESTS)?;
    let other = launch::document(node.spec(), "controlPlane: self-hosted\n");
    fs::write(node.path("/tmp/other.yaml"), other)?;
    let render = Program::new(["slipway", "render", "--config", "/tmp/other.yaml"]);
    let refused = node.run(&render)?;
    ensure!(refused.ended.code() == Some(6), "not refused: {refused:?}");
    let said = format!("{}{}", refused.stdout, refused.stderr);
    ensure!(said.contains("is not converted"), "it says: {said}");
    ensure!(
        names(node, launch::MANIFESTS)? == manifests,
        "it touched them"
    );
    let assets = names(node, launch::ASSETS)?;
    ensure!(!assets.contains("bootstrap"), "it rendered {assets}");
    Ok(())
}

/// What is in a folder of the node but dot files, sorted.
fn names(node: &Node, folder: &str) -> Result<String> {
    let mut names: Vec<_> = fs::read_dir(node.path(folder))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names.join(" "))
}
