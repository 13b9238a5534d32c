//! Secrets of the document: written into it, or named in it.
//!
//! A document that travels through a cloud's metadata service is read by everybody who may read that;
//! a reference keeps the secret itself out of it. Where the reference leads is none of this room's
//! business: see [`crate::node::secrets`].

use serde_json::{Map, Value};

use super::problem::quote;
use crate::secret::Secret;

/// The key under which a reference stands in place of a text.
pub const REF: &str = "secretRef";
/// What a reference may name: the kind, what it is, and a pattern that all of the kind match.
pub const KINDS: [(&str, &str, &str); 3] = [
    (
        "credential",
        "the name of a systemd credential, which begins with \"slipway.\"",
        "^slipway\\.[0-9A-Za-z._-]+$",
    ),
    ("file", "the absolute path of a file on the node", "^/"),
    (
        "sealed",
        "what `systemd-creds encrypt` printed on this machine, in base64",
        "^[0-9A-Za-z+/=\\s]+$",
    ),
];

/// A secret of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sensitive {
    /// The document holds it.
    Inline(Secret),
    /// A systemd credential of that name.
    Credential(String),
    /// A file of the node.
    File(String),
    /// A blob that this machine's systemd-creds opens, in base64.
    Sealed(String),
}

/// Reads a text, or a mapping with nothing but `secretRef`.
///
/// # Errors
/// What is wrong, and where below the value; never the text itself.
pub fn read(value: &Value) -> Result<Sensitive, (String, String)> {
    let here = |message: &str| Err((String::new(), message.to_owned()));
    match value {
        Value::String(text) if text.is_empty() => here("is empty"),
        Value::String(text) => Ok(Sensitive::Inline(Secret::new(text.as_bytes()))),
        Value::Object(entries) => match only(entries) {
            Some((REF, Value::Object(reference))) => {
                reference_of(reference).map_err(|message| (REF.to_owned(), message))
            }
            Some((REF, _)) => Err((REF.to_owned(), format!("must name one of {}", kinds()))),
            _ => here("must be text, or a mapping with nothing but secretRef"),
        },
        _ => here("must be text or a secretRef"),
    }
}

fn reference_of(entries: &Map<String, Value>) -> Result<Sensitive, String> {
    let Some((kind, Value::String(text))) = only(entries) else {
        return Err(format!("must name exactly one of {}, as text", kinds()));
    };
    match kind {
        "credential" => credential(text).map(Sensitive::Credential),
        "file" => file(text).map(Sensitive::File),
        "sealed" => sealed(text).map(Sensitive::Sealed),
        _ => Err(format!(
            "unknown key {}; known here: {}",
            quote(kind),
            kinds()
        )),
    }
}

fn only(entries: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = entries.iter();
    let (key, value) = entries.next()?;
    entries.next().is_none().then_some((key.as_str(), value))
}

fn kinds() -> String {
    KINDS.map(|(kind, ..)| kind).join(", ")
}

/// The units of slipway import only names that begin like this.
fn credential(name: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let rest = name.strip_prefix("slipway.").unwrap_or_default();
    match !rest.is_empty() && name.len() <= 255 && name.bytes().all(plain) {
        true => Ok(name.to_owned()),
        false => Err(format!(
            "{} cannot name a credential; begin with \"slipway.\" and use letters, digits, \".\", \"-\" and \"_\"",
            quote(name)
        )),
    }
}

fn file(path: &str) -> Result<String, String> {
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    match path
        .strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(plain))
    {
        true => Ok(path.to_owned()),
        false => Err(format!("{} is not a plain absolute path", quote(path))),
    }
}

/// systemd-creds breaks its output into lines.
fn sealed(text: &str) -> Result<String, String> {
    let blob: String = text.split_ascii_whitespace().collect();
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    match !blob.is_empty() && blob.bytes().all(base64) {
        true => Ok(blob),
        false => Err("is not base64; give what systemd-creds encrypt printed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_and_references() {
        let good = [
            (json!("s3cret"), Sensitive::Inline(Secret::new("s3cret"))),
            (
                json!({"secretRef": {"credential": "slipway.x"}}),
                Sensitive::Credential("slipway.x".into()),
            ),
            (
                json!({"secretRef": {"file": "/a/b"}}),
                Sensitive::File("/a/b".into()),
            ),
            (
                json!({"secretRef": {"sealed": "aGk=\n aGk="}}),
                Sensitive::Sealed("aGk=aGk=".into()),
            ),
        ];
        for (value, want) in good {
            assert_eq!(read(&value), Ok(want));
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        let bad = [
            (json!(""), "", "empty"),
            (json!(17), "", "text or a secretRef"),
            (json!({"secretref": {}}), "", "nothing but secretRef"),
            (
                json!({"secretRef": {}, "x": 1}),
                "",
                "nothing but secretRef",
            ),
            (
                json!({"secretRef": "s3cret"}),
                REF,
                "one of credential, file, sealed",
            ),
            (
                json!({"secretRef": {"file": "/a", "sealed": "aa"}}),
                REF,
                "exactly one",
            ),
            (json!({"secretRef": {"vault": "a"}}), REF, "unknown key"),
            (json!({"secretRef": {"credential": "x"}}), REF, "begin with"),
            (json!({"secretRef": {"file": "a/../b"}}), REF, "absolute"),
            (json!({"secretRef": {"sealed": "s3cret!"}}), REF, "base64"),
        ];
        for (value, place, message) in bad {
            let (at, text) = read(&value).unwrap_err();
            assert_eq!(at, place, "{value}");
            assert!(text.contains(message) && !text.contains("s3cret"), "{text}");
        }
    }
}
