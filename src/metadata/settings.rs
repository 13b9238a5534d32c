//! What the kernel command line says about the document: pointers and choices, never the document
//! itself, because every process of the machine may read /proc/cmdline.

use std::time::Duration;

use anyhow::{Result, anyhow};

use super::cmdline;
use super::envelope::verify;
use crate::config::duration;
use crate::exit::{Exit, fail};

/// The credential that holds a machine document.
pub const CREDENTIAL: &str = "slipway.machine";

/// Whoever appends one at the boot menu wins over the image's own.
const PLATFORM: &str = "slipway.platform";
const CONFIG: &str = "slipway.config";
const HASH: &str = "slipway.config.hash";
const DOCUMENT: &str = "slipway.document";
const TIMEOUT: &str = "slipway.timeout";
const REFETCH: &str = "slipway.refetch";
const IMDS_V1: &str = "slipway.ec2.imdsv1";
const KEYS: [&str; 7] = [PLATFORM, CONFIG, HASH, DOCUMENT, TIMEOUT, REFETCH, IMDS_V1];
/// Ignition's own argument comes second, so that images made for it need no second one.
const PLATFORMS: [&str; 2] = [PLATFORM, "ignition.platform.id"];
/// Credentials set here would be readable by everybody (systemd.system-credentials(7)).
const SET_CREDENTIAL: [&str; 2] = ["systemd.set_credential", "systemd.set_credential_binary"];

/// The choices; each `None` or false if the command line does not make it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `slipway.platform=NAME` or `ignition.platform.id=NAME`.
    pub platform: Option<String>,
    /// `slipway.config=`: an https URL, or a path below the target.
    pub config: Option<String>,
    /// `slipway.config.hash=sha256-HEX` (or sha512): of what the source must give.
    pub hash: Option<String>,
    /// `slipway.document=optional`: a machine without a document boots on.
    pub optional: bool,
    /// `slipway.timeout=30s`: how long the source may take.
    pub timeout: Option<Duration>,
    /// `slipway.refetch`: the source is read on every boot.
    pub refetch: bool,
    /// `slipway.ec2.imdsv1`: EC2's service may be asked without a token.
    pub imds_v1: bool,
    /// The NoCloud seed of `ds=nocloud;...`, without `ds=`.
    pub seed: Option<String>,
    /// Arguments that look like ours and are none, for a warning.
    pub unknown: Vec<String>,
}

impl Settings {
    /// Reads them from a command line.
    ///
    /// # Errors
    /// [`Exit::Usage`] with the argument and what it may be.
    pub fn parse(line: &str) -> Result<Self> {
        let words = cmdline::words(line);
        refuse_secrets(&words).map_err(|error| fail(Exit::Usage, error))?;
        let value = |key| cmdline::value(line, key);
        let read = || -> Result<Self> {
            Ok(Self {
                platform: PLATFORMS.iter().find_map(|key| value(key)),
                config: value(CONFIG),
                hash: value(HASH).map(hash).transpose()?,
                optional: optional(value(DOCUMENT).as_deref())?,
                timeout: value(TIMEOUT).map(|text| timeout(&text)).transpose()?,
                refetch: flag(&words, REFETCH)?,
                imds_v1: flag(&words, IMDS_V1)?,
                seed: value("ds").filter(|seed| seed.starts_with("nocloud")),
                unknown: unknown(&words),
            })
        };
        read().map_err(|error| fail(Exit::Usage, error))
    }
}

fn optional(value: Option<&str>) -> Result<bool> {
    match value {
        None | Some("required") => Ok(false),
        Some("optional") => Ok(true),
        Some(other) => Err(anyhow!(
            "{DOCUMENT}= of the kernel command line is required or optional, not {other:?}"
        )),
    }
}

/// A choice that is made by its name alone, or by `=1` and its like (kernel-command-line(7)); the last
/// word counts.
fn flag(words: &[String], key: &str) -> Result<bool> {
    let values = words.iter().rev().filter_map(|word| word.strip_prefix(key));
    let mut values = values.filter(|rest| rest.is_empty() || rest.starts_with('='));
    match values.next() {
        None | Some("=0" | "=no" | "=false" | "=off") => Ok(false),
        Some("" | "=1" | "=yes" | "=true" | "=on") => Ok(true),
        Some(_) => Err(anyhow!(
            "{key} of the kernel command line stands alone, or is 1 or 0"
        )),
    }
}

