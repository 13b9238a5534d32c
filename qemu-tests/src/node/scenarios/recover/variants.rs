//! The same of clusters that are something special.

use anyhow::Result;

use crate::node::backup::{Case, OLD, lost};
use crate::node::external::Etcd;
use crate::node::launch;
use crate::node::native::{Node, NodeSpec};
use crate::node::network::Network;
use crate::node::recover::recover;
use crate::node::scenarios::permanent;
use crate::node::scenarios::variants::DUAL_STACK;
use crate::scenario::Context;
use crate::scenarios::destroy::{self, Assets};
use crate::scenarios::page::Judged;
use crate::scenarios::reboot::Host as _;
use crate::scenarios::seeded::{self, After, Size};
use crate::scenarios::{cluster, pods};

/// Of two families of addresses, on a new machine that has other ones of both.
pub fn dual_stack(context: &Context) -> Result<()> {
    let case = Case::default();
    let case = Case {
        old: case.old.dual_stack("fd77::2"),
        new: case.new.dual_stack("fd77::3"),
        cluster: DUAL_STACK,
    };
    let mut lost = lost(context, case)?;
    let (mut node, moment, took) = lost.on_new_machine(context, Judged::Codes)?;
    context.keep_result(&serde_json::to_value(took)?)?;
    let after = After {
        forgotten: Some(OLD),
    };
    seeded::check(&mut node, &lost.before, after, &moment)?;
    pods::deploy(&node, pods::INTERVAL)?;
    pods::reach_over_both_families(&node)
}

/// Etcd is on another machine and below another authority; of this one everything is lost.
pub fn external_etcd(context: &Context) -> Result<()> {
    let network = Network::create(context)?;
    let etcd = Etcd::start(context, &network)?;
    let mut node = Node::create(context, NodeSpec::default().on(&network))?;
    dies_and_comes_back(context, &mut node, &etcd.document, Assets::Lost)
}

/// Nothing of the control plane is an object of its API, so its keys are in the asset directory alone.
pub fn with_static_pods(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    dies_and_comes_back(context, &mut node, permanent::DOCUMENT, Assets::Kept)
}

fn dies_and_comes_back(
    context: &Context,
    node: &mut Node,
    lines: &str,
    assets: Assets,
) -> Result<()> {
    node.boot()?;
    launch::up_to_start(node, &launch::document(node.spec(), lines))?;
    launch::start_to_the_end(node)?;
    cluster::wait_until_ready(node)?;
    let mut before = seeded::furnish(node, Size::TENTH)?;
    before.goes_on(node)?;
    destroy::control_plane(node, assets)?;
    let moment = node.shell(seeded::NOW)?;
    context.keep_result(&serde_json::to_value(recover(node, &[])?)?)?;
    seeded::check(node, &before, After::default(), &moment)
}
