//! What `start` would make of a cluster: every object of an asset directory as a dry run of server-side
//! apply.
//!
//! The server answers with the object as it would be, defaults and admission included, so the comparison
//! is the server's own. A dry run creates nothing, so what needs a namespace or a definition that is only
//! planned itself cannot be judged; it is counted as created, and said to be.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::mask;
use crate::kube::{Client, Error, name_of};
use crate::start::{MANAGER, Manifest};

/// So many fields of one object are named; the rest is counted.
const MAX_FIELDS: usize = 20;
/// A value is cut to so many characters.
const MAX_VALUE: usize = 60;
/// What every write changes.
const UNTOLD: [&str; 6] = [
    ".metadata.creationTimestamp",
    ".metadata.generation",
    ".metadata.managedFields",
    ".metadata.resourceVersion",
    ".metadata.uid",
    ".status",
];

/// What would become of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it should be.
    Same,
    /// It is not there; the text says what must come before it, if something must.
    Create(Option<String>),
    /// These fields would change.
    Change(Vec<String>),
    /// Another manager owns these fields; it would be left alone.
    Leave(Vec<String>),
    /// The server does not want it.
    Refused(String),
}

/// One object and what would become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// E.g. `Deployment kube-system/coredns`.
    pub name: String,
    /// The file it stands in.
    pub file: String,
    /// What would become of it.
    pub verdict: Verdict,
}

/// Asks the server about all manifests.
///
/// # Errors
/// If there is no server to ask, or it does not know who asks.
pub fn objects(client: &Client, manifests: &[Manifest]) -> Result<Vec<Object>> {
    let coming = Coming::new(manifests);
    let mut objects = Vec::new();
    for Manifest { file, object } in manifests {
        let verdict = match client.dry_run(object, MANAGER) {
            Ok((None, _)) => Verdict::Create(None),
            Ok((Some(before), after)) => compare(before, after),
            Err(error) if error.code() == Some(401) || error.code().is_none() && !is_of(&error) => {
                return Err(error).context("cannot ask the cluster");
            }
            Err(error) => judge(object, &error, &coming),
        };
        let (name, file) = (name_of(object), file.clone());
        objects.push(Object {
            name,
            file,
            verdict,
        });
    }
    Ok(objects)
}

/// Whether an error without a status is of the object rather than of the server.
fn is_of(error: &Error) -> bool {
    matches!(error, Error::UnknownKind { .. } | Error::Request(_))
}

/// What the manifests themselves bring.
struct Coming<'a> {
    namespaces: BTreeSet<&'a str>,
    /// Group and kind.
    kinds: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Coming<'a> {
    fn new(manifests: &'a [Manifest]) -> Self {
        let of_kind = |kind: &'static str| {
            let objects = manifests.iter().map(|manifest| &manifest.object);
            objects.filter(move |object| object["kind"] == kind)
        };
        let definition = |object: &'a Value| {
            let spec = &object["spec"];
            Some((spec["group"].as_str()?, spec["names"]["kind"].as_str()?))
        };
        Self {
            namespaces: of_kind("Namespace")
                .filter_map(|object| object["metadata"]["name"].as_str())
                .collect(),
            kinds: of_kind("CustomResourceDefinition")
                .filter_map(definition)
                .collect(),
        }
    }
}

fn judge(object: &Value, error: &Error, coming: &Coming) -> Verdict {
    let namespace = object["metadata"]["namespace"]
        .as_str()
        .unwrap_or("default");
    match error {
        Error::UnknownKind { api_version, kind } => {
            let group = api_version.split_once('/').map_or("", |(group, _)| group);
            match coming.kinds.contains(&(group, kind)) {
                true => Verdict::Create(Some("its kind comes with these manifests".to_owned())),
                false => Verdict::Refused(error.to_string()),
            }
        }
        error if error.is_not_found() && coming.namespaces.contains(namespace) => {
            Verdict::Create(Some("its namespace comes with these manifests".to_owned()))
        }
        Error::Status(status) if status.code == 409 && !status.causes.is_empty() => {
            let causes = status.causes.iter();
            Verdict::Leave(
                causes
                    .map(|cause| format!("{} ({})", cause.field, cause.message))
                    .collect(),
            )
        }
        // The server may quote what it does not like.
        Error::Status(status) if object["kind"] == "Secret" => {
            let fields: Vec<_> = status
                .causes
                .iter()
                .map(|cause| cause.field.as_str())
                .collect();
            Verdict::Refused(
                format!("{} {} {}", status.code, status.reason, fields.join(", "))
                    .trim_end()
                    .to_owned(),
            )
        }
        error => Verdict::Refused(error.to_string()),
    }
}

fn compare(mut before: Value, mut after: Value) -> Verdict {
    if after["kind"] == "Secret" {
        for field in ["data", "stringData"] {
            let old = before[field].clone();
            mask::hide(&mut after[field], Some(&old), true, field);
            mask::hide(&mut before[field], None, true, field);
        }
    }
    let mut fields = Vec::new();
    differences(&before, &after, "", &mut fields);
    match fields.len() {
        0 => Verdict::Same,
        count => {
            fields.truncate(MAX_FIELDS);
            if count > MAX_FIELDS {
                fields.push(format!("and {} more", count - MAX_FIELDS));
            }
            Verdict::Change(fields)
        }
    }
}

fn differences(before: &Value, after: &Value, path: &str, fields: &mut Vec<String>) {
    if before == after || UNTOLD.contains(&path) {
        return;
    }
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let path = match key.contains(['.', '/']) {
                    true => format!("{path}[{key:?}]"),
                    false => format!("{path}.{key}"),
                };
                differences(&before[key], &after[key], &path, fields);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for index in 0..old.len().max(new.len()) {
                let item = |list: &[Value]| list.get(index).cloned().unwrap_or_default();
                differences(&item(old), &item(new), &format!("{path}[{index}]"), fields);
            }
        }
        _ => fields.push(match (shown(before), shown(after)) {
            (old, new) if old == new => format!("{path}: {old} and more differs"),
            (old, new) => format!("{path}: {old} → {new}"),
        }),
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() {
        return "none".to_owned();
    }
    let mut text = value.to_string();
    if let Some((end, _)) = text.char_indices().nth(MAX_VALUE) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl Object {
    /// Whether `start` would change something, or could not.
    pub fn is_difference(&self) -> bool {
        self.verdict != Verdict::Same
    }

    /// A word for what would happen, and its details.
    fn parts(&self) -> (&'static str, Vec<String>) {
        match &self.verdict {
            Verdict::Same => ("same", Vec::new()),
            Verdict::Create(first) => ("create", first.iter().cloned().collect()),
            Verdict::Change(fields) => ("change", fields.clone()),
            Verdict::Leave(fields) => ("leave", fields.clone()),
            Verdict::Refused(reason) => ("refused", vec![reason.clone()]),
        }
    }

    /// For a person.
    pub fn text(&self) -> String {
        let (action, details) = self.parts();
        let mut out = format!("{action:<8} {} ({})\n", self.name, self.file);
        for line in details.iter().flat_map(|detail| detail.lines()) {
            out += &format!("           {line}\n");
        }
        out
    }

    /// For a program.
    pub fn json(&self) -> Value {
        let (action, details) = self.parts();
        json!({"object": self.name, "file": self.file, "action": action, "details": details})
    }
}

#[cfg(test)]
mod tests;
