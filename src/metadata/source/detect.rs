//! `slipway.platform=auto`: which platform this machine is on, from what it holds itself.
//!
//! Nothing is asked over a network, where strangers would answer. What somebody handed over on purpose
//! counts first, then what the firmware says of the machine (the clouds' own documentation, and
//! cloud-init's ds-identify), then disks. The firmware's word is final: on a cloud that gives user
//! data no disk is waited for, or the answer would depend on how fast one appears.

use super::{Context, configdrive, credential, fw_cfg, nocloud, smbios};
use crate::config::duration;
use crate::metadata::deadline::poll;

/// The name that asks for it.
pub const AUTO: &str = "auto";

/// What a machine shows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// DMI's `sys_vendor`.
    pub vendor: String,
    /// DMI's `product_name`.
    pub product: String,
    /// DMI's `product_serial`; only root sees it.
    pub serial: String,
    /// DMI's `product_uuid`; only root sees it.
    pub uuid: String,
    /// DMI's `chassis_asset_tag`.
    pub tag: String,
    /// Whether the command line or the serial number has a NoCloud seed.
    pub seed: bool,
    /// Whether systemd was given the credential.
    pub credential: bool,
    /// Whether an SMBIOS string gives it.
    pub string: bool,
    /// Whether QEMU passes the fw_cfg entry.
    pub entry: bool,
    /// Whether there is a NoCloud disk.
    pub cidata: bool,
    /// Whether there is a config drive.
    pub config_2: bool,
}

/// A way to know a platform.
#[derive(Debug)]
pub struct Clue {
    /// Its name in the table.
    pub platform: &'static str,
    /// What it is known by, for people.
    pub by: &'static str,
    holds: fn(&Facts) -> bool,
}

const fn clue(platform: &'static str, by: &'static str, holds: fn(&Facts) -> bool) -> Clue {
    Clue {
        platform,
        by,
        holds,
    }
}

/// All clues; the first that holds counts.
const CLUES: &[Clue] = &[
    clue("credential", "its credential", |facts| facts.credential),
    clue("smbios", "its SMBIOS string", |facts| facts.string),
    clue("qemu", "its fw_cfg entry", |facts| facts.entry),
    clue("nocloud", "its seed", |facts| facts.seed),
    clue("ec2", "its DMI vendor and UUID", is_ec2),
    clue("gce", "its DMI product", |facts| {
        facts.product == "Google Compute Engine" || facts.serial.starts_with("GoogleCloud-")
    }),
    clue("azure", "its DMI asset tag", |facts| {
        facts.tag == "7783-7084-3265-9085-8269-3286-77"
    }),
    clue("openstack", "its DMI product", |facts| {
        let names = ["OpenStack Nova", "OpenStack Compute"];
        names
            .iter()
            .any(|name| facts.product == *name || facts.tag == *name)
    }),
    clue("digitalocean", "its DMI vendor", |facts| {
        facts.vendor == "DigitalOcean"
    }),
    clue("hetzner", "its DMI vendor", |facts| {
        facts.vendor == "Hetzner"
    }),
    clue("vultr", "its DMI vendor", |facts| facts.vendor == "Vultr"),
    clue("vmware", "its DMI vendor", |facts| {
        facts.vendor.starts_with("VMware")
    }),
    clue("hyperv", "its DMI vendor and product", |facts| {
        facts.vendor == "Microsoft Corporation" && facts.product == "Virtual Machine"
    }),
    clue("nocloud", "its disk cidata", |facts| facts.cidata),
    clue("configdrive", "its disk config-2", |facts| facts.config_2),
];

/// The first clue that holds, if any does.
pub fn identify(facts: &Facts) -> Option<&'static Clue> {
    CLUES.iter().find(|clue| (clue.holds)(facts))
}

/// Older machines of EC2 are Xen's and known by their UUID alone, whose first half may be
/// byte-swapped (EC2 user guide, "Detect whether a host is an EC2 instance").
fn is_ec2(facts: &Facts) -> bool {
    let uuid = facts.uuid.to_ascii_lowercase();
    let swapped = uuid
        .get(4..8)
        .is_some_and(|part| part.starts_with('2') && part.ends_with("ec"));
    facts.vendor == "Amazon EC2" || facts.vendor == "Xen" && (uuid.starts_with("ec2") || swapped)
}

impl Facts {
    /// All but the disks, which may appear later.
    fn gather(context: &Context<'_>) -> Self {
        let field = |name| smbios::field(context.root, name);
        let serial = field("product_serial");
        Self {
            vendor: field("sys_vendor"),
            product: field("product_name"),
            seed: context.settings.seed.is_some() || nocloud::serial_seed(&serial).is_some(),
            serial,
            uuid: field("product_uuid"),
            tag: field("chassis_asset_tag"),
            credential: credential::is_present(context),
            string: smbios::is_present(context),
            entry: fw_cfg::is_present(context),
            ..Self::default()
        }
    }
}

/// The name of the platform, waiting for a disk until the deadline if nothing else tells; or why it
/// cannot be told.
pub fn platform(context: &Context<'_>) -> Result<&'static str, String> {
    let mut facts = Facts::gather(context);
    let clue = poll(context.deadline, || {
        facts.cidata = nocloud::is_present(context);
        facts.config_2 = configdrive::is_present(context);
        identify(&facts)
    });
    if let Some(Clue { platform, by, .. }) = clue {
        log::warn!("this is platform {platform}, by {by}");
        return Ok(platform);
    }
    let waited = duration::show(context.deadline.limit());
    let (vendor, product) = (facts.vendor, facts.product);
    Err(format!(
        "nothing told the platform within {waited} (DMI vendor {vendor:?}, product {product:?}, no \
         disk cidata or config-2); name it with slipway.platform="
    ))
}

#[cfg(test)]
mod tests;
