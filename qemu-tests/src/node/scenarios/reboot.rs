//! A launched cluster survives power cuts.

use anyhow::{Context as _, Result};

use crate::node::native::{Node, NodeSpec};
use crate::node::{launch, reboot, secrets};
use crate::scenario::Context;
use crate::scenarios::cluster;
use crate::scenarios::reboot::figures;

/// One after the other: what a reboot leaves has to be good for the next.
pub fn cuts<const COUNT: usize>(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launch::launch(&node)?;
    cluster::wait_until_ready(&node)?;
    let mut reboots = Vec::new();
    for number in 1..=COUNT {
        let took = reboot::after_power_cut(&mut node);
        reboots.push(took.with_context(|| format!("power cut {number}"))?);
        context.keep_result(&figures(&reboots)?)?;
    }
    secrets::none_in_logs(&node, &[])
}
