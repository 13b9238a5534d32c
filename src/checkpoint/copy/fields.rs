//! The downward API: what a pod is told about itself, as literal text.
//!
//! A checkpoint has another name, another uid and fewer labels than its pod. The programs in it should not
//! see that: their identity is the pod's.

use std::fmt::Write;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::{Given, list};
use crate::checkpoint::workload::text;

/// The value of a field of the pod, as the kubelet writes it.
pub(super) fn value(given: &Given<'_>, path: &str) -> Result<String> {
    let (metadata, status) = (&given.pod["metadata"], &given.pod["status"]);
    let empty = Map::new();
    let map = |field: &str| metadata[field].as_object().unwrap_or(&empty);
    if let Some((field, key)) = subscript(path) {
        return Ok(match field {
            "metadata.labels" => text(map("labels").get(key).unwrap_or(&Value::Null)),
            "metadata.annotations" => text(map("annotations").get(key).unwrap_or(&Value::Null)),
            _ => return unknown(path),
        }
        .to_owned());
    }
    let known = match path {
        "metadata.name" => text(&metadata["name"]),
        "metadata.namespace" => text(&metadata["namespace"]),
        "metadata.uid" => text(&metadata["uid"]),
        "metadata.labels" => return Ok(formatted(map("labels"))),
        "metadata.annotations" => return Ok(formatted(map("annotations"))),
        "spec.nodeName" => given.node,
        "spec.serviceAccountName" => text(&given.pod["spec"]["serviceAccountName"]),
        "status.hostIP" => address(&status["hostIP"], path)?,
        "status.podIP" => address(&status["podIP"], path)?,
        "status.hostIPs" => return addresses(&status["hostIPs"], path),
        "status.podIPs" => return addresses(&status["podIPs"], path),
        _ => return unknown(path),
    };
    Ok(known.to_owned())
}

fn unknown(path: &str) -> Result<String> {
    bail!("the field {path} is not known, so its value cannot be written down; do without it")
}

fn address<'a>(value: &'a Value, path: &str) -> Result<&'a str> {
    let address = value.as_str();
    address.with_context(|| format!("its {path} is not known yet; look again when it runs"))
}

fn addresses(value: &Value, path: &str) -> Result<String> {
    let mut all = Vec::new();
    for item in list(value) {
        all.push(address(&item["ip"], path)?);
    }
    match all.is_empty() {
        true => address(&Value::Null, path).map(str::to_owned),
        false => Ok(all.join(",")),
    }
}

/// `metadata.labels['key']` in its two parts.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

/// A line a key, sorted, the value quoted as Go does it.
fn formatted(map: &Map<String, Value>) -> String {
    let mut pairs: Vec<_> = map.iter().collect();
    pairs.sort_by_key(|(key, _)| *key);
    let lines: Vec<_> = pairs
        .into_iter()
        .map(|(key, value)| format!("{key}={}", quoted(text(value))))
        .collect();
    lines.join("\n")
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            // To write into a String cannot fail.
            c if c.is_ascii_control() => _ = write!(out, "\\x{:02x}", u32::from(c)),
            c if c.is_control() => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
