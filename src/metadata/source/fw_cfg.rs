//! QEMU's firmware configuration device: `-fw_cfg name=opt/dev.slipway/machine,file=machine.yaml`.
//!
//! The kernel shows each entry as a folder with its `size` and its `raw` bytes (Linux
//! Documentation/ABI/testing/sysfs-firmware-qemu_fw_cfg). Every read of `raw` starts the device at
//! offset 0 again, so that many small reads cost the square of the size: the buffer is made as large as
//! `size` says, plus one byte that proves the end.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

use super::{Answer, Context, MAX_BYTES, file};
use crate::exit::{Exit, WithExit, fail};
use crate::node::files::below;

/// The entry's name on QEMU's command line.
pub const ENTRY: &str = "opt/dev.slipway/machine";
const FOLDER: &str = "/sys/firmware/qemu_fw_cfg";

/// Reads the entry. Nothing is waited for: the device is there from the beginning or never.
pub fn read(context: &Context<'_>) -> Result<Answer> {
    let folder = below(context.root, FOLDER);
    if !folder.is_dir() {
        let cause = "kernel module qemu_fw_cfg not loaded, or not a QEMU machine?";
        let error = anyhow!("{} is missing: {cause}", folder.display());
        return Err(fail(Exit::NotFound, error));
    }
    let entry = folder.join("by_name").join(ENTRY);
    if !entry.is_dir() {
        let start = format!("start QEMU with -fw_cfg name={ENTRY},file=machine.yaml");
        let why = format!("QEMU passes no fw_cfg entry {ENTRY}; {start}");
        return Ok(Answer::Nothing(why));
    }
    raw(&entry).map(|bytes| Answer::document(bytes, "fw_cfg"))
}

/// Whether QEMU passes the entry.
pub fn is_present(context: &Context<'_>) -> bool {
    let folder = below(context.root, FOLDER);
    folder.join("by_name").join(ENTRY).is_dir()
}

fn raw(entry: &Path) -> Result<Vec<u8>> {
    let size = size(&entry.join("size")).exit(Exit::NotFound)?;
    if size > MAX_BYTES {
        return Err(file::too_large(ENTRY, MAX_BYTES));
    }
    let raw = entry.join("raw");
    let opened = File::open(&raw).with_context(|| format!("cannot open {}", raw.display()));
    let bytes = file::read_at_most(opened.exit(Exit::NotFound)?, MAX_BYTES, ENTRY)?;
    if bytes.len() as u64 != size {
        let got = bytes.len();
        let error = anyhow!("fw_cfg entry {ENTRY} says {size} bytes but gives {got}; fetch again");
        return Err(fail(Exit::NotFound, error));
    }
    Ok(bytes)
}

fn size(path: &Path) -> Result<u64> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.trim()
        .parse()
        .with_context(|| format!("{} holds no size: {text:?}", path.display()))
}
