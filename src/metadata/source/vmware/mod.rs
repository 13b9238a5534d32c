//! VMware: variables of the virtual machine whose names begin with `guestinfo.`, which its owner sets
//! and the guest asks the hypervisor for.
//!
//! The names are cloud-init's (its documentation, "VMware") and Ignition's, each with `.encoding`
//! beside it; a machine made from an OVF template has its user data among the properties of the OVF
//! environment instead. The usual crate, vmw_backdoor, can only read, but a document is to be taken
//! away after it was kept, because any process of the machine may ask; so the protocol is spoken here
//! ([`backdoor`]). Only what carries a document goes: the rest is others', who may read it later.

#[cfg(target_arch = "x86_64")]
mod backdoor;
#[cfg(target_arch = "x86_64")]
mod port;

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

use super::{Answer, Context, ovf, smbios};
use crate::exit::{Exit, WithExit, fail};
use crate::metadata::{base64, envelope};

/// User data, cloud-init's before Ignition's.
const KEYS: [&str; 2] = ["guestinfo.userdata", IGNITION];
const IGNITION: &str = "guestinfo.ignition.config.data";
/// What takes the place of each that was taken away, and of its encoding. A variable can neither be
/// removed nor be empty, so it is what cloud-init (DataSourceVMware.py, guestinfo_redact_keys) and
/// Ignition (vmware_amd64.go, delConfig) write there themselves, and can read.
const WIPED: [(&str, &str); 2] = [("---", " "), ("e30K", "base64")];
/// The OVF environment, and the properties that hold user data. Only Ignition's has an encoding beside
/// it.
const ENVIRONMENT: &str = "guestinfo.ovfEnv";
const PROPERTIES: [&str; 3] = ["user-data", "guestinfo.userdata", IGNITION];
/// Text, encoded or not, that says that there is no user data.
const NOTHING: [&str; 3] = ["", "---", "{}"];

/// The variables of a virtual machine.
pub trait GuestInfo {
    /// The value of a variable, `None` if it is not set.
    ///
    /// # Errors
    /// If the hypervisor cannot be asked.
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>>;

    /// Sets a variable, for as long as the machine runs. The value may not be empty.
    ///
    /// # Errors
    /// If the hypervisor refuses.
    fn set(&mut self, key: &str, value: &str) -> Result<()>;
}

/// Reads the first variable that holds user data. Nothing is waited for: they were set before the
/// machine was started.
pub fn read(context: &Context<'_>) -> Result<Answer> {
    find(&mut *open(context.root)?)
}

/// Sets the variables that carry a machine document to an empty one, each in the form that its other
/// reader understands, and takes the properties that do out of the OVF environment.
pub fn wipe(root: &Path, _: &Path) -> Result<()> {
    scrub(&mut *open(root)?)
}

/// The hypervisor, but only on its own machines: elsewhere the very question kills who asks.
fn open(root: &Path) -> Result<Box<dyn GuestInfo>> {
    let vendor = smbios::field(root, "sys_vendor");
    if !vendor.starts_with("VMware") {
        let next = "is slipway.platform=vmware right?";
        let error = anyhow!("this is not a VMware machine (its vendor is {vendor:?}); {next}");
        return Err(fail(Exit::NotFound, error));
    }
    channel()
        .context("cannot ask VMware for its variables")
        .exit(Exit::NotFound)
}

#[cfg(target_arch = "x86_64")]
fn channel() -> Result<Box<dyn GuestInfo>> {
    Ok(Box::new(backdoor::Channel::open(port::Port::new()?)?))
}

#[cfg(not(target_arch = "x86_64"))]
fn channel() -> Result<Box<dyn GuestInfo>> {
    let next = "attach a NoCloud disk and use slipway.platform=nocloud";
    Err(anyhow!("it answers on x86_64 only; {next}"))
}

fn find(info: &mut dyn GuestInfo) -> Result<Answer> {
    for key in KEYS {
        if let Some(value) = held(info, key)? {
            let encoding = info.get(&encoding(key)).exit(Exit::NotFound)?;
            let bytes = decoded(value, &encoding.unwrap_or_default())
                .with_context(|| format!("cannot read {key}"))
                .exit(Exit::Invalid)?;
            if holds(&bytes) {
                return Ok(Answer::document(bytes, format!("VMware's {key}")));
            }
        }
    }
    if let Some(xml) = held(info, ENVIRONMENT)?
        && let Some(answer) = find_property(&xml)?
    {
        return Ok(answer);
    }
    Ok(Answer::Nothing(format!(
        "VMware has no {}; set it to the machine document in base64, and {} to base64",
        KEYS[0],
        encoding(KEYS[0])
    )))
}

