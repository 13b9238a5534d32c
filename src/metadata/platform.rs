//! The platforms slipway knows, and which of them this machine is on.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::{cmdline, fw_cfg, nocloud};
use crate::exit::{Exit, fail};

/// A place that machines run in, and the source of documents that it offers.
#[derive(Clone, Copy, Debug)]
pub struct Platform {
    /// What `slipway.platform=` names it.
    pub name: &'static str,
    /// What reports call its source.
    pub source: &'static str,
    /// Whether the source can be read only with the network up.
    pub online: bool,
    /// Reads the source of a machine whose /sys and /dev are below the path, within the time.
    pub(super) read: fn(&Path, Duration) -> Result<Vec<u8>>,
}

/// Every platform. A new source is one file beside this one and one row here.
pub const PLATFORMS: [Platform; 2] = [
    Platform {
        name: "qemu",
        source: "fw_cfg",
        online: false,
        read: fw_cfg::read,
    },
    Platform {
        name: "nocloud",
        source: "NoCloud disk",
        online: false,
        read: nocloud::read,
    },
];

/// The kernel arguments that name a platform. Ignition's comes second, so that images made for it
/// need no second argument.
const ARGUMENTS: [&str; 2] = ["slipway.platform", "ignition.platform.id"];

/// The platform that `named` says, else the kernel command line.
///
/// # Errors
/// [`Exit::NotFound`] with the names there are, if none is named or it is unknown.
pub fn choose(named: Option<&str>, cmdline: &str) -> Result<&'static Platform> {
    let arguments = ARGUMENTS
        .iter()
        .find_map(|key| cmdline::value(cmdline, key));
    let names = PLATFORMS.map(|platform| platform.name).join(", ");
    let Some(name) = named.map(str::to_owned).or(arguments) else {
        let next = format!(
            "add {}=NAME to it or give --platform NAME or --config FILE",
            ARGUMENTS[0]
        );
        let error = anyhow!("the kernel command line names no platform; {next} (NAME: {names})");
        return Err(fail(Exit::NotFound, error));
    };
    PLATFORMS
        .iter()
        .find(|platform| platform.name == name)
        .ok_or_else(|| {
            fail(
                Exit::NotFound,
                anyhow!("the platform {name:?} is not supported; there are: {names}"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;

    #[test]
    fn the_option_wins_over_ours_and_ours_over_ignitions() {
        let name = |named, cmdline| choose(named, cmdline).map(|platform| platform.name).ok();
        let both = "quiet ignition.platform.id=qemu slipway.platform=nocloud";
        assert_eq!(name(None, both), Some("nocloud"));
        assert_eq!(name(Some("qemu"), both), Some("qemu"));
        assert_eq!(name(None, "ignition.platform.id=qemu"), Some("qemu"));
        assert_eq!(
            name(None, "slipway.platform= ignition.platform.id=qemu"),
            Some("qemu")
        );
        assert_eq!(
            name(None, "slipway.platform=aws ignition.platform.id=qemu"),
            None
        );
    }

    #[test]
    fn none_named_lists_all() {
        let error = choose(None, "quiet").unwrap_err();
        assert_eq!(exit_of(&error), Exit::NotFound);
        assert!(
            PLATFORMS
                .iter()
                .all(|platform| error.to_string().contains(platform.name))
        );
    }
}
