//! From wherever the machine document comes from to a machine, kept for later boots.
//!
//! A *source* gives bytes ([`platform::PLATFORMS`] is the table of them, one file each), the
//! [`envelope`] is taken off, `config` reads what is inside, and only a valid document is kept. The
//! platform is named, never guessed: probing addresses and buses is slow, and on the wrong cloud it
//! asks strangers for orders. Once kept, the document wins over its source, so that a machine
//! boots the same way without the network it was born in.

pub mod cmdline;
pub mod envelope;
mod file;
mod fw_cfg;
mod nocloud;
pub mod platform;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::config::{self, Machine};
use crate::exit::{Exit, WithExit};
use crate::node::files::{self, Look, PRIVATE, PUBLIC, below};

/// The document of this machine's first boot; its absence means that this is the first boot.
pub const KEPT: &str = "/var/lib/slipway/machine.yaml";
/// This boot's copy.
pub const COPY: &str = "/run/slipway/machine.yaml";
/// The host name, which is the node's name.
pub const HOSTNAME: &str = "/etc/hostname";

/// What to fetch, and where to put it.
#[derive(Clone, Debug)]
pub struct Request {
    /// /sys, /dev, /proc and /run are below it; `/` on a machine.
    pub root: PathBuf,
    /// The kept document and the host name go below it; `/sysroot` in the initrd.
    pub target: PathBuf,
    /// A file to read instead of a platform's source; `-` is standard input.
    pub config: Option<PathBuf>,
    /// A platform's name, which wins over the kernel command line's.
    pub platform: Option<String>,
    /// Ask the source again although a document is kept, and replace that.
    pub refetch: bool,
    /// How long the source may take.
    pub deadline: Duration,
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
}

/// Reads the machine document and keeps it, its copy in /run and the host name.
///
/// # Errors
/// [`Exit::NotFound`] if no source is named, or it is missing, or its deadline passed;
/// [`Exit::Invalid`] if the document, fetched or kept, is invalid, and then nothing is written.
/// What cannot be written is left as it was.
pub fn fetch(request: &Request) -> Result<Fetched> {
    let kept = files::read_if_there(&below(&request.target, KEPT))?;
    let first_boot = kept.is_none();
    let (origin, bytes) = match kept {
        Some(bytes) if !request.refetch => (kept_origin(request), bytes),
        _ => read_source(request)?,
    };
    let text = envelope::open(&bytes).with_context(|| format!("cannot use what {origin} holds"))?;
    let machine = parse(text, &origin)?;
    keep(request, text, &machine)?;
    Ok(Fetched {
        origin,
        first_boot,
        machine,
    })
}

/// Reads and checks the document in a file, `-` being standard input; for commands that are given
/// a document by a person and write nothing.
///
/// # Errors
/// As [`fetch`].
pub fn document(path: &Path) -> Result<Machine> {
    let bytes = file::read(path)?;
    let origin = file::origin(path);
    let text = envelope::open(&bytes).with_context(|| format!("cannot use what {origin} holds"))?;
    parse(text, &origin)
}

fn kept_origin(request: &Request) -> String {
    if let Some(config) = &request.config {
        let config = config.display();
        log::warn!("{KEPT} is kept from an earlier boot and wins over {config}; see --refetch");
    }
    format!("kept document {KEPT}")
}

fn read_source(request: &Request) -> Result<(String, Vec<u8>)> {
    if let Some(path) = &request.config {
        return Ok((file::origin(path), file::read(path)?));
    }
    let cmdline = files::read_if_there(&below(&request.root, "/proc/cmdline"))?.unwrap_or_default();
    let cmdline = String::from_utf8_lossy(&cmdline);
    let platform = platform::choose(request.platform.as_deref(), &cmdline)?;
    let bytes = (platform.read)(&request.root, request.deadline)?;
    Ok((platform.source.to_owned(), bytes))
}

fn parse(text: &[u8], origin: &str) -> Result<Machine> {
    config::parse(text)
        .map_err(|problems| anyhow!("the machine document is invalid ({origin}):\n{problems}"))
        .exit(Exit::Invalid)
}

/// The kept document comes last: once it is there, the fetch of this machine is done.
fn keep(request: &Request, text: &[u8], machine: &Machine) -> Result<()> {
    let hostname = format!("{}\n", machine.node.name);
    store(&request.root, COPY, text, PRIVATE)?;
    store(&request.target, HOSTNAME, hostname.as_bytes(), PUBLIC)?;
    store(&request.target, KEPT, text, PRIVATE)
}

fn store(root: &Path, path: &str, bytes: &[u8], look: Look) -> Result<()> {
    let path = below(root, path);
    private_folder(&path, look)
        .and_then(|()| files::write(&path, bytes, look))
        .map(drop)
        .map_err(|error| {
            let advice = advice(&error, &path);
            error.context(advice)
        })
}

/// The folder of a private file is private too, unless somebody made it before.
fn private_folder(path: &Path, look: Look) -> Result<()> {
    let Some(folder) = path.parent().filter(|_| look.mode == PRIVATE.mode) else {
        return Ok(());
    };
    files::make_folder(folder.parent().unwrap_or(folder), 0o755)?;
    files::make_folder(folder, 0o700)
}

/// What a person can do about a file that could not be written.
fn advice(error: &anyhow::Error, path: &Path) -> String {
    let kind = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<io::Error>())
        .map(io::Error::kind);
    let path = path.display();
    match kind {
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            format!("the file system of {path} is full; make room there and fetch again")
        }
        Some(ErrorKind::ReadOnlyFilesystem) => {
            format!("the file system of {path} is read-only; mount a writable one and fetch again")
        }
        Some(ErrorKind::PermissionDenied) => format!("{path} is not ours to write; run as root"),
        _ => format!("{path} must be writable; see the cause and fetch again"),
    }
}

#[cfg(test)]
mod tests;
