//! The kernel as an ELF file, which QEMU starts through its PVH entry: the banner comes seconds
//! earlier under emulation than with a bzImage, which has to unpack itself first.

use crate::process;
use crate::progress::Log;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Offsets in the setup header of the x86 boot protocol (Documentation/arch/x86/boot.rst).
const SETUP_SECTORS: usize = 0x1f1;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
const SECTOR: usize = 512;

/// Unpacks the kernel inside `bzimage` to `vmlinux`.
pub fn unpack(bzimage: &Path, vmlinux: &Path, log: &Log) -> Result<()> {
    let image = fs::read(bzimage).with_context(|| format!("cannot read {}", bzimage.display()))?;
    let payload = payload(&image).with_context(|| format!("in {}", bzimage.display()))?;
    let packed = vmlinux.with_extension("zst");
    fs::write(&packed, payload).with_context(|| format!("cannot write {}", packed.display()))?;
    let mut zstd = Command::new("zstd");
    zstd.args(["--decompress", "--force", "--rm", "--quiet", "-o"])
        .arg(vmlinux)
        .arg(&packed);
    process::run(&mut zstd, log)
}

/// The zstd frame inside a bzImage. The kernel's build appends the unpacked length as four bytes.
fn payload(image: &[u8]) -> Result<&[u8]> {
    let sectors = usize::from(*image.get(SETUP_SECTORS).context("it is too short")?);
    let start = (sectors.max(1) + 1) * SECTOR + word(image, PAYLOAD_OFFSET)?;
    let end = start + word(image, PAYLOAD_LENGTH)?.saturating_sub(4);
    let payload = image
        .get(start..end)
        .context("its payload ends past the file")?;
    ensure!(
        payload.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]),
        "the payload is not compressed by zstd"
    );
    Ok(payload)
}

fn word(image: &[u8], at: usize) -> Result<usize> {
    let bytes = image.get(at..at + 4).context("it is too short")?;
    Ok(u32::from_le_bytes(bytes.try_into()?) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_payload_by_the_header() {
        let mut image = vec![0; 4 * SECTOR];
        image[SETUP_SECTORS] = 1;
        image[PAYLOAD_OFFSET] = 16;
        image[PAYLOAD_LENGTH] = 12;
        image[2 * SECTOR + 16..][..4].copy_from_slice(&[0x28, 0xb5, 0x2f, 0xfd]);
        assert_eq!(payload(&image).unwrap().len(), 8);
        image[PAYLOAD_LENGTH + 2] = 1;
        assert!(
            payload(&image)
                .unwrap_err()
                .to_string()
                .contains("past the file")
        );
        assert!(payload(&[0; 100]).is_err());
    }
}
