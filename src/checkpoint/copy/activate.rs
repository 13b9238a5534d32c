//! From a kept checkpoint to the static pod that the kubelet runs.
//!
//! Its name ends in a hash of the rest. A kubelet that has not seen the API since it started does not end the old
//! pod when a static pod of the same name changes; one of another name is another pod to it.

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::probes::{self, Door};
use super::{ARGUMENTS, ARGUMENTS_CLOSED, arguments, paths};
use crate::checkpoint::workload::text;
use crate::hash::sha256;

/// How much of a pod's name is kept: with the hash and a node's name of 63 it stays below 253.
const LONGEST: usize = 180;
const DIGITS: usize = 8;

/// The static pod of a kept checkpoint, and its file's name; `closed` while the node's address does not answer.
pub fn activate(kept: &Value, closed: bool) -> Result<(String, Value)> {
    let metadata = &kept["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    for part in [namespace, name] {
        paths::name(part).context("a kept checkpoint has no proper name")?;
    }
    let pod = build(kept, closed)
        .with_context(|| format!("the checkpoint of {namespace}/{name} cannot be activated"))?;
    Ok((format!("{namespace}-{name}.json"), pod))
}

fn build(kept: &Value, closed: bool) -> Result<Value> {
    let mut pod = kept.clone();
    let new = take_arguments(&mut pod, closed)?;
    let container = pod.pointer_mut("/spec/containers/0");
    let container = container.and_then(Value::as_object_mut);
    rearm(container.context("it has no container")?, &new)?;
    let metadata = pod.get_mut("metadata").and_then(Value::as_object_mut);
    let metadata = metadata.context("it has no metadata")?;
    let name = metadata.remove("name").unwrap_or_default();
    let hash = sha256(&serde_json::to_vec(&pod)?);
    pod["metadata"]["name"] = static_name(text(&name), &hash).into();
    Ok(pod)
}

/// The arguments that a checkpoint runs with; they leave its annotations.
fn take_arguments(pod: &mut Value, closed: bool) -> Result<Vec<Vec<String>>> {
    let annotations = pod.pointer_mut("/metadata/annotations");
    let Some(annotations) = annotations.and_then(Value::as_object_mut) else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for (name, counts) in [(ARGUMENTS, true), (ARGUMENTS_CLOSED, closed)] {
        let new = arguments::parse(annotations.remove(name).as_ref(), name)?;
        all.extend(counts.then_some(new));
    }
    Ok(all)
}

fn rearm(container: &mut Map<String, Value>, new: &[Vec<String>]) -> Result<()> {
    let before = Door::of(container);
    for new in new {
        arguments::apply(container, new)?;
    }
    let after = Door::of(container);
    probes::point(container, &before, &after);
    Ok(())
}

fn static_name(pod: &str, hash: &str) -> String {
    // Names are ASCII: any byte ends a character.
    let pod = pod.get(..LONGEST).unwrap_or(pod);
    let pod = pod.trim_end_matches(['-', '.']);
    format!("{pod}-{}", &hash[..DIGITS.min(hash.len())])
}
