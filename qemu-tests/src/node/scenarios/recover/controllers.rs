//! The API serves on, and nobody schedules or controls any more.

use anyhow::Result;

use super::launched;
use crate::node::recover::follow;
use crate::scenario::Context;
use crate::scenarios::destroy;
use crate::scenarios::page::{self, Judged};
use crate::scenarios::reboot::Host as _;
use crate::scenarios::seeded::{self, After, Size};

pub fn run(context: &Context) -> Result<()> {
    let mut node = launched(context)?;
    let mut before = seeded::furnish(&mut node, Size::FULL)?;
    destroy::controllers(&mut node)?;
    before.goes_on(&node)?;
    let moment = node.shell(seeded::NOW)?;
    let took = follow(&node, &page::section("1.", Judged::Answers)?)?;
    context.keep_result(&serde_json::to_value(took)?)?;
    seeded::check(&mut node, &before, After::default(), &moment)
}
