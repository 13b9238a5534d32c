//! The header: a version, a stanza for each recipient, a MAC over all of it.
//!
//! Everything has one spelling: base64 without padding whose spare bits are zero, bodies in lines of 64
//! characters whose last is shorter.

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ring::hmac::{self, HMAC_SHA256};

use super::VERSION;
use super::keys::LENGTH;

/// No header that somebody makes on purpose is larger.
const LIMIT: usize = 64 * 1024;
const COLUMNS: usize = 64;
const STANZA: &[u8] = b"-> ";
const END: &[u8] = b"---";
/// The kind of stanza that is ours.
const OURS: &str = "X25519";
/// What a file in letters begins with, which `age -a` writes.
const ARMOR: &[u8] = b"-----BEGIN AGE";

/// A header as read, or to be written.
#[derive(Debug, Default)]
pub struct Header {
    pub stanzas: Vec<Stanza>,
    /// What the MAC covers.
    covered: Vec<u8>,
    mac: Vec<u8>,
}

/// One way to the file key.
#[derive(Debug)]
pub struct Stanza {
    kind: String,
    arguments: Vec<String>,
    pub body: Vec<u8>,
}

impl Stanza {
    /// For somebody who has a secret key; `share` is the ephemeral public one.
    pub fn ours(share: &[u8; LENGTH], body: Vec<u8>) -> Self {
        Self {
            kind: OURS.to_owned(),
            arguments: vec![BASE64.encode(share)],
            body,
        }
    }

    /// Whether it is of the kind that can be opened here.
    pub fn is_ours(&self) -> bool {
        self.kind == OURS
    }

    /// The ephemeral public key; `None` if it is of another kind.
    pub fn share(&self) -> Result<Option<[u8; LENGTH]>> {
        if !self.is_ours() {
            return Ok(None);
        }
        let [share] = self.arguments.as_slice() else {
            bail!(
                "its header is damaged: a stanza has {} arguments",
                self.arguments.len()
            );
        };
        let share = decoded(share.as_bytes())?.try_into();
        share
            .map(Some)
            .map_err(|_| anyhow!("its header is damaged: a key is too short or too long"))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(STANZA);
        out.extend_from_slice(self.kind.as_bytes());
        for argument in &self.arguments {
            out.push(b' ');
            out.extend_from_slice(argument.as_bytes());
        }
        out.push(b'\n');
        let body = BASE64.encode(&self.body);
        // A last line that is full is followed by an empty one.
        let is_full = body.len().is_multiple_of(COLUMNS);
        for line in body.as_bytes().chunks(COLUMNS) {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        if is_full {
            out.push(b'\n');
        }
    }
}

impl Header {
    /// The header of a sealed file, and what follows it.
    pub fn parse(sealed: &[u8]) -> Result<(Self, &[u8])> {
        ensure!(
            !sealed.starts_with(ARMOR),
            "it is written in letters (`age --armor`), which is not supported; seal it without that option"
        );
        let mut lines = Lines { all: sealed, at: 0 };
        let first = lines.next().unwrap_or_default();
        ensure!(
            first == VERSION.as_bytes(),
            "it does not begin with {VERSION}: it was not sealed by age, or not in version 1"
        );
        let mut header = Self::default();
        loop {
            let start = lines.at;
            let line = lines.next()?;
            if let Some(mac) = line.strip_prefix(END) {
                let mac = mac.strip_prefix(b" ").context("its header is damaged")?;
                header.mac = decoded(mac)?;
                header.covered = sealed[..start + END.len()].to_vec();
                return Ok((header, &sealed[lines.at..]));
            }
            let stanza = line.strip_prefix(STANZA).context("its header is damaged")?;
            header.stanzas.push(stanza_of(stanza, &mut lines)?);
        }
    }

    /// Whether it is as it was sealed.
    pub fn check(&self, key: &[u8; 32]) -> Result<()> {
        let key = hmac::Key::new(HMAC_SHA256, key);
        hmac::verify(&key, &self.covered, &self.mac)
            .map_err(|_| anyhow!("its header was changed since it was sealed"))
    }

    /// The bytes of it, with the MAC that `key` makes.
    pub fn write(&self, key: &[u8; 32]) -> Vec<u8> {
        let mut out = format!("{VERSION}\n").into_bytes();
        for stanza in &self.stanzas {
            stanza.write(&mut out);
        }
        out.extend_from_slice(END);
        let mac = hmac::sign(&hmac::Key::new(HMAC_SHA256, key), &out);
        out.extend_from_slice(format!(" {}\n", BASE64.encode(mac)).as_bytes());
        out
    }
}

/// Lines of a header, without their ends.
struct Lines<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a [u8]> {
        let rest = self.all.get(self.at..LIMIT.min(self.all.len()));
        let rest = rest.unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n');
        let end =
            end.context("its header does not end: it is cut off, or it was not sealed by age")?;
        self.at += end + 1;
        Ok(rest.get(..end).unwrap_or_default())
    }
}

fn stanza_of(line: &[u8], lines: &mut Lines<'_>) -> Result<Stanza> {
    let is_word = |word: &&[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_graphic);
    let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
    ensure!(words.iter().all(is_word), "its header is damaged");
    let mut words = words
        .into_iter()
        .map(|word| String::from_utf8_lossy(word).into_owned());
    let kind = words.next().unwrap_or_default();
    let mut body = Vec::new();
    loop {
        let line = lines.next()?;
        ensure!(line.len() <= COLUMNS, "its header is damaged");
        body.extend_from_slice(line);
        if line.len() < COLUMNS {
            break;
        }
    }
    Ok(Stanza {
        kind,
        arguments: words.collect(),
        body: decoded(&body)?,
    })
}

fn decoded(text: &[u8]) -> Result<Vec<u8>> {
    let bytes = BASE64.decode(text);
    bytes.map_err(|_| anyhow!("its header is damaged: something in it is no base64"))
}
