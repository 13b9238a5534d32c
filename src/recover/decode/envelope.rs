//! What stands around a stored protobuf: runtime.Unknown, which says which kind of object the rest is.
//!
//! Its fields: 1 typeMeta (1 apiVersion, 2 kind), 2 raw, 3 contentEncoding, 4 contentType
//! (k8s.io/apimachinery, pkg/runtime/generated.proto).

use anyhow::{Context, Result, ensure};

use super::wire::{Fields, once};

/// An object that is still protobuf.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    pub api_version: &'a str,
    pub kind: &'a str,
    pub raw: &'a [u8],
}

/// Opens what follows the four magic bytes.
pub fn open(message: &[u8]) -> Result<Sealed<'_>> {
    let (mut types, mut raw, mut encoding, mut content) = (None, None, None, None);
    let mut fields = Fields(message);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => once(&mut types, payload.bytes()?)?,
            2 => once(&mut raw, payload.bytes()?)?,
            3 => once(&mut encoding, payload.text()?)?,
            4 => once(&mut content, payload.text()?)?,
            // Who adds a field here changes what the others mean.
            _ => anyhow::bail!("the envelope has a field {number} that is not known"),
        }
    }
    let encoding = encoding.unwrap_or_default();
    ensure!(
        encoding.is_empty(),
        "the content encoding {encoding:?} is not known"
    );
    let content = content.unwrap_or_default();
    ensure!(
        content.is_empty() || content == "application/vnd.kubernetes.protobuf",
        "the content type {content:?} is not known"
    );
    let (api_version, kind) = type_meta(types.context("the envelope names no kind")?)?;
    // An object all of whose fields are empty is no bytes.
    let raw = raw.unwrap_or_default();
    Ok(Sealed {
        api_version,
        kind,
        raw,
    })
}

fn type_meta(message: &[u8]) -> Result<(&str, &str)> {
    let (mut api_version, mut kind) = (None, None);
    let mut fields = Fields(message);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => once(&mut api_version, payload.text()?)?,
            2 => once(&mut kind, payload.text()?)?,
            _ => anyhow::bail!("the envelope's type has a field {number} that is not known"),
        }
    }
    let named = api_version
        .zip(kind)
        .filter(|(version, kind)| !version.is_empty() && !kind.is_empty());
    named.context("the envelope names no kind")
}
