//! The platforms slipway knows, and which of them this machine is on.
//!
//! The support matrix is one table, [`PLATFORMS`]: code, messages and docs/platforms.md are read from
//! it, so that none of them can promise what another does not keep.

mod table;

use std::path::Path;

use anyhow::{Result, anyhow};

use super::source::detect::AUTO;
use super::source::{Answer, Context, url};
use crate::exit::{Exit, fail};

pub use table::PLATFORMS;

/// A place that machines run in, and the source of documents that it offers.
#[derive(Clone, Copy, Debug)]
pub struct Platform {
    /// What `slipway.platform=` names it.
    pub name: &'static str,
    /// What `ignition.platform.id=` calls it, if that is something else.
    pub aliases: &'static [&'static str],
    /// What is read, for people.
    pub source: &'static str,
    /// Whether the source can be read only with the network up.
    pub network: Network,
    /// How much the platform takes.
    pub limit: Limit,
    /// How it was tested.
    pub evidence: Evidence,
    /// Reads the source.
    pub(super) read: fn(&Context<'_>) -> Result<Answer>,
    /// How the document is taken away from where other programs of the machine could read it again,
    /// where the platform lets us.
    pub(super) wipe: Option<Wipe>,
}

/// Takes the document away, given the root and the target of the request that found it.
pub(super) type Wipe = fn(&Path, &Path) -> Result<()>;

impl Platform {
    /// Whether the document can be taken away from the platform once it is kept.
    pub fn can_wipe(&self) -> bool {
        self.wipe.is_some()
    }
}

/// How much a platform takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// It does not say; more than [`MAX_BYTES`](super::source::MAX_BYTES) is not read.
    Ours,
    /// So much, and a larger document is refused where it is given.
    Bytes(u64),
    /// So much in one part, of which there may be many.
    Part(u64),
}

/// Whether a source needs the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// It never does.
    Never,
    /// Only if what is tried without is not there.
    Maybe,
    /// It always does.
    Always,
}

/// What a platform's source was tested against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A virtual machine that boots from it.
    Vm,
    /// A real HTTP server that behaves as the platform's does.
    Server,
    /// Files and bytes as the platform makes them.
    Fixtures,
}

/// The platform of that name, which the image or the kernel command line gives. If neither does,
/// what `slipway.config=` holds says which one it is.
///
/// # Errors
/// [`Exit::NotFound`] with the names there are, if none is named or it is unknown; [`Exit::Usage`]
/// if `config` is nothing that can be read.
pub fn choose(name: Option<&str>, config: Option<&str>) -> Result<&'static Platform> {
    let names: Vec<_> = PLATFORMS.iter().map(|platform| platform.name).collect();
    let names = format!("{} or {AUTO}", names.join(", "));
    let implied = config.filter(|_| name.is_none()).map(implied).transpose()?;
    let Some(name) = name.or(implied) else {
        let next = "add slipway.platform=NAME to it or give --platform NAME or --config FILE";
        let error = anyhow!("the kernel command line names no platform; {next} (NAME: {names})");
        return Err(fail(Exit::NotFound, error));
    };
    PLATFORMS
        .iter()
        .find(|platform| platform.name == name || platform.aliases.contains(&name))
        .ok_or_else(|| {
            let error = anyhow!("the platform {name:?} is not supported; there are: {names}");
            fail(Exit::NotFound, error)
        })
}

/// The platform that reads such a `slipway.config=`.
fn implied(config: &str) -> Result<&'static str> {
    if config.starts_with(url::HTTPS) {
        Ok("url")
    } else if config.starts_with('/') {
        Ok("file")
    } else {
        let next = "it is an https:// URL or an absolute path of the real root";
        let error = anyhow!("slipway.config= on the kernel command line cannot be used: {next}");
        Err(fail(Exit::Usage, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let names = PLATFORMS
            .iter()
            .flat_map(|platform| platform.aliases.iter().chain([&platform.name]));
        let unique: BTreeSet<_> = names.clone().collect();
        assert_eq!(unique.len(), names.count());
    }

    #[test]
    fn ignitions_names_are_understood() {
        let name = |name| choose(Some(name), None).map(|platform| platform.name).ok();
        assert_eq!(name("qemu"), Some("qemu"));
        assert_eq!(name("proxmoxve"), Some("nocloud"));
        assert_eq!(name("aws"), Some("ec2"));
        assert_eq!(name("gcp"), Some("gce"));
        assert_eq!(name("cray"), None);
    }

    #[test]
    fn none_named_lists_all() {
        let error = choose(None, None).unwrap_err();
        assert_eq!(exit_of(&error), Exit::NotFound);
        assert!(
            PLATFORMS
                .iter()
                .all(|platform| error.to_string().contains(platform.name))
        );
    }

    #[test]
    fn a_config_names_its_platform_unless_one_is_named() {
        let name = |name, config| choose(name, Some(config)).map(|platform| platform.name);
        assert_eq!(name(None, "https://a/b").unwrap(), "url");
        assert_eq!(name(None, "/etc/m.yaml").unwrap(), "file");
        assert_eq!(name(Some("ec2"), "/etc/m.yaml").unwrap(), "ec2");
        assert_eq!(name(Some("ec2"), "ftp://a/b").unwrap(), "ec2");
        for config in ["http://a/b", "etc/m.yaml", "s3://a/b", "HTTPS"] {
            let error = name(None, config).unwrap_err();
            assert_eq!(exit_of(&error), Exit::Usage, "{config}");
        }
    }
}
