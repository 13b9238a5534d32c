//! What a machine document may be wrapped in.
//!
//! Metadata services carry whatever their users gave them, so the first question about any bytes is
//! what they are. For now the native document is the only answer that goes on; everything
//! else is recognised so that it can be refused by its name, instead of as bad YAML.

use anyhow::{Result, anyhow};

use crate::config::API_VERSION;
use crate::exit::{Exit, fail};

/// A format that is recognised but not read.
struct Format {
    /// Completes "it is".
    name: &'static str,
    /// Whether bytes, without what may stand before a text, are of it.
    is: fn(&[u8]) -> bool,
}

const REFUSED: [Format; 5] = [
    Format {
        name: "gzip-compressed",
        is: |bytes| bytes.starts_with(&[0x1f, 0x8b]),
    },
    Format {
        name: "a #cloud-config document",
        is: |bytes| bytes.starts_with(b"#cloud-config"),
    },
    Format {
        name: "a script (#!)",
        is: |bytes| bytes.starts_with(b"#!"),
    },
    Format {
        name: "a MIME message",
        is: is_mime,
    },
    Format {
        name: "an Ignition config",
        is: is_ignition,
    },
];

/// Takes the envelope off: returns the text of the machine document.
///
/// # Errors
/// [`Exit::Invalid`] if the bytes are something else than a native document.
pub fn open(bytes: &[u8]) -> Result<&[u8]> {
    let start = bytes
        .strip_prefix("\u{feff}".as_bytes())
        .unwrap_or(bytes)
        .trim_ascii_start();
    match REFUSED.iter().find(|format| (format.is)(start)) {
        None => Ok(bytes),
        Some(Format { name, .. }) => {
            let next = format!("give the native document itself (apiVersion: {API_VERSION})");
            let error = anyhow!("it is {name}, which is not supported yet; {next}");
            Err(fail(Exit::Invalid, error))
        }
    }
}

/// Whether the first line is a header that MIME messages begin with.
fn is_mime(bytes: &[u8]) -> bool {
    let header = bytes.split(|byte| *byte == b':').next().unwrap_or_default();
    [&b"content-type"[..], b"mime-version"]
        .iter()
        .any(|name| header.eq_ignore_ascii_case(name))
}

/// Whether it is a JSON object with Ignition's own section. Looked for as text, because
/// a broken Ignition config is still none of ours.
fn is_ignition(bytes: &[u8]) -> bool {
    let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    bytes.starts_with(b"{") && has(b"\"ignition\"") && !has(b"\"apiVersion\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;

    #[test]
    fn others_are_refused_by_name() {
        let cases: [(&[u8], &str); 7] = [
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"#cloud-config\nusers: []", "#cloud-config"),
            (b"\xef\xbb\xbf\n#cloud-config\n", "#cloud-config"),
            (b"#!/bin/sh\n", "script"),
            (b"MIME-Version: 1.0\n", "MIME"),
            (b"Content-Type: multipart/mixed; boundary=x\n", "MIME"),
            (b"{\"ignition\": {\"version\": \"3.4.0\"}}", "Ignition"),
        ];
        for (bytes, want) in cases {
            let error = open(bytes).unwrap_err();
            assert!(error.to_string().contains(want), "{error}");
            assert_eq!(exit_of(&error), Exit::Invalid);
        }
    }

    #[test]
    fn native_documents_pass_unchanged() {
        let json: &[u8] =
            b"{\"apiVersion\": \"slipway.dev/v1alpha1\", \"cluster\": {\"name\": \"ignition\"}}";
        for native in [
            &b"apiVersion: slipway.dev/v1alpha1"[..],
            b"# comment\n",
            b"",
            json,
        ] {
            assert_eq!(open(native).unwrap(), native);
        }
    }
}
