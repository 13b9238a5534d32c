//! Where the bytes of a snapshot are: a file, or memory.
//!
//! Read by position and not mapped: a file that somebody cuts off meanwhile is an error here and would be a
//! SIGBUS there, and what is held in memory is what this module holds.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use crate::exit::{Exit, WithExit, fail};

/// What is read at once where more is likely to be wanted; most pages are no larger.
const AHEAD: usize = 4096;

/// Bytes that can be read anywhere.
pub trait Source: Send + Sync {
    /// How many there are.
    fn size(&self) -> u64;
    /// Fills `into` from `offset` on.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
}

/// A file as large as it was when it was opened.
struct Whole {
    file: File,
    size: u64,
}

impl Source for Whole {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }
}

impl Source for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).ok();
        let there = from.and_then(|from| self.get(from..)?.get(..into.len()));
        into.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Opens a regular file that no etcd has open: a running one changes its pages under whoever reads them.
pub fn open(path: &Path) -> Result<Box<dyn Source>> {
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let known = match fs::metadata(path) {
        Err(error) if is_missing(&error) => return Err(fail(Exit::NotFound, error)),
        known => known?,
    };
    if !known.is_file() {
        bail!("it is not a regular file; name the snapshot file itself");
    }
    let file = File::open(path)?;
    // Where the file system has no locks, nothing can be learned.
    if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
        let running = "a running etcd has it open; stop that etcd, or have it save a snapshot \
                       (etcdctl snapshot save) and read that";
        return Err(anyhow!(running)).exit(Exit::Refused);
    }
    let size = file.metadata()?.len();
    Ok(Box::new(Whole { file, size }))
}

/// The part of a source that was read last, so that neighbours cost one read.
pub struct Window<'a> {
    source: &'a dyn Source,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    /// An empty one.
    pub fn new(source: &'a dyn Source) -> Self {
        Self {
            source,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// `len` bytes from `offset`; whoever asks has made sure that `len` is sensible.
    pub fn get(&mut self, offset: u64, len: usize) -> Result<&[u8]> {
        if len == 0 {
            return Ok(&[]);
        }
        if self.held(offset, len).is_none() {
            let rest = self.source.size().saturating_sub(offset);
            let ahead = AHEAD.min(usize::try_from(rest).unwrap_or(AHEAD));
            self.bytes.clear();
            self.bytes.shrink_to(AHEAD);
            self.bytes.resize(len.max(ahead), 0);
            self.start = offset;
            let read = self.source.read_at(offset, &mut self.bytes);
            if read.is_err() {
                self.bytes.clear();
            }
            read.with_context(|| format!("cannot read {len} bytes at byte {offset}"))?;
        }
        self.held(offset, len)
            .with_context(|| format!("there are no {len} bytes at byte {offset}"))
    }

    fn held(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..)?.get(..len)
    }
}
