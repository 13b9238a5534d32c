//! What a machine document may be wrapped in.
//!
//! Metadata services carry whatever their users gave them, so the first question about any bytes is
//! what they are. A format is taken for the files it carries and for nothing else: it may place the
//! document and other files, but it cannot run anything, make users or touch disks. What of it is left
//! out is said in a warning; what would be executed is refused by its name.

pub mod cloud_config;
pub mod data_url;
mod delivery;
mod detect;
mod gathered;
pub mod gzip;
pub mod ignition;
pub mod mime;
mod refused;
mod remote;
pub mod verify;

pub use delivery::{DOCUMENT, Delivery, Entry, Id, MAX_ENTRIES, MAX_FILES_BYTES, What};
pub use gathered::{Gathered, NoDocument};
pub use remote::{NeedsNetwork, Offline, Remote};

use std::fmt::Display;

use anyhow::{Context, Result, anyhow};

use crate::exit::{Exit, caused_by, fail};
pub use detect::contains;
use detect::{Format, detect};

/// The longest text of any format, and all texts together that were unpacked.
pub const MAX_TEXT: u64 = 4 * 1024 * 1024;

/// Takes the envelope off. What it points to instead of carrying it is fetched by `remote`.
///
/// # Errors
/// [`Exit::Invalid`] if the bytes are of a format that is refused, are broken, or hold no document;
/// [`Exit::Refused`] if something has another hash than it must have; and whatever `remote` says.
pub fn open(bytes: &[u8], remote: &dyn Remote) -> Result<Delivery> {
    let mut opener = Opener {
        remote,
        gathered: Gathered::default(),
        packed: false,
        in_message: false,
    };
    let carrier = opener.open(bytes)?;
    opener.gathered.finish(carrier)
}

/// Whether an envelope carries a machine document, or points to more of itself that may.
pub fn carries(bytes: &[u8]) -> bool {
    match open(bytes, &Offline) {
        Ok(_) => true,
        Err(error) => caused_by::<NeedsNetwork>(&error),
    }
}

/// What bytes are for, as far as a first look tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// There is nothing.
    Nothing,
    /// For us, or so it must be judged.
    Ours,
    /// For cloud-init: it does not even name a machine document.
    Others,
    /// Nothing that is opened.
    Refused,
}

/// Looks at what a source offers in two places, to choose one.
pub fn glance(bytes: &[u8]) -> Glance {
    let names = |name: &str| contains(bytes, name.as_bytes());
    match detect(bytes) {
        _ if bytes.trim_ascii().is_empty() => Glance::Nothing,
        Format::Refused(_) => Glance::Refused,
        Format::CloudConfig | Format::Mime if !names(DOCUMENT) && !names("vnd.slipway.machine") => {
            Glance::Others
        }
        _ => Glance::Ours,
    }
}

/// An error of the delivery's author.
fn invalid(message: impl Display) -> anyhow::Error {
    fail(Exit::Invalid, anyhow!("{message}"))
}

/// Opens one envelope and those in it.
struct Opener<'r> {
    remote: &'r dyn Remote,
    gathered: Gathered,
    /// Whether something was unpacked; a second time is no accident.
    packed: bool,
    /// Whether the bytes are a part of a message.
    in_message: bool,
}

impl Opener<'_> {
    /// Opens bytes of any format. Returns what they are, for people.
    fn open(&mut self, bytes: &[u8]) -> Result<&'static str> {
        if bytes.len() as u64 > MAX_TEXT {
            let kib = MAX_TEXT / 1024;
            return Err(invalid(format!(
                "it holds more than {kib} KiB; is it a machine document?"
            )));
        }
        match detect(bytes) {
            Format::Gzip => self.gzip(bytes),
            Format::Ignition => self.ignition(bytes),
            Format::CloudConfig => self.cloud_config(bytes),
            Format::Mime => self.mime(bytes),
            Format::Native => self.native(bytes),
            Format::Refused(format) => Err(format.error()),
        }
    }

    fn gzip(&mut self, bytes: &[u8]) -> Result<&'static str> {
        if self.packed {
            return Err(invalid("it is gzip within gzip; compress it once"));
        }
        self.packed = true;
        let plain = gzip::unpack(bytes, MAX_TEXT)?;
        self.gathered.spend_text(plain.len())?;
        self.open(&plain)
    }

    fn ignition(&mut self, bytes: &[u8]) -> Result<&'static str> {
        ignition::open(detect::text(bytes), self.remote, &mut self.gathered)?;
        Ok("the Ignition config")
    }

    fn cloud_config(&mut self, bytes: &[u8]) -> Result<&'static str> {
        cloud_config::open(detect::text(bytes), &mut self.gathered)?;
        Ok("the #cloud-config")
    }

    fn native(&mut self, bytes: &[u8]) -> Result<&'static str> {
        self.gathered.document(bytes.to_vec())?;
        Ok("the document")
    }

    fn mime(&mut self, bytes: &[u8]) -> Result<&'static str> {
        if self.in_message {
            return Err(invalid("it is a MIME message; put its parts side by side"));
        }
        self.in_message = true;
        let parts = mime::parse(detect::text(bytes))?;
        for (index, part) in parts.iter().enumerate() {
            let kind = &part.kind;
            let packed = self.packed;
            self.part(part)
                .with_context(|| format!("cannot use part {} of the message, {kind}", index + 1))?;
            // The next part lies beside this one, not in it.
            self.packed = packed;
        }
        Ok("the MIME message")
    }

    fn part(&mut self, part: &mime::Part<'_>) -> Result<&'static str> {
        match &*part.kind {
            // A template is one whatever its part is called.
            "text/cloud-config" => match detect(&part.body) {
                Format::Refused(format) => Err(format.error()),
                _ => self.cloud_config(&part.body),
            },
            "application/vnd.coreos.ignition+json" => self.ignition(&part.body),
            "application/vnd.slipway.machine+yaml" | "application/vnd.slipway.machine+json" => {
                self.native(&part.body)
            }
            "text/plain"
            | "text/yaml"
            | "application/yaml"
            | "application/json"
            | "application/octet-stream"
            | "application/gzip" => self.open(&part.body),
            _ => Err(invalid(
                "slipway does not take parts of this type, nor the rest without them; leave it out",
            )),
        }
    }
}

#[cfg(test)]
mod tests;
