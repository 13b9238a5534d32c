//! A control plane that is dead comes back from what is left of it.

mod controllers;
mod etcd;
mod killed;
mod machine;
mod over;
mod variants;

pub use controllers::run as controllers;
pub use etcd::run as from_etcd;
pub use killed::run as killed;
pub use machine::run as on_new_machine;
pub use over::run as over_data;
pub use variants::{dual_stack, external_etcd, with_static_pods};

use anyhow::Result;

use crate::node::launch;
use crate::node::native::{Node, NodeSpec};
use crate::scenario::Context;
use crate::scenarios::cluster;

/// A node that is launched and well.
fn launched(context: &Context) -> Result<Node> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launch::launch(&node)?;
    cluster::wait_until_ready(&node)?;
    Ok(node)
}
