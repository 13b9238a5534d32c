//! The places a document comes from, one file each. What a source may know of the machine stands in
//! its [`Context`]; what it says is an [`Answer`].

pub mod azure;
#[cfg(test)]
mod behaviour_tests;
pub mod configdrive;
pub mod credential;
pub mod detect;
pub mod disk;
#[cfg(test)]
mod disk_contents_tests;
pub mod ec2;
pub mod file;
pub mod fw_cfg;
pub mod gce;
pub mod hyperv;
pub mod nocloud;
pub mod openstack;
pub mod ovf;
pub mod seed;
mod service;
pub mod simple;
pub mod smbios;
pub mod target;
#[cfg(test)]
pub(super) mod testing;
pub mod url;
pub mod vmware;

use std::path::Path;

use super::deadline::Deadline;
use super::settings::Settings;

/// No source delivers more; the largest metadata services stop at 1 MiB.
pub const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// What every source may look at.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// /sys, /dev, /proc and /run are below it.
    pub root: &'a Path,
    /// The real root, with its certificate authorities and files.
    pub target: &'a Path,
    /// What the kernel command line says.
    pub settings: &'a Settings,
    /// When to give up.
    pub deadline: Deadline,
    /// Whether the network is there; without it, a source that needs it says [`Answer::Online`].
    pub online: bool,
    /// Where link-local metadata services answer: [`LINK_LOCAL`], but in tests.
    pub link_local: &'a str,
}

/// The address of every cloud's metadata service (RFC 3927), which no router forwards.
pub const LINK_LOCAL: &str = "http://169.254.169.254";

/// What a source says, unless it cannot be asked, which is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The document, maybe in an envelope, and where exactly it was, e.g. `fw_cfg`.
    Document {
        /// As they were delivered, at most [`MAX_BYTES`].
        bytes: Vec<u8>,
        /// For people.
        from: String,
    },
    /// There is none, and this is how one would be given.
    Nothing(String),
    /// Only the network can tell.
    Online,
}

impl Answer {
    /// A document from there.
    pub fn document(bytes: impl Into<Vec<u8>>, from: impl Into<String>) -> Self {
        let (bytes, from) = (bytes.into(), from.into());
        Self::Document { bytes, from }
    }
}
