//! `patches:` and `manifests:`: what is changed of what slipway renders, and what is added to it.
//!
//! Whether a patch's target is rendered, and what a file holds, is for the rooms that know.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::config::machine::{Content, Manifest, Patch, PatchKind};
use crate::config::problem::quote;
use crate::config::reader::{Reader, choice, wrong_type};
use crate::config::yaml;

/// The field that may hold a Secret's manifest.
pub const CONTENT: &str = "manifests[].content";
const FILE: &str = "manifests[].file";
const NAME: &str = "manifests[].name";
const TARGET: &str = "patches[].target";
const STRATEGIC: &str = "patches[].strategic";
const JSON: &str = "patches[].json";
const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];
/// The operations of RFC 6902, and what each needs beside a path.
const OPERATIONS: [(&str, Option<&str>); 6] = [
    ("add", Some("value")),
    ("remove", None),
    ("replace", Some("value")),
    ("move", Some("from")),
    ("copy", Some("from")),
    ("test", Some("value")),
];

pub fn patches(reader: &mut Reader) -> Vec<Patch> {
    reader.each("patches", |reader, _| {
        let example = "a rendered file's name without .yaml, e.g. kube-apiserver";
        let target = reader.required(TARGET, example, target);
        let change = change(reader);
        Some(Patch {
            target: target?,
            change: change?,
        })
    })
}

fn target(text: &str) -> Result<String, String> {
    let bare = ENDINGS.iter().find_map(|ending| text.strip_suffix(ending));
    match bare {
        Some(bare) => Err(format!("write it without its ending: {bare}")),
        None => file_name(text).map(str::to_owned),
    }
}

/// A name without a path, as those of rendered files are.
fn file_name(text: &str) -> Result<&str, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    match (1..=100).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with(['.', '-'])
    {
        true => Ok(text),
        false => Err(format!(
            "{} is no plain file name; use letters, digits, \"-\", \"_\" and \".\"",
            quote(text)
        )),
    }
}

fn change(reader: &mut Reader) -> Option<PatchKind> {
    let strategic = reader.mapping(STRATEGIC);
    let json = reader.list(JSON);
    match (reader.is_given(STRATEGIC), reader.is_given(JSON)) {
        (true, true) => {
            reader.refuse(JSON, "strategic is there too; make two patches of them");
            None
        }
        (false, false) => {
            reader.demand(STRATEGIC, "what changes, or json in its place");
            None
        }
        (true, false) => {
            let patch = strategic?;
            if patch.is_empty() {
                reader.refuse(STRATEGIC, "changes nothing");
            }
            Some(PatchKind::Strategic(Value::Object(patch.clone())))
        }
        (false, true) => {
            let operations = json?;
            if operations.is_empty() {
                reader.refuse(JSON, "changes nothing");
            }
            for (index, operation) in operations.iter().enumerate() {
                check_operation(reader, &format!("{JSON}[{index}]"), operation);
            }
            Some(PatchKind::Json(Value::Array(operations.clone())))
        }
    }
}

fn check_operation(reader: &mut Reader, place: &str, operation: &Value) {
    let Value::Object(entries) = operation else {
        return reader.refuse(place, wrong_type(operation, "a mapping with op and path"));
    };
    let word = entries
        .get("op")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let Some(needed) = reader.check(&format!("{place}.op"), choice(word, &OPERATIONS)) else {
        return;
    };
    for key in ["path"].into_iter().chain(needed) {
        let problem = match (key, entries.get(key)) {
            (_, None) => format!("missing; {word} needs it"),
            ("value", _) => continue,
            (_, Some(Value::String(pointer))) if is_pointer(pointer) => continue,
            (_, Some(Value::String(pointer))) => {
                format!(
                    "{} is no JSON pointer; write it like /spec/replicas",
                    quote(pointer)
                )
            }
            (_, Some(other)) => wrong_type(other, "text"),
        };
        reader.refuse(&format!("{place}.{key}"), problem);
    }
    for key in entries.keys() {
        if !["op", "path"].contains(&key.as_str()) && Some(key.as_str()) != needed {
            let problem = format!("{} is nothing that {word} needs; remove it", quote(key));
            reader.refuse(place, problem);
        }
    }
}

/// RFC 6901: begins with a slash (or is empty: the whole), and `~` is escaped.
fn is_pointer(text: &str) -> bool {
    let escaped = |rest: &str| rest.starts_with(['0', '1']);
    (text.is_empty() || text.starts_with('/')) && text.split('~').skip(1).all(escaped)
}

pub fn manifests(reader: &mut Reader) -> Vec<Manifest> {
    let mut names = BTreeSet::new();
    reader.each("manifests", |reader, _| {
        let name = reader.required(NAME, "the file's name, e.g. storage.yaml", |text| {
            manifest_name(text, &names)
        });
        names.extend(name.clone());
        let content = reader.optional(CONTENT, None, |text| content(text).map(Some));
        let file = reader.optional(FILE, None, |text| file(text).map(Some));
        match (reader.is_given(CONTENT), reader.is_given(FILE)) {
            (true, true) => reader.refuse(FILE, "content is there too; give one of them"),
            (false, false) => reader.demand(CONTENT, "the manifest, or file in its place"),
            _ => {}
        }
        Some(Manifest {
            name: name?,
            content: content?.or(file?)?,
        })
    })
}

fn manifest_name(text: &str, earlier: &BTreeSet<String>) -> Result<String, String> {
    let name = file_name(text)?;
    if !ENDINGS
        .iter()
        .any(|ending| name.len() > ending.len() && name.ends_with(ending))
    {
        return Err(format!(
            "{} ends in none of {}",
            quote(name),
            ENDINGS.join(", ")
        ));
    }
    match earlier.contains(name) {
        true => Err(format!(
            "{} is another manifest's name already",
            quote(name)
        )),
        false => Ok(name.to_owned()),
    }
}

/// Objects that have a kind: more is the API server's to judge. The text itself is in no message.
fn content(text: &str) -> Result<Content, String> {
    let objects = yaml::documents(text).map_err(|error| match error.location() {
        Some(at) => format!(
            "is not YAML from its line {}, column {}",
            at.line(),
            at.column()
        ),
        None => "is not YAML".to_owned(),
    })?;
    let objects: Vec<_> = objects.iter().filter(|object| !object.is_null()).collect();
    let is_object = |object: &&Value| {
        ["apiVersion", "kind"]
            .iter()
            .all(|key| object[*key].is_string())
    };
    match objects.iter().position(|object| !is_object(object)) {
        Some(index) => Err(format!(
            "object {} in it has no apiVersion or no kind",
            index + 1
        )),
        None if objects.is_empty() => Err("holds no object".to_owned()),
        None => Ok(Content::Inline(text.to_owned())),
    }
}

fn file(text: &str) -> Result<Content, String> {
    absolute(text).map(|path| Content::File(path.to_owned()))
}

/// A path of the node that leads where it says.
pub fn absolute(text: &str) -> Result<&str, String> {
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    match text
        .strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(plain))
    {
        true => Ok(text),
        false => Err(format!("{} is not a plain absolute path", quote(text))),
    }
}
