//! What bytes are, told from how they begin.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::refused::Refused;

/// The kinds of deliveries.
#[derive(Debug)]
pub enum Format {
    /// Something packed.
    Gzip,
    /// Ignition's JSON.
    Ignition,
    /// cloud-init's YAML.
    CloudConfig,
    /// Parts, each of some kind.
    Mime,
    /// The machine document, or so it must be judged.
    Native,
    /// Nothing that is opened.
    Refused(&'static Refused),
}

/// The kind that `bytes` are of.
pub fn detect(bytes: &[u8]) -> Format {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Format::Gzip;
    }
    let start = text(bytes);
    if first_line(start) == b"#cloud-config" {
        Format::CloudConfig
    } else if is_mime(start) {
        Format::Mime
    } else if is_ignition(start) {
        Format::Ignition
    } else {
        Refused::find(start).map_or(Format::Native, Format::Refused)
    }
}

/// A text without what may stand before it.
pub fn text(bytes: &[u8]) -> &[u8] {
    bytes
        .strip_prefix("\u{feff}".as_bytes())
        .unwrap_or(bytes)
        .trim_ascii_start()
}

fn first_line(text: &[u8]) -> &[u8] {
    let line = text.split(|byte| *byte == b'\n').next();
    line.unwrap_or_default().trim_ascii_end()
}

/// Whether the first line is a header that MIME messages begin with.
fn is_mime(text: &[u8]) -> bool {
    let header = text.split(|byte| *byte == b':').next().unwrap_or_default();
    [&b"content-type"[..], b"mime-version"]
        .iter()
        .any(|name| header.eq_ignore_ascii_case(name))
}

/// Whether `part` stands somewhere in `bytes`.
pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}

/// Of all JSON, what tells the two documents apart.
#[derive(Deserialize)]
struct Probe {
    ignition: Option<IgnoredAny>,
    #[serde(rename = "apiVersion")]
    api_version: Option<IgnoredAny>,
}

/// Whether it is a JSON object with Ignition's own section. One that is broken is looked for as
/// text, because a broken Ignition config is still none of ours.
fn is_ignition(text: &[u8]) -> bool {
    let has = |needle| contains(text, needle);
    text.starts_with(b"{")
        && match serde_json::from_slice::<Probe>(text) {
            Ok(probe) => probe.ignition.is_some() && probe.api_version.is_none(),
            Err(_) => has(b"\"ignition\"") && !has(b"\"apiVersion\""),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8]) -> &'static str {
        match detect(bytes) {
            Format::Gzip => "gzip",
            Format::Ignition => "Ignition",
            Format::CloudConfig => "cloud-config",
            Format::Mime => "MIME",
            Format::Native => "native",
            Format::Refused(_) => "refused",
        }
    }

    #[test]
    fn told_from_the_beginning() {
        let cases: [(&[u8], &str); 24] = [
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"\x1f", "native"),
            (b"#cloud-config", "cloud-config"),
            (b"#cloud-config  \r\nusers: []", "cloud-config"),
            (b"\xef\xbb\xbf\n#cloud-config\n", "cloud-config"),
            (b"#cloud-config: yes\n", "refused"),
            (b"#cloud-config-archive\n", "refused"),
            (b"# cloud-config\n", "native"),
            (b"#!/bin/sh\n", "refused"),
            (b"MIME-Version: 1.0\n", "MIME"),
            (b"content-TYPE: multipart/mixed; boundary=x\n", "MIME"),
            (b"Content-Type", "MIME"),
            (b"Content-Types: x\n", "native"),
            (b"{\"ignition\": {\"version\": \"3.4.0\"}}", "Ignition"),
            (b" {\"a\": 1, \"ignition\": {}}", "Ignition"),
            (
                b"{\"ignition\": {}, \"passwd\": \"apiVersion\"}",
                "Ignition",
            ),
            (b"{\"ignition\": {\"version\": \"3.4.0\"}", "Ignition"),
            (b"{\"ignition\": 1, \"apiVersion\": \"x\"}", "native"),
            (
                b"{\"apiVersion\": \"x\", \"cluster\": \"ignition\"}",
                "native",
            ),
            (b"{\"ignition\": null}", "native"),
            (b"variant: fcos\n", "refused"),
            (b"# mine\n---\n\nvariant: fcos\n", "refused"),
            (b"apiVersion: slipway.dev/v1alpha1", "native"),
            (b"", "native"),
        ];
        for (bytes, want) in cases {
            assert_eq!(name(bytes), want, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
