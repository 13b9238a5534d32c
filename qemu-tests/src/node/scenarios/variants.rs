//! Launches of documents that want something special: each passes what the first scenario asks of
//! every launch, and then shows what is special about it.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::launch::launches;
use crate::node::authority;
use crate::node::external::Etcd;
use crate::node::launch;
use crate::node::native::{Node, NodeSpec};
use crate::node::network::Network;
use crate::node::process::Program;
use crate::scenario::Context;
use crate::scenarios::{Kubectl, indented, pods};

/// Pods and Services of both families, IPv4 first.
const DUAL_STACK: &str = "  podCIDR: [10.2.0.0/16, \"fd00:2::/56\"]\n  \
    serviceCIDR: [10.3.0.0/24, \"fd00:3::/112\"]\n";

pub fn dual_stack(context: &Context) -> Result<()> {
    let spec = NodeSpec::default().dual_stack("fd77::2");
    let mut node = Node::create(context, spec)?;
    node.boot()?;
    let document = launch::document(node.spec(), DUAL_STACK);
    launches(&node, &document, &["etcd.yaml"])?;
    pods::reach_over_both_families(&node)
}

/// etcd is on another machine and its certificates are from another authority.
pub fn external_etcd(context: &Context) -> Result<()> {
    let network = Network::create(context)?;
    let etcd = Etcd::start(context, &network)?;
    let mut node = Node::create(context, NodeSpec::default().on(&network))?;
    node.boot()?;
    launches(&node, &launch::document(node.spec(), &etcd.document), &[])?;
    let keys = etcd.keys()?;
    ensure!(keys > 100, "the other machine's etcd holds {keys} keys");
    let left = node.run(&Program::new(["sh", "-c", "ls /var/lib/etcd"]))?;
    ensure!(
        left.stdout.is_empty(),
        "there is an etcd here too: {left:?}"
    );
    Ok(())
}

/// Where the root's certificate lies on a node that knows nothing else of its authority.
const ROOT: &str = "/etc/own/root.crt";

/// The cluster's authority is the user's own: signed with RSA by a root whose key nobody here has.
pub fn own_authority(context: &Context) -> Result<()> {
    let folder = context.work.join("own");
    authority::make(&folder, "own")?;
    let file = |name: &str| fs::read_to_string(folder.join(name)).context("no authority");
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    let more = format!(
        "certificates:\n  authority:\n    certificate: |\n{}    key: |\n{}",
        indented(&(file("own.crt")? + &file("root.crt")?)),
        indented(&file("own.key")?)
    );
    launches(&node, &launch::document(node.spec(), &more), &["etcd.yaml"])?;
    fs::create_dir_all(node.path("/etc/own"))?;
    fs::copy(folder.join("root.crt"), node.path(ROOT))?;
    fs::copy(
        folder.join("stranger.crt"),
        node.path("/etc/own/stranger.crt"),
    )?;
    root_is_enough(&node)
}

/// Who trusts the root and nothing else verifies the API server; who trusts another does not.
fn root_is_enough(node: &Node) -> Result<()> {
    let address = &node.spec().address;
    for (authority, is_right) in [(ROOT, true), ("/etc/own/stranger.crt", false)] {
        let connect = format!("{address}:6443");
        let openssl = Program::new([
            "openssl",
            "s_client",
            "-connect",
            &connect,
            "-CAfile",
            authority,
            "-no-CApath",
            "-no-CAstore",
            "-verify_ip",
            address,
            "-verify_return_error",
        ]);
        let said = node.run(&openssl)?.success();
        ensure!(
            said.is_ok() == is_right,
            "openssl with {authority}: {said:?}"
        );
        let option = format!("--certificate-authority={authority}");
        let nodes = node.kubectl(&[&option, "get", "nodes"], "");
        ensure!(
            nodes.is_ok() == is_right,
            "kubectl with {authority}: {nodes:?}"
        );
    }
    Ok(())
}