/// Judged before any source is asked: what can be no hash would refuse every document.
fn hash(text: String) -> Result<String> {
    match verify::check_form(&text) {
        Ok(()) => Ok(text),
        Err(why) => Err(anyhow!("{HASH}= of the kernel command line: {why}")),
    }
}

fn timeout(text: &str) -> Result<Duration> {
    duration::parse(text)
        .map_err(|why| anyhow!("{TIMEOUT}= of the kernel command line: {text:?} {why}"))
}

/// A document, or a secret of one, given for everybody to read.
fn refuse_secrets(words: &[String]) -> Result<()> {
    let set = words.iter().find_map(|word| {
        let (key, value) = word.split_once('=')?;
        let (name, _) = value.split_once(':')?;
        (SET_CREDENTIAL.contains(&key) && name.starts_with("slipway.")).then_some(name)
    });
    match set {
        None => Ok(()),
        Some(name) => Err(anyhow!(
            "the kernel command line sets the credential {name}, which every process may read there; \
             pass it by SMBIOS or fw_cfg, and take the old one for known"
        )),
    }
}

fn unknown(words: &[String]) -> Vec<String> {
    let key = |word: &String| word.split('=').next().unwrap_or_default().to_owned();
    words
        .iter()
        .map(key)
        .filter(|key| key.starts_with("slipway.") && !KEYS.contains(&key.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;

    fn read(line: &str) -> Settings {
        Settings::parse(line).unwrap()
    }

    #[test]
    fn our_platform_wins_over_ignitions() {
        let platform = |line| read(line).platform;
        let both = "quiet ignition.platform.id=qemu slipway.platform=nocloud";
        assert_eq!(platform(both).as_deref(), Some("nocloud"));
        assert_eq!(
            platform("ignition.platform.id=qemu").as_deref(),
            Some("qemu")
        );
        let empty = "slipway.platform= ignition.platform.id=qemu";
        assert_eq!(platform(empty).as_deref(), Some("qemu"));
        assert_eq!(platform("quiet"), None);
    }

    #[test]
    fn every_choice() {
        let hash = format!("sha256-{}", "0".repeat(64));
        let line = format!(
            "slipway.config=https://a/b slipway.config.hash={hash} slipway.refetch \
             slipway.document=optional slipway.timeout=90s slipway.ec2.imdsv1 \"ds=nocloud;s=https://c/\""
        );
        let want = Settings {
            platform: None,
            config: Some("https://a/b".to_owned()),
            hash: Some(hash),
            optional: true,
            timeout: Some(Duration::from_secs(90)),
            refetch: true,
            imds_v1: true,
            seed: Some("nocloud;s=https://c/".to_owned()),
            unknown: Vec::new(),
        };
        assert_eq!(read(&line), want);
        assert_eq!(read("ds=ec2 quiet"), Settings::default());
    }

    #[test]
    fn what_is_misspelt_is_noticed() {
        assert_eq!(
            read("slipway.documnt=x slipway.refetch").unknown,
            ["slipway.documnt"]
        );
        for line in [
            "slipway.document=maybe",
            "slipway.timeout=soon",
            "slipway.timeout=0s",
            "slipway.config.hash=sha256-00",
            "slipway.refetch=always",
            "slipway.ec2.imdsv1=",
        ] {
            assert_eq!(
                exit_of(&Settings::parse(line).unwrap_err()),
                Exit::Usage,
                "{line}"
            );
        }
    }

    #[test]
    fn a_flag_stands_alone_or_has_a_value() {
        let refetch = |line| read(line).refetch;
        assert!(refetch("slipway.refetch"));
        assert!(refetch("slipway.refetch=0 slipway.refetch=1"));
        assert!(!refetch("slipway.refetch slipway.refetch=no"));
        assert!(!refetch("slipway.refetching"));
        assert!(read("slipway.ec2.imdsv1=yes").imds_v1);
    }

    #[test]
    fn a_secret_for_everybody_to_read_is_refused_and_not_repeated() {
        let line = "systemd.set_credential=slipway.machine:hunter2";
        let text = format!("{:#}", Settings::parse(line).unwrap_err());
        assert!(
            text.contains(CREDENTIAL) && !text.contains("hunter2"),
            "{text}"
        );
        assert_eq!(read("systemd.set_credential=other:x"), Settings::default());
    }
}
