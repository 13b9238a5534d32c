//! The hash at the end of a snapshot, and whether a file can be all of it.
//!
//! `etcdctl snapshot save` writes the database and then its SHA-256; a database is of whole pages, so 32 bytes
//! more than a multiple of 512 is what tells the two apart (etcdutl, snapshot/v3_snapshot.go, hasChecksum).
//! The meta page says how many pages there are, which finds a file cut off before anything is read of it.

use anyhow::{Context, Result, anyhow, bail, ensure};
use ring::digest::{self, SHA256, SHA256_OUTPUT_LEN};

use super::meta::Meta;
use super::source::Source;
use crate::hash;

const HASH: u64 = SHA256_OUTPUT_LEN as u64;
/// The smallest piece that disks write.
const SECTOR: u64 = 512;
/// How much is read and hashed at once: a processor's cache holds it.
const PIECE: usize = 256 * 1024;

/// Whether a snapshot is what was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// The hash at its end is that of the rest.
    Verified {
        /// In hexadecimal.
        sha256: String,
    },
    /// It has none: a member's own database, or a snapshot that lost just its hash. Only its structure was checked.
    NoHash,
}

/// Whether the file has a hash at its end; an error if it cannot be all of the database.
pub fn has_hash(size: u64, meta: &Meta) -> Result<bool> {
    let pages = meta.pages.checked_mul(u64::from(meta.page_size));
    let database = pages.context("its meta page counts more pages than a file can have")?;
    let has_hash = size % SECTOR == HASH;
    let there = if has_hash { size - HASH } else { size };
    if there < database {
        bail!(
            "it is cut off: {size} bytes are there of {database} at least; copy it again, or use another \
             snapshot (a .part file is a save that did not end)"
        );
    }
    ensure!(
        has_hash || size.is_multiple_of(SECTOR),
        "it is cut off within the hash at its end, or something was appended; copy it again, or use \
         another snapshot"
    );
    Ok(has_hash)
}

/// The hash that the file claims to have.
pub fn claimed(source: &dyn Source) -> Result<[u8; SHA256_OUTPUT_LEN]> {
    let mut hash = [0; SHA256_OUTPUT_LEN];
    let start = source.size().saturating_sub(HASH);
    source
        .read_at(start, &mut hash)
        .context("cannot read its hash")?;
    Ok(hash)
}

/// Hashes all of it but the hash; says how far it is after every piece.
pub fn verify(source: &dyn Source, progress: &mut dyn FnMut(u64, u64)) -> Result<Integrity> {
    let claimed = claimed(source)?;
    let all = source.size().saturating_sub(HASH);
    let mut context = digest::Context::new(&SHA256);
    let mut piece = vec![0; PIECE];
    let mut done = 0;
    while done < all {
        let len = usize::try_from(all - done).unwrap_or(PIECE).min(PIECE);
        let (read, _) = piece.split_at_mut(len);
        source
            .read_at(done, read)
            .with_context(|| format!("cannot read at byte {done}"))?;
        context.update(read);
        done += len as u64;
        progress(done, all);
    }
    let found = context.finish();
    if found.as_ref() != claimed {
        return Err(anyhow!(
            "it is damaged: its SHA-256 is {}, and {} was saved with it; copy it again, or use another snapshot",
            hash::hex(found.as_ref()),
            hash::hex(&claimed)
        ));
    }
    Ok(Integrity::Verified {
        sha256: hash::hex(&claimed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_tells_what_a_file_is() {
        let meta = Meta {
            page_size: 4096,
            root: 2,
            pages: 10,
            transaction: 1,
        };
        let all = 10 * 4096;
        for (size, expected) in [(all, false), (all + 32, true), (all * 4, false)] {
            assert_eq!(has_hash(size, &meta).unwrap(), expected, "{size}");
        }
        for size in [
            0,
            31,
            32,
            4096,
            all - 512,
            all - 512 + 32,
            all + 1,
            all + 31,
            all + 33,
        ] {
            let error = has_hash(size, &meta).unwrap_err().to_string();
            assert!(error.starts_with("it is cut off"), "{error}");
        }
    }
}
