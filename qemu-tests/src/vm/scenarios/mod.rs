//! The VM tier's scenarios: each boots the real image, and judges it from outside.

mod envelopes;
mod launch;
mod metadata;
mod power_cut;
mod reboot;
mod renewal;
mod sources;
mod surroundings;

use crate::scenario::{Context, Scenario, Tier};
use anyhow::Result;

/// They run in this order: a boot that ends in the initrd is the quickest thing that can fail.
pub const SCENARIOS: &[Scenario] = &[
    vm("metadata-missing", metadata::missing),
    vm("metadata-invalid", metadata::invalid),
    vm("metadata-name", metadata::name),
    vm("metadata-none", surroundings::none),
    vm("metadata-fw-cfg", sources::fw_cfg),
    vm("metadata-credential", sources::credential),
    vm("metadata-nocloud-iso", sources::nocloud_iso),
    vm("metadata-nocloud-fat", sources::nocloud_fat),
    vm("metadata-config-drive", sources::config_drive),
    vm("metadata-ec2", sources::ec2),
    vm("metadata-azure", sources::azure),
    vm("metadata-late", surroundings::late),
    vm("metadata-clock", surroundings::clock),
    vm("launch-single-node", launch::single_node),
    vm("launch-power-cut", power_cut::run),
    vm("reboot-clean", reboot::clean),
    vm("reboot-power-cut", reboot::power_cut),
];

/// What `./x soak` runs, and `./x test` by name.
pub const LONG: &[Scenario] = &[
    vm("reboot-ten-clean", reboot::ten_clean),
    vm("reboot-ten-power-cuts", reboot::ten_power_cuts),
    vm("reboot-months-later", reboot::months_later),
];

const fn vm(name: &'static str, run: fn(&Context) -> Result<()>) -> Scenario {
    Scenario {
        name,
        tier: Tier::Vm,
        in_company: false,
        run,
    }
}
