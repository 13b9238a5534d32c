//! The two pages that a bbolt database begins with, and what else a file may turn out to be.
//!
//! bbolt writes them in turns, so one of them is whole whenever the power goes: the valid one of the later
//! transaction counts. The page size stands in them and nowhere else; where the first is damaged the second
//! is looked for at every size there may be, as bbolt does (db.go, getPageSizeFromSecondMeta).

use anyhow::{Result, anyhow, bail};

use super::page::{HEADER, u32_at, u64_at};
use super::source::{Source, Window};

/// What the checksum is of; it follows.
const SUMMED: usize = 56;
/// A meta page as far as it is used.
const LEN: usize = HEADER + SUMMED + 8;
const MAGIC: u32 = 0xED0C_DAED;
/// The only version there has been.
const VERSION: u32 = 2;
/// The page sizes that bbolt looks for are 1 KiB and its doubles to 16 MiB.
const SMALLEST: u32 = 1024;
const LARGEST: u32 = 16 * 1024 * 1024;

/// Where everything is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// In bytes.
    pub page_size: u32,
    /// The page where the tree of buckets begins.
    pub root: u64,
    /// How many pages there are; the file may have more, which nobody has used yet.
    pub pages: u64,
    /// The transaction that wrote this.
    pub transaction: u64,
}

/// Why some bytes are no meta page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Foreign,
    ByteOrder,
    Version(u32),
    Checksum,
    PageSize(u32),
}

/// The meta page that counts.
pub fn read(source: &dyn Source) -> Result<Meta> {
    if source.size() == 0 {
        bail!("it is empty: what should have written it did not; use another snapshot");
    }
    let mut window = Window::new(source);
    let first = at(&mut window, source, 0)?;
    let second = match first {
        Ok(meta) => at(&mut window, source, u64::from(meta.page_size))?.ok(),
        Err(_) => probed(&mut window, source)?,
    };
    match (first, second) {
        (Ok(first), Some(second)) if second.transaction > first.transaction => Ok(second),
        (Ok(meta), _) | (Err(_), Some(meta)) => Ok(meta),
        (Err(fault), None) => {
            let begin = begin(&mut window, source, 0)?;
            Err(described(fault, begin))
        }
    }
}

/// The second one, wherever it is: it must say that it is there.
fn probed(window: &mut Window, source: &dyn Source) -> Result<Option<Meta>> {
    let mut page_size = SMALLEST;
    while page_size <= LARGEST && u64::from(page_size) < source.size() {
        match at(window, source, u64::from(page_size))? {
            Ok(meta) if meta.page_size == page_size => return Ok(Some(meta)),
            _ => page_size *= 2,
        }
    }
    Ok(None)
}

fn at(window: &mut Window, source: &dyn Source, offset: u64) -> Result<Result<Meta, Fault>> {
    Ok(parse(begin(window, source, offset)?))
}

/// As much of a meta page as the file has.
fn begin<'a>(window: &'a mut Window, source: &dyn Source, offset: u64) -> Result<&'a [u8]> {
    let rest = source.size().saturating_sub(offset);
    window.get(offset, usize::try_from(rest).unwrap_or(LEN).min(LEN))
}

fn parse(page: &[u8]) -> Result<Meta, Fault> {
    let meta = page.get(HEADER..).unwrap_or_default();
    let magic = u32_at(meta, 0).ok_or(Fault::Foreign)?;
    if magic == MAGIC.swap_bytes() {
        return Err(Fault::ByteOrder);
    }
    let (true, Some(version)) = (magic == MAGIC, u32_at(meta, 4)) else {
        return Err(Fault::Foreign);
    };
    if version != VERSION {
        return Err(Fault::Version(version));
    }
    let summed = meta.get(..SUMMED).ok_or(Fault::Checksum)?;
    let checksum = u64_at(meta, SUMMED).ok_or(Fault::Checksum)?;
    if fnv1a(summed) != checksum {
        return Err(Fault::Checksum);
    }
    let page_size = u32_at(summed, 8).ok_or(Fault::Checksum)?;
    if !page_size.is_power_of_two() || !(SMALLEST..=LARGEST).contains(&page_size) {
        return Err(Fault::PageSize(page_size));
    }
    let number = |at| u64_at(summed, at).ok_or(Fault::Checksum);
    Ok(Meta {
        page_size,
        root: number(16)?,
        pages: number(40)?,
        transaction: number(48)?,
    })
}

/// FNV-1a of 64 bits: what bbolt sums its meta pages with.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// For a person who took the wrong file, or whose file is broken.
fn described(fault: Fault, begin: &[u8]) -> anyhow::Error {
    match fault {
        Fault::Foreign => foreign(begin),
        Fault::ByteOrder => anyhow!(
            "it was written by a big-endian machine; have an etcd there restore it and copy the keys"
        ),
        Fault::Version(version) => {
            let next = match version > VERSION {
                true => "a newer slipway",
                false => "another snapshot",
            };
            anyhow!(
                "its format is bbolt {version}, and this slipway reads bbolt {VERSION}: use {next}"
            )
        }
        Fault::Checksum => anyhow!(
            "both of its meta pages are damaged (checksum): copy it again, or use another snapshot"
        ),
        Fault::PageSize(size) => {
            anyhow!("its pages are of {size} bytes, which bbolt never writes: use another snapshot")
        }
    }
}

/// Files that lie about where snapshots do, and what to do with them.
fn foreign(begin: &[u8]) -> anyhow::Error {
    const UNPACK: &str = "unpack it first";
    const KNOWN: [(&[u8], &str, &str); 7] = [
        (b"\x1f\x8b", "compressed with gzip", UNPACK),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd", UNPACK),
        (b"\xfd7zXZ\0", "compressed with xz", UNPACK),
        (b"BZh", "compressed with bzip2", UNPACK),
        (b"PK\x03\x04", "a zip archive", UNPACK),
        (
            b"age-encryption.org/",
            "sealed with age",
            "open it with its key first",
        ),
        (
            b"SQLite format 3\0",
            "an SQLite database",
            "kine's are not read",
        ),
    ];
    if let Some((_, what, next)) = KNOWN.iter().find(|(magic, ..)| begin.starts_with(magic)) {
        return anyhow!("it is {what}; {next}");
    }
    let what = match begin.iter().all(|byte| *byte == 0) {
        true => "it begins with zeros, as a file does whose writing was cut off",
        false => "it is no bbolt database",
    };
    anyhow!("{what}; name a file of `etcdctl snapshot save`, or a stopped member's member/snap/db")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_fnv() {
        // From the reference's list of test vectors.
        assert_eq!(fnv1a(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_F739_67E8);
    }

    #[test]
    fn a_foreign_file_is_called_by_its_name() {
        let cases: [(&[u8], &str); 6] = [
            (
                b"\x1f\x8b\x08rest",
                "it is compressed with gzip; unpack it first",
            ),
            (b"SQLite format 3\0\x10", "it is an SQLite database; kine's"),
            (b"age-encryption.org/v1\n", "it is sealed with age; open it"),
            (&[0; 4096], "it begins with zeros"),
            (b"hello", "it is no bbolt database; name a file"),
            (b"", "it is empty"),
        ];
        for (bytes, expected) in cases {
            let error = read(&bytes.to_vec()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
