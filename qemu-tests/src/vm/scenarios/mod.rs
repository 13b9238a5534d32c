//! The VM tier's scenarios: each boots the real image, and judges it from outside.

mod envelopes;
mod launch;
mod metadata;
mod power_cut;
mod reboot;
mod recover;
mod renewal;
mod sources;
mod surroundings;

use crate::scenario::{Context, Scenario, Tier};
use anyhow::Result;

/// They run in this order: a boot that ends in the initrd is the quickest thing that can fail.
pub const SCENARIOS: &[Scenario] = &[
    boot("metadata-missing", metadata::missing),
    boot("metadata-invalid", metadata::invalid),
    boot("metadata-name", metadata::name),
    boot("metadata-none", surroundings::none),
    boot("metadata-fw-cfg", sources::fw_cfg),
    boot("metadata-credential", sources::credential),
    boot("metadata-nocloud-iso", sources::nocloud_iso),
    boot("metadata-nocloud-fat", sources::nocloud_fat),
    boot("metadata-config-drive", sources::config_drive),
    boot("metadata-ec2", sources::ec2),
    boot("metadata-azure", sources::azure),
    boot("metadata-late", surroundings::late),
    boot("metadata-clock", surroundings::clock),
    vm("launch-single-node", launch::single_node),
    vm("reboot-clean", reboot::clean),
    vm("reboot-power-cut", reboot::power_cut),
];

/// What `./x soak` runs, and `./x test` by name.
pub const LONG: &[Scenario] = &[
    vm("launch-power-cut", power_cut::run),
    vm("recover-from-etcd", recover::from_etcd),
    vm("recover-on-new-vm", recover::on_new_vm),
    vm("reboot-ten-clean", reboot::ten_clean),
    vm("reboot-ten-power-cuts", reboot::ten_power_cuts),
    vm("reboot-months-later", reboot::months_later),
];

/// One that only boots; another may boot beside it.
const fn boot(name: &'static str, run: fn(&Context) -> Result<()>) -> Scenario {
    Scenario {
        in_company: true,
        ..vm(name, run)
    }
}

const fn vm(name: &'static str, run: fn(&Context) -> Result<()>) -> Scenario {
    Scenario {
        name,
        tier: Tier::Vm,
        in_company: false,
        run,
    }
}
