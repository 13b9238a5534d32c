//! A member's database as a stream.
//!
//! etcd sends its pages in blobs of 32 KiB, each a line of JSON, and after the last of them one more
//! blob: their SHA-256 (`etcdserver/api/v3rpc/maintenance.go`). `etcdctl snapshot save` writes all of
//! them, and `etcdutl` knows the digest by the file's size, which is then no multiple of 512. So do we:
//! the file is the same. Because nothing marks the digest as such, one blob is always held back.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read, Write};

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{self, SHA256, SHA256_OUTPUT_LEN};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::BodyReader;

use super::client::{Client, decoded};
use crate::hash;
use crate::transport::{Failure, How, Times};

const PATH: &str = "/v3/maintenance/snapshot";
/// A blob of 32 KiB takes 44 KiB of base64.
const LINE_LIMIT: u64 = 1024 * 1024;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The file's size, with the digest at its end.
    pub bytes: u64,
    /// The whole file's SHA-256 in hexadecimal digits, as `sha256sum` prints it.
    pub sha256: String,
    /// The version of etcd's storage, e.g. `3.7.0`; empty before etcd 3.6.
    pub version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    result: Option<Blob<'a>>,
    error: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Blob<'a> {
    #[serde(borrow)]
    blob: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
}

impl Client {
    /// Writes the database of the first member that answers to `to`, as `etcdctl snapshot save` would, and
    /// checks it against its digest. Some 100 KiB of it are in memory.
    ///
    /// # Errors
    /// If no URL answers, if the stream pauses longer than the timeout, breaks off or does not fit its
    /// digest, and if `to` cannot be written. What was written until then is of no use.
    pub fn snapshot(&self, to: &mut impl Write) -> Result<Saved> {
        let times = Times::Steady(self.timeout());
        let answer = self.in_turn(|door| door.post(PATH, &json!({}), times))?;
        let mut lines = BufReader::new(answer.into_body().into_reader());
        let mut taken = Taken::default();
        let mut line = Vec::new();
        while next(&mut lines, &mut line)
            .with_context(|| format!("the snapshot broke off after {} bytes", taken.written))?
        {
            taken.line(&line, to)?;
        }
        taken.end(to)
    }
}

/// The next line; false at the stream's end.
fn next(lines: &mut BufReader<BodyReader<'_>>, line: &mut Vec<u8>) -> Result<bool> {
    line.clear();
    let read = lines.take(LINE_LIMIT).read_until(b'\n', line);
    let length = read.map_err(|error| match Failure::from(ureq::Error::from(error)) {
        Failure::Unreachable(How::TimedOut, why) => {
            anyhow!("etcd {why}; does it hang? see its log")
        }
        Failure::Unreachable(_, why) => anyhow!("etcd is gone: {why}"),
        other => anyhow!("{other:?}"),
    })?;
    Ok(length > 0)
}

/// What came so far.
struct Taken {
    digest: digest::Context,
    /// The blob before the one that comes next.
    held: Vec<u8>,
    written: u64,
    version: String,
}

impl Default for Taken {
    fn default() -> Self {
        Self {
            digest: digest::Context::new(&SHA256),
            held: Vec::new(),
            written: 0,
            version: String::new(),
        }
    }
}

impl Taken {
    fn line(&mut self, line: &[u8], to: &mut impl Write) -> Result<()> {
        let line: Line<'_> = decoded(PATH, line)?;
        let Some(blob) = line.result else {
            let said = line.error["message"].as_str().unwrap_or_default();
            bail!("etcd gave up the snapshot: {said}");
        };
        self.digest.update(&self.held);
        self.write(to)?;
        self.held.clear();
        STANDARD
            .decode_vec(blob.blob.as_bytes(), &mut self.held)
            .context("etcd sent broken base64")?;
        if self.version != blob.version {
            self.version = blob.version.into_owned();
        }
        Ok(())
    }

    fn write(&mut self, to: &mut impl Write) -> Result<()> {
        to.write_all(&self.held)
            .context("the snapshot cannot be written")?;
        self.written += self.held.len() as u64;
        Ok(())
    }

    fn end(mut self, to: &mut impl Write) -> Result<Saved> {
        let digest = self.digest.clone().finish();
        ensure!(
            self.written > 0 && self.held.len() == SHA256_OUTPUT_LEN,
            "the snapshot broke off after {} bytes, before its digest",
            self.written
        );
        ensure!(
            digest.as_ref() == self.held,
            "the snapshot does not fit its digest: {} bytes were damaged on the way",
            self.written
        );
        self.digest.update(&self.held);
        self.write(to)?;
        Ok(Saved {
            bytes: self.written,
            sha256: hash::hex(self.digest.finish().as_ref()),
            version: self.version,
        })
    }
}
