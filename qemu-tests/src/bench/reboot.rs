//! What checkpoints do for a single node that comes back.

use anyhow::Result;

use super::{Figures, Results, judged, repeated, summary};
use crate::node::native::{Node, NodeSpec};
use crate::node::{launch, reboot};
use crate::scenario::Context;
use crate::scenarios::cluster;

/// Seconds from the kubelet's start.
const REBOOT: [(&str, f64); 3] = [
    ("reboot_api_s", 10.0),
    ("reboot_apiserver_ready_s", 15.0),
    ("reboot_leaders_s", 17.0),
];

/// One launch, and five power cuts of it.
pub fn reboots(context: &Context) -> Result<Results> {
    let mut node = launched(context, "reboot")?;
    let runs = repeated("reboot", |_| {
        let took = reboot::after_power_cut(&mut node)?;
        let figures = [
            ("reboot_api_s", took.api_s),
            ("reboot_node_address_s", took.node_address_s),
            ("reboot_apiserver_ready_s", took.apiserver_ready_s),
            ("reboot_leaders_s", took.leaders_s),
        ];
        Ok(named(&figures))
    })?;
    Ok(judged(summary(&runs), &REBOOT))
}

/// A node of its own, launched and well.
pub(super) fn launched(context: &Context, name: &str) -> Result<Node> {
    let context = Context {
        work: context.work.join(name),
        ..context.clone()
    };
    let mut node = Node::create(&context, NodeSpec::default())?;
    node.boot()?;
    launch::launch(&node)?;
    cluster::wait_until_ready(&node)?;
    Ok(node)
}

/// Figures by their names.
pub(super) fn named(figures: &[(&str, f64)]) -> Figures {
    let figures = figures.iter();
    figures
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect()
}
