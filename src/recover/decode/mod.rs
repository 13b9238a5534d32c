//! From the bytes that kube-apiserver stores in etcd to the object as the API answers it.
//!
//! Which encoding it is, the first bytes say: `k8s\0` protobuf, 0xd9d9f7 CBOR, anything else JSON. Protobuf needs to
//! be told what each number means; [`schema`] is a table of that, made from Kubernetes' own types, and it also
//! knows what Go leaves out of JSON. Structs by hand would be ten times the code, and would lose what they do not
//! know; the table loses nothing silently: what it does not know is named in [`Decoded::unknown`].
//!
//! The result lacks `metadata.resourceVersion`, as the stored bytes do: it is etcd's revision of the key.
//! Defaults that a newer API server would add on reading are not added.

mod budget;
mod cbor;
mod envelope;
mod protobuf;
mod schema;
mod special;
mod wire;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use budget::Budget;

/// The longest value that is read, in bytes. An API server takes objects of 3 MiB, etcd by default requests of
/// 1.5 MiB.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The first bytes of protobuf.
const PROTOBUF: &[u8] = b"k8s\0";
/// The first bytes of CBOR: the tag that says nothing but that.
const CBOR: &[u8] = &[0xd9, 0xd9, 0xf7];
/// The first bytes of what is still encrypted.
const ENCRYPTED: &[u8] = b"k8s:enc:";

/// An object, and what was in the bytes besides.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// With apiVersion and kind; without resourceVersion.
    pub object: Value,
    /// Paths of fields that a newer Kubernetes wrote, `spec.containers: field 99`; they are not in the object.
    pub unknown: Vec<String>,
}

/// Whether bytes begin as those of a stored object do.
pub fn is_object(bytes: &[u8]) -> bool {
    [PROTOBUF, CBOR, b"{"]
        .iter()
        .any(|first| bytes.starts_with(first))
}

/// Decodes what is stored under a key; `key_hint` is named in errors only.
pub fn object(key_hint: &str, bytes: &[u8]) -> Result<Decoded> {
    decode(bytes).with_context(|| format!("cannot read what is stored as {key_hint}"))
}

fn decode(bytes: &[u8]) -> Result<Decoded> {
    ensure!(
        bytes.len() <= MAX_BYTES,
        "it has {} bytes; at most {MAX_BYTES} are read",
        bytes.len()
    );
    if bytes.starts_with(ENCRYPTED) {
        bail!(
            "it is encrypted; give the API server's --encryption-provider-config file as --encryption-config"
        );
    }
    if let Some(message) = bytes.strip_prefix(PROTOBUF) {
        return protobuf::object(&envelope::open(message)?);
    }
    if let Some(value) = bytes.strip_prefix(CBOR) {
        return self_described(cbor::value(value, &mut Budget::default())?);
    }
    self_described(json(bytes, &mut Budget::default())?)
}

/// JSON and CBOR carry all of the object.
fn self_described(object: Value) -> Result<Decoded> {
    for key in ["apiVersion", "kind"] {
        let known = object.get(key).and_then(Value::as_str);
        ensure!(
            known.is_some_and(|known| !known.is_empty()),
            "it has no {key}"
        );
    }
    ensure!(object["metadata"].is_object(), "it has no metadata");
    for key in ["data", "binaryData"] {
        let data = &object[key];
        ensure!(data.is_null() || data.is_object(), "its {key} is no map");
    }
    let unknown = Vec::new();
    Ok(Decoded { object, unknown })
}

/// A JSON text, alone or within another encoding.
fn json(bytes: &[u8], budget: &mut Budget) -> Result<Value> {
    budget.take_json(bytes)?;
    // serde_json's error tells a line, a column and what it expected, nothing of the text.
    serde_json::from_slice(bytes).context("it is neither protobuf nor CBOR nor JSON")
}

#[cfg(test)]
mod tests;
