//! The parts of a config that are read, as the spec names them. Optional everywhere, because merging
//! has to know what a config does not say.

use serde::Deserialize;

use super::bounded::{Bounded, Noticed, or_default};
use crate::metadata::envelope::MAX_ENTRIES;

/// Configs and authorities that one config may refer to.
pub const MAX_RESOURCES: usize = 32;
/// Fragments that one config may append to one file.
const MAX_APPEND: usize = 16;
/// setuid, setgid and sticky.
const SPECIAL_BITS: u32 = 0o7000;
/// Headers of one request.
const MAX_HEADERS: usize = 16;

/// A config.
#[derive(Debug, Deserialize)]
pub struct Config {
    pub ignition: Ignition,
    #[serde(default, deserialize_with = "or_default")]
    pub storage: Storage,
    #[serde(default)]
    pub passwd: Noticed,
    #[serde(default)]
    pub systemd: Noticed,
    #[serde(default, rename = "kernelArguments")]
    pub kernel_arguments: Noticed,
    /// Whether a mode lost bits that its version does not have.
    #[serde(skip)]
    pub lost_bits: Noticed,
}

impl Config {
    /// Takes the setuid, setgid and sticky bits off every mode.
    pub fn without_special_bits(mut self) -> Self {
        let storage = &mut self.storage;
        let nodes = storage.files.0.iter_mut().chain(&mut storage.directories.0);
        for mode in nodes.filter_map(|node| node.mode.as_mut()) {
            self.lost_bits.0 |= *mode & SPECIAL_BITS != 0;
            *mode &= !SPECIAL_BITS;
        }
        self
    }
}

/// `ignition`, whose version has been seen to.
#[derive(Debug, Deserialize)]
pub struct Ignition {
    #[serde(default, deserialize_with = "or_default")]
    pub config: References,
    #[serde(default, deserialize_with = "or_default")]
    pub security: Security,
    #[serde(default)]
    pub timeouts: Noticed,
    #[serde(default)]
    pub proxy: Noticed,
}

/// `ignition.config`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct References {
    pub merge: Bounded<Resource, MAX_RESOURCES>,
    #[serde(deserialize_with = "or_default")]
    pub replace: Resource,
}

/// `ignition.security`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Security {
    #[serde(deserialize_with = "or_default")]
    pub tls: Tls,
}

/// `ignition.security.tls`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tls {
    #[serde(rename = "certificateAuthorities")]
    pub authorities: Bounded<Resource, MAX_RESOURCES>,
}

/// `storage`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Storage {
    pub directories: Bounded<Node, MAX_ENTRIES>,
    pub files: Bounded<Node, MAX_ENTRIES>,
    pub links: Bounded<Node, MAX_ENTRIES>,
    pub disks: Noticed,
    pub raid: Noticed,
    pub filesystems: Noticed,
    pub luks: Noticed,
}

/// A file, folder or link; which of them is told by its list.
#[derive(Debug, Default, Deserialize)]
pub struct Node {
    pub path: String,
    pub overwrite: Option<bool>,
    #[serde(default, deserialize_with = "or_default")]
    pub user: Owner,
    #[serde(default, deserialize_with = "or_default")]
    pub group: Owner,
    /// Of files and folders.
    pub mode: Option<u32>,
    /// Of files.
    #[serde(default, deserialize_with = "or_default")]
    pub contents: Resource,
    /// Of files.
    #[serde(default)]
    pub append: Bounded<Resource, MAX_APPEND>,
    /// Of links.
    pub target: Option<String>,
    /// Of links.
    pub hard: Option<bool>,
}

/// A user or group.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Owner {
    pub id: Option<u32>,
    pub name: Option<String>,
}

/// Something that is carried or fetched.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Resource {
    pub source: Option<String>,
    pub compression: Option<String>,
    #[serde(rename = "httpHeaders")]
    pub headers: Bounded<Header, MAX_HEADERS>,
    #[serde(deserialize_with = "or_default")]
    pub verification: Verification,
}

/// A header of a request; without a value, one that is taken away again.
#[derive(Debug, Deserialize)]
pub struct Header {
    pub name: String,
    pub value: Option<String>,
}

/// `verification`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Verification {
    pub hash: Option<String>,
}
