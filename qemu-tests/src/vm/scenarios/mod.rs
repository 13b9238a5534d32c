//! The VM tier's scenarios: each boots the real image, and judges it from outside.

mod launch;
mod metadata;
mod power_cut;

use crate::scenario::{Context, Scenario, Tier};
use anyhow::Result;

/// They run in this order: a boot that ends in the initrd is the quickest thing that can fail.
pub const SCENARIOS: &[Scenario] = &[
    vm("metadata-missing", metadata::missing),
    vm("metadata-invalid", metadata::invalid),
    vm("launch-single-node", launch::single_node),
    vm("launch-power-cut", power_cut::run),
];

const fn vm(name: &'static str, run: fn(&Context) -> Result<()>) -> Scenario {
    Scenario {
        name,
        tier: Tier::Vm,
        run,
    }
}
