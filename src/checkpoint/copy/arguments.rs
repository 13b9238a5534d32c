//! The arguments that differ in a checkpoint.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use super::list;
use crate::checkpoint::workload::text;

const FIELDS: [&str; 2] = ["command", "args"];

/// An annotation's list of arguments; none without the annotation.
pub(super) fn parse(annotation: Option<&Value>, name: &str) -> Result<Vec<String>> {
    let Some(annotation) = annotation else {
        return Ok(Vec::new());
    };
    let all: Vec<String> = serde_json::from_str(text(annotation)).with_context(|| {
        format!(
            "the annotation {name} must be a JSON list of arguments; correct it on the workload"
        )
    })?;
    for argument in &all {
        ensure!(
            argument.starts_with("--") && flag(argument).len() > 2,
            "the annotation {name} must hold arguments like --flag=value, not {argument:?}; correct it on the workload"
        );
    }
    Ok(all)
}

/// The flag of an argument.
fn flag(argument: &str) -> &str {
    argument.split_once('=').map_or(argument, |(flag, _)| flag)
}

/// The value of the last argument of a flag, which is the one that counts.
pub(super) fn value(container: &Map<String, Value>, wanted: &str) -> Option<String> {
    let all = FIELDS.iter().filter_map(|field| container.get(*field));
    let all = all.flat_map(list).map(text);
    let mut found = all.filter(|argument| flag(argument) == wanted);
    found
        .next_back()?
        .split_once('=')
        .map(|(_, value)| value.to_owned())
}

/// Puts arguments in the place of all of the same flag, or behind the others.
pub(super) fn apply(container: &mut Map<String, Value>, new: &[String]) -> Result<()> {
    let has_own = FIELDS.iter().any(|field| container.contains_key(*field));
    ensure!(
        new.is_empty() || has_own,
        "its container has the image's own arguments, which nobody here knows; name them all in its args"
    );
    let mut done = Vec::new();
    for argument in new {
        let wanted = flag(argument);
        if done.contains(&wanted) {
            continue;
        }
        done.push(wanted);
        let same = new.iter().filter(|other| flag(other) == wanted);
        put(
            container,
            wanted,
            same.map(|argument| argument.as_str().into()).collect(),
        );
    }
    Ok(())
}

fn put(container: &mut Map<String, Value>, wanted: &str, new: Vec<Value>) {
    let mut place = None;
    for field in FIELDS {
        let Some(all) = container.get_mut(field).and_then(Value::as_array_mut) else {
            continue;
        };
        let first = all
            .iter()
            .position(|argument| flag(text(argument)) == wanted);
        place = place.or(first.map(|at| (field, at)));
        all.retain(|argument| flag(text(argument)) != wanted);
    }
    let (field, at) = place.unwrap_or(("args", usize::MAX));
    let all = container
        .entry(field)
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Some(all) = all.as_array_mut() {
        let at = at.min(all.len());
        all.splice(at..at, new);
    }
}
