//! `#cloud-config`: of cloud-init's YAML, what places files and names the machine.
//!
//! Source: docs.cloud-init.io, modules `write_files` and `set_hostname`. The text may be a thousand
//! times a machine document's, so no tree is made of it: events are read as they come, and
//! what is not kept is skipped. What PyYAML would make of a scalar is asked only where it matters
//! (see [`file`]).

mod events;
mod file;
mod meter;

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow};
use yaml_rust2::Event;

use super::{Gathered, invalid};
use crate::config::quote;
use crate::exit::{Exit, WithExit};
use events::{Reader, is_null};

/// Keys at the top; cloud-init knows about a hundred.
const MAX_KEYS: usize = 256;
/// Keys that a warning names.
const MAX_NAMED: usize = 16;

/// Takes the files and host name out of a text that begins with `#cloud-config`.
///
/// # Errors
/// [`Exit::Invalid`] for YAML that is broken, or that uses anchors, aliases or tags; and for a file
/// that is not described as `write_files` has it.
pub fn open(text: &[u8], gathered: &mut Gathered) -> Result<()> {
    let text = std::str::from_utf8(text)
        .map_err(|_| anyhow!("it is not UTF-8 text; save it as UTF-8"))
        .exit(Exit::Invalid)?;
    let mut config = Config {
        reader: Reader::new(text)?,
        gathered,
        seen: BTreeSet::new(),
        left_out: Vec::new(),
        hostname: None,
        fqdn: None,
    };
    config.read().context("cannot use the #cloud-config")
}

struct Config<'t, 'g> {
    reader: Reader<'t>,
    gathered: &'g mut Gathered,
    /// Every key at the top so far.
    seen: BTreeSet<String>,
    /// Those of them that mean nothing here.
    left_out: Vec<String>,
    hostname: Option<String>,
    fqdn: Option<String>,
}

impl Config<'_, '_> {
    fn read(&mut self) -> Result<()> {
        match self.reader.next()? {
            Event::MappingStart(..) => {
                while let Some(key) = self.reader.key()? {
                    self.key(key)?;
                }
            }
            // Comments alone.
            Event::StreamEnd => return Ok(()),
            Event::Scalar(text, style, ..) if is_null(&text, style) => {}
            _ => {
                return Err(self
                    .reader
                    .error("a mapping must be here, e.g. write_files:"));
            }
        }
        self.reader.end()?;
        if let Some(name) = name(self.hostname.as_deref(), self.fqdn.as_deref()) {
            self.gathered.hostname(name)?;
        }
        self.warn();
        Ok(())
    }

    fn key(&mut self, key: String) -> Result<()> {
        if self.seen.contains(&key) {
            let key = quote(&key);
            return Err(self.reader.error(&format!("the key {key} is there twice")));
        }
        if self.seen.len() == MAX_KEYS {
            let error = format!("there are more than {MAX_KEYS} keys");
            return Err(self.reader.error(&error));
        }
        match key.as_str() {
            "write_files" => self.files()?,
            "hostname" => self.hostname = self.reader.scalar(&key)?.text(),
            "fqdn" => self.fqdn = self.reader.scalar(&key)?.text(),
            "preserve_hostname" => self.reader.skip()?,
            _ => {
                self.left_out.push(key.clone());
                self.reader.skip()?;
            }
        }
        self.seen.insert(key);
        Ok(())
    }

    fn files(&mut self) -> Result<()> {
        match self.reader.next()? {
            Event::SequenceStart(..) => {}
            Event::Scalar(text, style, ..) if is_null(&text, style) => return Ok(()),
            _ => return Err(self.reader.error("write_files must be a list of files")),
        }
        loop {
            match self.reader.next()? {
                Event::SequenceEnd => return Ok(()),
                Event::MappingStart(..) => file::read(&mut self.reader, self.gathered)?,
                _ => {
                    return Err(self
                        .reader
                        .error("a file must be a mapping, e.g. - path: ..."));
                }
            }
        }
    }

    fn warn(&mut self) {
        let mut names: Vec<_> = self
            .left_out
            .iter()
            .take(MAX_NAMED)
            .map(|key| plain(key))
            .collect();
        let more = self.left_out.len() - names.len();
        if more > 0 {
            names.push(format!("and {more} more"));
        }
        if !names.is_empty() {
            let names = names.join(", ");
            self.gathered
                .warn(format!("cloud-init itself has to handle: {names}"));
        }
    }
}

/// What cloud-init makes the host name of (its `get_hostname_fqdn`): `hostname` beside an `fqdn`, else
/// the first label of the one there is.
fn name<'t>(hostname: Option<&'t str>, fqdn: Option<&'t str>) -> Option<&'t str> {
    match (hostname, fqdn) {
        (Some(hostname), Some(_)) => Some(hostname),
        (one, other) => one.or(other)?.split('.').next(),
    }
}

/// A key as a warning shows it: as it is, if it looks like one.
fn plain(key: &str) -> String {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    match (1..=40).contains(&key.len()) && key.bytes().all(fits) {
        true => key.to_owned(),
        false => quote(key),
    }
}

/// An error about one line of the text.
fn at(line: usize, message: &str) -> anyhow::Error {
    invalid(format!("line {line}: {message}"))
}

#[cfg(test)]
mod tests;
