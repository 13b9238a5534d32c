//! From wherever the machine document comes from to a machine, kept for later boots.
//!
//! A *source* gives bytes ([`platform::PLATFORMS`] is the table of them, one file each in
//! [`source`]), the [`envelope`] is taken off, `config` reads what is inside, and only a valid
//! document is kept, together with the files that came with it. The platform is named, or told from
//! what the machine itself holds if `auto` asks for that; addresses are never probed, because that is
//! slow, and on the wrong cloud it asks strangers for orders. Once kept, the
//! document wins over its source, so that a machine boots the same way without the network it was
//! born in.

mod base64;
pub mod cmdline;
pub mod convert;
mod deadline;
pub mod envelope;
mod http;
mod keep;
mod place;
pub mod platform;
mod reading;
mod remote;
mod room;
pub mod settings;
pub mod source;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::config::Machine;
use crate::secret::Secret;

use envelope::Offline;
use reading::{Reading, read};
use source::file;

/// The document of this machine's first boot; its absence means that this is the first boot.
pub const KEPT: &str = "/var/lib/slipway/machine.yaml";
/// The host name that came with the document, if one did; it is kept like that.
pub const KEPT_HOSTNAME: &str = "/var/lib/slipway/hostname";
/// The platform that the kept document is still to be taken away from; gone once that is done.
pub const TO_SCRUB: &str = "/var/lib/slipway/scrub";
/// This boot's copy.
pub const COPY: &str = "/run/slipway/machine.yaml";
/// The host name; the node's name, unless the envelope carries another.
pub const HOSTNAME: &str = "/etc/hostname";
/// Exists if the source needs the network; the initrd's second fetch is conditional on it.
pub const NEEDS_NETWORK: &str = "/run/slipway/neednet";

/// What to fetch, and where to put it.
#[derive(Clone, Debug)]
pub struct Request {
    /// /sys, /dev, /proc and /run are below it; `/` on a machine.
    pub root: PathBuf,
    /// The kept document, the host name and the envelope's files go below it; `/sysroot` in the initrd.
    pub target: PathBuf,
    /// A file to read instead of a platform's source; `-` is standard input.
    pub config: Option<PathBuf>,
    /// A platform's name, which wins over the kernel command line's.
    pub platform: Option<String>,
    /// Ask the source again although a document is kept, and replace that.
    pub refetch: bool,
    /// The network is not up yet: a source that needs it is left to a later fetch.
    pub offline: bool,
    /// Where link-local services answer; [`source::LINK_LOCAL`] unless a test says otherwise.
    pub link_local: String,
}

impl Request {
    /// Everything from the machine itself, as at boot.
    pub fn new(root: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            target: target.into(),
            config: None,
            platform: None,
            refetch: false,
            offline: false,
            link_local: source::LINK_LOCAL.to_owned(),
        }
    }
}

/// A machine and where its document came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// For people, e.g. `fw_cfg`, `NoCloud disk` or `kept document /var/lib/slipway/machine.yaml`.
    pub origin: String,
    /// Whether nothing was kept before.
    pub first_boot: bool,
    /// The machine.
    pub machine: Machine,
    /// The document's text.
    pub text: Secret,
    /// The paths of files, folders and links that the envelope carried.
    pub carried: Vec<String>,
    /// The host name that it carried.
    pub hostname: Option<String>,
    /// What of the envelope was left out.
    pub warnings: Vec<String>,
}

/// How a search that did not fail ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T = Box<Fetched>> {
    /// There is a document.
    Found(T),
    /// There is none; why.
    Nothing(String),
    /// The network has to be up first; the platform or what else needs it.
    NeedsNetwork(String),
}

impl<T> Outcome<T> {
    /// What `next` makes of what was found.
    fn and_then<U>(self, next: impl FnOnce(T) -> Result<Outcome<U>>) -> Result<Outcome<U>> {
        match self {
            Self::Found(found) => next(found),
            Self::Nothing(why) => Ok(Outcome::Nothing(why)),
            Self::NeedsNetwork(what) => Ok(Outcome::NeedsNetwork(what)),
        }
    }
}

/// Reads the machine document and keeps it, its copy in /run, the host name and the files that came
/// with it.
///
/// # Errors
/// [`Exit::NotFound`] if no source is named, or it is missing, or its deadline passed;
/// [`Exit::Invalid`] if the document, fetched or kept, is invalid, and then nothing is written.
/// What cannot be written is left as it was.
pub fn fetch(request: &Request) -> Result<Outcome> {
    let read = read(request)?;
    if let Outcome::NeedsNetwork(_) = read {
        keep::needs_network(&request.root)?;
    }
    read.and_then(|reading| {
        let fetched = reading.judge()?;
        keep::keep(request, &reading, &fetched)?;
        if let Some(platform) = reading.scrub
            && let Err(error) = keep::scrub(request, platform)
        {
            // It is still there: for root alone, on VMware for every process.
            let name = platform.name;
            log::warn!("cannot scrub the document from {name}, next boot tries again: {error:#}");
        }
        Ok(Outcome::Found(Box::new(fetched)))
    })
}

/// As [`fetch`], but writes nothing.
///
/// # Errors
/// As [`fetch`].
pub fn look(request: &Request) -> Result<Outcome> {
    read(request)?.and_then(|reading| Ok(Outcome::Found(Box::new(reading.judge()?))))
}

/// Reads and checks the document in a file, `-` being standard input; for commands that are given
/// a document by a person and write nothing. An envelope is opened as far as it goes without
/// fetching anything.
///
/// # Errors
/// As [`fetch`].
pub fn document(path: &Path) -> Result<Fetched> {
    Reading::open(&file::origin(path), &file::read(path)?, &Offline)?.judge()
}

#[cfg(test)]
mod tests;
