//! The API serves on, and nobody schedules or controls any more.

use anyhow::Result;

use super::launched;
use crate::node::launch::ADMIN;
use crate::node::recover::recover;
use crate::scenario::Context;
use crate::scenarios::destroy;
use crate::scenarios::reboot::Host as _;
use crate::scenarios::seeded::{self, After, Size};

const COMPONENTS: &str = "kube-controller-manager,kube-scheduler";

pub fn run(context: &Context) -> Result<()> {
    let mut node = launched(context)?;
    let mut before = seeded::furnish(&mut node, Size::FULL)?;
    destroy::controllers(&mut node)?;
    before.goes_on(&node)?;
    let moment = node.shell(seeded::NOW)?;
    let from = ["--kubeconfig", ADMIN, "--component", COMPONENTS];
    context.keep_result(&serde_json::to_value(recover(&node, &from)?)?)?;
    seeded::check(&mut node, &before, After::default(), &moment)
}
