//! Launches of documents that want something special: each passes what the first scenario asks of
//! every launch, and then shows what is special about it.

use anyhow::{Result, ensure};

use super::launch::launches;
use super::own::Own;
use crate::node::authority::Kind;
use crate::node::external::Etcd;
use crate::node::launch;
use crate::node::native::{Node, NodeSpec};
use crate::node::network::Network;
use crate::node::process::Program;
use crate::scenario::Context;
use crate::scenarios::pods;

/// Pods and Services of both families, IPv4 first.
pub const DUAL_STACK: &str = "  podCIDR: [10.2.0.0/16, \"fd00:2::/56\"]\n  \
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

/// The cluster's authority is the user's own: signed with RSA by a root whose key nobody here has.
pub fn own_authority(context: &Context) -> Result<()> {
    let own = Own::make(&context.work.join("own"), Kind::Rsa)?;
    let stranger = Own::make(&context.work.join("stranger"), Kind::Rsa)?;
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    let document = launch::document(node.spec(), &own.document()?);
    launches(&node, &document, &["etcd.yaml"])?;
    own.is_enough(&node, &stranger)
}
