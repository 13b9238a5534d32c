//! What a launched cluster does.

use anyhow::Result;

use crate::node::launch;
use crate::node::native::{Node, NodeSpec};
use crate::scenario::Context;
use crate::scenarios::{pods, rollout};

pub fn roll_control_plane(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launch::launch(&node)?;
    rollout::control_plane(&node)
}

pub fn dns_and_service(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launch::launch(&node)?;
    pods::deploy(&node, pods::INTERVAL)?;
    pods::resolve_and_reach(&node)
}
