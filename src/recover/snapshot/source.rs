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
    filled: usize,
    /// Reused as it is: to clear it before every read would take longer than to read.
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    /// An empty one.
    pub fn new(source: &'a dyn Source) -> Self {
        Self {
            source,
            start: 0,
            filled: 0,
            buffer: Vec::new(),
        }
    }

    /// `len` bytes from `offset`; whoever asks has made sure that `len` is sensible.
    pub fn get(&mut self, offset: u64, len: usize) -> Result<&[u8]> {
        if len == 0 {
            return Ok(&[]);
        }
        if self.held(offset, len).is_none() {
            self.fill(offset, len)
                .with_context(|| format!("cannot read {len} bytes at byte {offset}"))?;
        }
        self.held(offset, len)
            .with_context(|| format!("there are no {len} bytes at byte {offset}"))
    }

    fn fill(&mut self, offset: u64, len: usize) -> io::Result<()> {
        let rest = self.source.size().saturating_sub(offset);
        let wanted = len.max(usize::try_from(rest).unwrap_or(AHEAD).min(AHEAD));
        let size = wanted.max(AHEAD);
        if self.buffer.len() != size {
            // The old one first: a large one must not be there twice.
            self.buffer = Vec::new();
            self.buffer = vec![0; size];
        }
        self.filled = 0;
        if let Some(into) = self.buffer.get_mut(..wanted) {
            self.source.read_at(offset, into)?;
            self.start = offset;
            self.filled = wanted;
        }
        Ok(())
    }

    fn held(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let filled = self.buffer.get(..self.filled)?;
        filled.get(from..)?.get(..len)
    }
}
