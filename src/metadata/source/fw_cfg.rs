//! QEMU's firmware configuration device: `-fw_cfg name=opt/dev.slipway/machine,file=machine.yaml`.
//!
//! The kernel shows each entry as a folder with its `size` and its `raw` bytes (Linux
//! Documentation/ABI/testing/sysfs-firmware-qemu_fw_cfg). A read of `raw` gives one page at most, and starts
//! the device at offset 0 again, byte by byte (its driver, fw_cfg_read_blob), so that the time grows with
//! the square of the size: at a microsecond a byte 256 KiB take 8 s and 1 MiB two minutes. So the deadline
//! is looked at between pages, and the end is known by `size` and never asked for.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

use super::{Answer, Context, MAX_BYTES, file};
use crate::config::duration;
use crate::exit::{Exit, WithExit, fail};
use crate::metadata::deadline::Deadline;
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
    raw(&entry, context.deadline).map(|bytes| Answer::document(bytes, "fw_cfg"))
}

/// Whether QEMU passes the entry.
pub fn is_present(context: &Context<'_>) -> bool {
    let folder = below(context.root, FOLDER);
    folder.join("by_name").join(ENTRY).is_dir()
}

fn raw(entry: &Path, deadline: Deadline) -> Result<Vec<u8>> {
    let size = size(&entry.join("size")).exit(Exit::NotFound)?;
    if size > MAX_BYTES {
        return Err(file::too_large(ENTRY, MAX_BYTES));
    }
    let raw = entry.join("raw");
    File::open(&raw)
        .with_context(|| format!("cannot open {}", raw.display()))
        .and_then(|raw| pages(raw, size, deadline))
        .exit(Exit::NotFound)
}

/// Reads `size` bytes, a page at a time; at least one, however late it is.
fn pages(mut raw: impl Read, size: u64, deadline: Deadline) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(size)?);
    // As large as a page is on any machine.
    let mut page = vec![0; 64 * 1024];
    while (bytes.len() as u64) < size {
        let got = raw
            .read(&mut page)
            .with_context(|| format!("cannot read the fw_cfg entry {ENTRY}"))?;
        bytes.extend_from_slice(page.get(..got).unwrap_or_default());
        let have = bytes.len() as u64;
        if got == 0 {
            return Err(anyhow!(
                "fw_cfg entry {ENTRY} says {size} bytes but gives {have}; fetch again"
            ));
        }
        if have < size && deadline.left().is_zero() {
            let limit = duration::show(deadline.limit());
            return Err(anyhow!(
                "fw_cfg entry {ENTRY} gave {have} of {size} bytes within {limit}; compress the document, or \
                 put it on a disk"
            ));
        }
    }
    bytes.truncate(usize::try_from(size)?);
    Ok(bytes)
}

fn size(path: &Path) -> Result<u64> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.trim()
        .parse()
        .with_context(|| format!("{} holds no size: {text:?}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A device that gives a page at a time and keeps count.
    struct Device {
        left: usize,
        reads: usize,
    }

    impl Read for Device {
        fn read(&mut self, page: &mut [u8]) -> std::io::Result<usize> {
            let count = self.left.min(page.len()).min(4096);
            self.left -= count;
            self.reads += 1;
            Ok(count)
        }
    }

    fn read(left: usize, size: u64, limit: Duration) -> (usize, Result<Vec<u8>>) {
        let mut device = Device { left, reads: 0 };
        let bytes = pages(&mut device, size, Deadline::after(limit));
        (device.reads, bytes)
    }

    #[test]
    fn the_end_is_not_asked_for() {
        let far = Duration::from_secs(60);
        for (size, reads) in [(0, 0), (1, 1), (4096, 1), (4097, 2), (10_000, 3)] {
            let (seen, bytes) = read(size, size as u64, far);
            assert_eq!((seen, bytes.unwrap().len()), (reads, size));
        }
        let error = read(5000, 5001, far).1.unwrap_err().to_string();
        assert!(error.contains("says 5001 bytes but gives 5000"), "{error}");
    }

    #[test]
    fn a_deadline_ends_it_between_two_pages() {
        let (reads, bytes) = read(10_000, 10_000, Duration::ZERO);
        let error = bytes.unwrap_err().to_string();
        assert!(error.contains("gave 4096 of 10000 bytes within"), "{error}");
        assert_eq!(reads, 1);
        assert_eq!(read(4096, 4096, Duration::ZERO).1.unwrap().len(), 4096);
    }
}
