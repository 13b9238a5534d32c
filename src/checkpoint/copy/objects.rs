//! What Secrets and ConfigMaps hold.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{File, Files, Given, modes, paths};
use crate::checkpoint::workload::text;
use crate::secret::Secret;

/// The kinds of objects that a pod's data comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        })
    }
}

/// An object that a pod names, in its own namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
    /// Whether the pod starts without it.
    pub optional: bool,
}

/// The type of Secrets that hold a token of a ServiceAccount.
const TOKEN: &str = "kubernetes.io/service-account-token";

/// The object itself; `None` if it is not in the API and need not be.
fn object<'a>(
    given: &Given<'a>,
    kind: ObjectKind,
    name: &str,
    optional: bool,
) -> Result<Option<&'a Value>> {
    let Some(object) = given.objects.get(&(kind, name.to_owned())) else {
        ensure!(
            optional,
            "it names the {kind} {name}, which is not there; create it, or mark it as optional"
        );
        return Ok(None);
    };
    if kind == ObjectKind::Secret && object["type"] == TOKEN {
        bail!(
            "the Secret {name} holds a token of a ServiceAccount, and no token is put into a checkpoint; mount the \
             pod's own ServiceAccount in its place"
        );
    }
    Ok(Some(object))
}

/// Everything in an object, by key.
pub(super) fn files(
    given: &Given<'_>,
    kind: ObjectKind,
    name: &str,
    optional: bool,
) -> Result<BTreeMap<String, Secret>> {
    let Some(object) = object(given, kind, name, optional)? else {
        return Ok(BTreeMap::new());
    };
    let mut files = BTreeMap::new();
    if kind == ObjectKind::ConfigMap {
        for (key, value) in entries(&object["data"]) {
            files.insert(key.to_owned(), Secret::new(text(value)));
        }
    }
    let encoded = match kind {
        ObjectKind::Secret => "data",
        ObjectKind::ConfigMap => "binaryData",
    };
    for (key, value) in entries(&object[encoded]) {
        // What is wrong with the bytes stays unsaid: they may be secret.
        let bytes = STANDARD.decode(text(value)).ok();
        let bytes = bytes.with_context(|| format!("{kind} {name}, key {key}: not base64"))?;
        files.insert(key.to_owned(), Secret::new(bytes));
    }
    Ok(files)
}

/// What the environment can have of an object: the kubelet does not look into binaryData for it.
pub(super) fn texts(
    given: &Given<'_>,
    kind: ObjectKind,
    name: &str,
    optional: bool,
) -> Result<BTreeMap<String, String>> {
    let Some(object) = object(given, kind, name, optional)? else {
        return Ok(BTreeMap::new());
    };
    let is_text = |key: &str| kind == ObjectKind::Secret || !object["data"][key].is_null();
    let mut texts = BTreeMap::new();
    for (key, bytes) in files(given, kind, name, optional)? {
        if !is_text(&key) {
            continue;
        }
        let value = String::from_utf8(bytes.expose().to_vec()).ok();
        let value = value.with_context(|| {
            format!("{kind} {name}, key {key}: no UTF-8 text, so no environment can be written down; mount it as a file")
        })?;
        texts.insert(key, value);
    }
    Ok(texts)
}

fn entries(data: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let entries = data.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.as_str(), value))
}

/// The files that a volume of this `defaultMode` shows of an object: all of them, or its `items` where they are to lie.
pub(super) fn project(
    given: &Given<'_>,
    kind: ObjectKind,
    name: &str,
    source: &Value,
    default_mode: &Value,
) -> Result<Files> {
    let optional = super::is_optional(source);
    let all = files(given, kind, name, optional)?;
    let items = super::list(&source["items"]);
    let mut files = Files::new();
    if items.is_empty() {
        for (key, bytes) in all {
            let mode = modes::of(&Value::Null, default_mode);
            files.insert(paths::relative(&key)?, File { bytes, mode });
        }
        return Ok(files);
    }
    for item in items {
        let key = text(&item["key"]);
        match all.get(key) {
            Some(bytes) => {
                let (bytes, mode) = (bytes.clone(), modes::of(item, default_mode));
                files.insert(paths::relative(text(&item["path"]))?, File { bytes, mode });
            }
            None if optional => {}
            None => bail!("the {kind} {name} has no key {key}; add it, or mark it as optional"),
        }
    }
    Ok(files)
}
