//! MIME messages (RFC 2045, RFC 2046), as `cloud-init devel make-mime` and Terraform's
//! `cloudinit_config` write them.
//!
//! Only what those write is read: one level of parts, bodies as they are or in base64. A mail
//! library would decode much more, and every decoder is a way to say the same thing differently.

mod header;

use std::borrow::Cow;

use anyhow::Result;

use super::data_url::base64;
use super::invalid;
use crate::config::quote;
use crate::exit::{Exit, WithExit};
use header::{Headers, parameter};

/// Parts of a message.
pub const MAX_PARTS: usize = 64;

/// A part, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its media type without parameters, in lower case.
    pub kind: String,
    /// What it holds.
    pub body: Cow<'a, [u8]>,
}

/// The parts of a message. One that is no multipart is a part itself.
///
/// # Errors
/// [`Exit::Invalid`] if the message is broken or cut off, has too many parts, or parts in a way that
/// is not read; the message names it.
pub fn parse(bytes: &[u8]) -> Result<Vec<Part<'_>>> {
    let (headers, body) = header::split(bytes)?;
    if !headers.kind().starts_with("multipart/") {
        return Ok(vec![part(&headers, body)?]);
    }
    let boundary = parameter(headers.content_type(), "boundary")
        .filter(|boundary| (1..=70).contains(&boundary.len()))
        .ok_or_else(|| invalid("the message's Content-Type has no usable boundary"))?;
    split(body, boundary.as_bytes())?
        .into_iter()
        .enumerate()
        .map(|(index, bytes)| {
            let (headers, body) = header::split(bytes)?;
            nested(&headers, index)?;
            part(&headers, body)
        })
        .collect()
}

fn nested(headers: &Headers, index: usize) -> Result<()> {
    let kind = headers.kind();
    match kind.starts_with("multipart/") {
        true => Err(invalid(format!(
            "part {} of the message is {} itself, which is refused; put its parts side by side",
            index + 1,
            shown(&kind)
        ))),
        false => Ok(()),
    }
}

fn part<'a>(headers: &Headers, body: &'a [u8]) -> Result<Part<'a>> {
    let encoding = headers.get("content-transfer-encoding").trim();
    let body = match encoding.to_ascii_lowercase().as_str() {
        "" | "7bit" | "8bit" | "binary" => Cow::Borrowed(body),
        "base64" => Cow::Owned(base64(body).exit(Exit::Invalid)?),
        other => {
            return Err(invalid(format!(
                "the Content-Transfer-Encoding {} is refused; use base64 or 8bit",
                quote(other)
            )));
        }
    };
    Ok(Part {
        kind: shown(&headers.kind()),
        body,
    })
}

/// A media type as messages may show it.
fn shown(kind: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/+-._".contains(&b);
    match kind.len() <= 127 && kind.bytes().all(plain) {
        true => kind.to_owned(),
        false => quote(kind),
    }
}

/// What stands between the boundary's lines. Before the first is a preamble, after the last an
/// epilogue; neither counts.
fn split<'a>(body: &'a [u8], boundary: &[u8]) -> Result<Vec<&'a [u8]>> {
    let mut parts = Vec::new();
    let mut begin = None;
    let mut at = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let before = at;
        at += line.len();
        let Some(last) = is_boundary(line, boundary) else {
            continue;
        };
        if let Some(begin) = begin.replace(at) {
            parts.push(without_break(body.get(begin..before).unwrap_or_default()));
        }
        if parts.len() > MAX_PARTS {
            return Err(invalid(format!(
                "the message has more than {MAX_PARTS} parts"
            )));
        }
        if last {
            return Ok(parts);
        }
    }
    Err(invalid(
        "the message ends before its last boundary; is it cut off?",
    ))
}

/// Whether a line is the boundary, and whether it is the last one.
fn is_boundary(line: &[u8], boundary: &[u8]) -> Option<bool> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    match rest.trim_ascii_end() {
        b"" => Some(false),
        b"--" => Some(true),
        _ => None,
    }
}

/// The line break before a boundary belongs to the boundary.
fn without_break(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

#[cfg(test)]
mod tests;
