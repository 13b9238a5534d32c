//! A document that a person gives: a file, or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::MAX_BYTES;
use crate::exit::{Exit, WithExit, fail};

/// The path that means standard input.
const STDIN: &str = "-";

/// What reports call it.
pub fn origin(path: &Path) -> String {
    match path.as_os_str() == STDIN {
        true => "standard input".to_owned(),
        false => format!("file {}", path.display()),
    }
}

/// Reads it.
///
/// # Errors
/// [`Exit::NotFound`] if it cannot be read, [`Exit::Invalid`] if it is too large.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let name = origin(path);
    let opened: io::Result<Box<dyn Read>> = match path.as_os_str() == STDIN {
        true => Ok(Box::new(io::stdin())),
        false => File::open(path).map(|file| Box::new(file) as Box<dyn Read>),
    };
    let source = opened
        .with_context(|| format!("cannot open the machine document, {name} (is the path right?)"))
        .exit(Exit::NotFound)?;
    read_at_most(source, MAX_BYTES, &name)
}

/// Reads to the end, but not without end.
pub fn read_at_most(source: impl Read, max: u64, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source
        .take(max + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read the machine document, {name}"))
        .exit(Exit::NotFound)?;
    if bytes.len() as u64 > max {
        return Err(too_large(name, max));
    }
    Ok(bytes)
}

/// The error for a source that holds more than is read.
pub fn too_large(name: &str, max: u64) -> anyhow::Error {
    let error = anyhow!(
        "{name} holds more than {} KiB; is it a machine document?",
        max / 1024
    );
    fail(Exit::Invalid, error)
}
