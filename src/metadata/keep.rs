//! Writing what was fetched: the kept document last, because once it is there, the fetch of this
//! machine is done. What has to be done after it is written down before it.

use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{Result, anyhow};

use super::place::{Conflict, place};
use super::platform::Platform;
use super::reading::Reading;
use super::{COPY, Fetched, HOSTNAME, KEPT, KEPT_HOSTNAME, NEEDS_NETWORK, Request, TO_SCRUB};
use crate::exit::{Exit, fail};
use crate::node::files::{self, Look, PRIVATE, PUBLIC, below};

/// The unit that brings the network up in an initrd (dracut module slipway-network).
const NETWORK_UNIT: &str = "/usr/lib/systemd/system/slipway-network.service";

/// Writes the envelope's files, the copy, the host name and the kept document.
pub fn keep(request: &Request, reading: &Reading, fetched: &Fetched) -> Result<()> {
    let target = &request.target;
    let conflict = match reading.first_boot {
        true => Conflict::Fail,
        false => Conflict::Leave,
    };
    place(target, &reading.delivery.entries, conflict)?;
    let carried = fetched.hostname.as_deref();
    let hostname = format!("{}\n", carried.unwrap_or(&fetched.machine.node.name));
    let text = fetched.text.expose();
    store(&request.root, COPY, text, PRIVATE)?;
    store(target, HOSTNAME, hostname.as_bytes(), PUBLIC)?;
    match carried {
        Some(_) => store(target, KEPT_HOSTNAME, hostname.as_bytes(), PRIVATE)?,
        None => drop(files::remove(&below(target, KEPT_HOSTNAME))?),
    }
    if let Some(platform) = reading.scrub {
        store(target, TO_SCRUB, platform.name.as_bytes(), PRIVATE)?;
    }
    store(target, KEPT, text, PRIVATE)
}

/// Takes the kept document away from its platform.
pub fn scrub(request: &Request, platform: &Platform) -> Result<()> {
    if let Some(wipe) = platform.wipe {
        wipe(&request.root, &request.target)?;
    }
    files::remove(&below(&request.target, TO_SCRUB)).map(drop)
}

/// Leaves word for the later fetch that there has to be one.
///
/// # Errors
/// [`Exit::NotFound`] if nobody would bring up the network.
pub fn needs_network(root: &Path) -> Result<()> {
    if !below(root, NETWORK_UNIT).exists() {
        let next = "make the initrd with dracut --add slipway-network";
        let error = anyhow!("the source needs the network, but {NETWORK_UNIT} is missing; {next}");
        return Err(fail(Exit::NotFound, error));
    }
    store(root, NEEDS_NETWORK, b"", PRIVATE)
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
pub fn advice(error: &anyhow::Error, path: &Path) -> String {
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