fn find_property(xml: &[u8]) -> Result<Option<Answer>> {
    for key in PROPERTIES {
        let bytes = property(xml, key)?.unwrap_or_default();
        if holds(&bytes) {
            let answer = Answer::document(bytes, format!("OVF property {key}"));
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// What a property stands for.
fn property(xml: &[u8], key: &str) -> Result<Option<Vec<u8>>> {
    let Some(value) = ovf::property(xml, key)?.filter(|value| holds(value.as_bytes())) else {
        return Ok(None);
    };
    if key != IGNITION {
        return Ok(Some(plain(value)));
    }
    let encoding = ovf::property(xml, &encoding(key))?.unwrap_or_default();
    decoded(value.into_bytes(), encoding.as_bytes())
        .with_context(|| format!("cannot read OVF property {key}"))
        .exit(Exit::Invalid)
        .map(Some)
}

/// OVF tools give user data in base64 or as it is, and do not say which. Text that is base64 as a whole
/// is no document: a document has a colon.
fn plain(value: String) -> Vec<u8> {
    base64::lenient(value.as_bytes()).unwrap_or_else(|| value.into_bytes())
}

/// A variable that is set to something.
fn held(info: &mut dyn GuestInfo, key: &str) -> Result<Option<Vec<u8>>> {
    let value = info.get(key).exit(Exit::NotFound)?;
    Ok(value.filter(|value| holds(value)))
}

/// Whether a value, encoded or not, is more than [`NOTHING`].
fn holds(value: &[u8]) -> bool {
    let text = value.trim_ascii();
    NOTHING.iter().all(|nothing| text != nothing.as_bytes())
}

/// Whatever is below the base64 is the envelope's.
fn decoded(value: Vec<u8>, encoding: &[u8]) -> Result<Vec<u8>> {
    match encoding.trim_ascii() {
        b"" => Ok(value),
        b"base64" | b"b64" | b"gzip+base64" | b"gz+base64" | b"gzip+b64" | b"gz+b64" => {
            base64::lenient(&value).context("its encoding says base64, but it is not")
        }
        b"gzip" | b"gz" => Err(anyhow!(
            "its encoding is gzip alone, which no variable can carry; use gzip+base64"
        )),
        _ => Err(anyhow!(
            "its encoding is neither base64 (b64) nor gzip+base64 (gz+b64)"
        )),
    }
}

fn encoding(key: &str) -> String {
    format!("{key}.encoding")
}

fn scrub(info: &mut dyn GuestInfo) -> Result<()> {
    for (key, (nothing, with)) in KEYS.into_iter().zip(WIPED) {
        let set = info.get(key)?.unwrap_or_default();
        let how = info.get(&encoding(key))?.unwrap_or_default();
        // What says that there is none is written again: its encoding may be missing.
        let is_nothing = !holds(&set) || set == nothing.as_bytes();
        if !set.trim_ascii().is_empty() && (is_nothing || is_ours(&decoded(set, &how))) {
            info.set(key, nothing)?;
            info.set(&encoding(key), with)?;
        }
    }
    scrub_properties(info)
}

/// Whether it carries a document, or is nothing that another program could read either.
fn is_ours(bytes: &Result<Vec<u8>>) -> bool {
    bytes
        .as_ref()
        .map_or(true, |bytes| envelope::carries(bytes))
}

fn scrub_properties(info: &mut dyn GuestInfo) -> Result<()> {
    let Some(xml) = held(info, ENVIRONMENT)? else {
        return Ok(());
    };
    let mut keys = Vec::new();
    for key in PROPERTIES {
        if property(&xml, key)
            .transpose()
            .is_some_and(|bytes| is_ours(&bytes))
        {
            keys.extend([key.to_owned(), encoding(key)]);
        }
    }
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    match ovf::without(&xml, &keys)? {
        Some(rest) => info.set(ENVIRONMENT, &rest),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
