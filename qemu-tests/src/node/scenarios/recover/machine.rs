//! The machine is gone, and with it everything but a snapshot and a backup's bundle. Another machine, of another name
//! and address, becomes the cluster; its Secrets are encrypted.

use anyhow::Result;

use crate::node::backup::{OLD, lost};
use crate::scenario::Context;
use crate::scenarios::seeded::{self, After};

pub fn run(context: &Context) -> Result<()> {
    let lost = lost(context)?;
    let (mut node, moment, took) = lost.on_new_machine(context)?;
    context.keep_result(&serde_json::to_value(took)?)?;
    let after = After {
        forgotten: Some(OLD),
    };
    seeded::check(&mut node, &lost.before, after, &moment)
}
