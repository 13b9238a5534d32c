//! The document's `arguments` and `patches`, applied to manifests before they are written.
//!
//! A pass over values instead of a hand in every component: what the document changes needs no
//! knowledge of who renders it, and a component that is added later can be changed without a line of
//! its own. Arguments come first, so that a patch sees (and wins over) them.

mod arguments;
mod fixed;
mod json_patch;
mod strategic;

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};
use serde_json::Value;

pub(super) use arguments::values;

use super::Pending;
use crate::config::Machine;
use crate::config::machine::{Arguments, Patch, PatchKind};

/// Whose files can be changed: those of the API's objects and of static pods.
const FOLDERS: [&str; 4] = [
    "bootstrap-manifests/",
    "etcd/",
    "manifests/",
    "static-manifests/",
];

/// Applies both. What does not apply is an error of the document's: it names the field.
pub(super) fn apply(machine: &Machine, manifests: &mut [Pending]) -> Result<()> {
    for (component, wanted) in &machine.arguments {
        add_arguments(component, wanted, manifests)
            .map_err(|why| anyhow!("arguments.{component}: {why}"))?;
    }
    for (index, patch) in machine.patches.iter().enumerate() {
        let place = || format!("patches[{index}] (target {})", patch.target);
        add_patch(patch, manifests).map_err(|why| anyhow!("{}: {why}", place()))?;
    }
    Ok(())
}

fn add_arguments(
    component: &str,
    wanted: &Arguments,
    manifests: &mut [Pending],
) -> Result<(), String> {
    let mut nowhere: BTreeSet<&str> = wanted
        .iter()
        .filter(|(_, values)| values.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    let mut found = false;
    for manifest in manifests.iter_mut().filter(|one| one.is_editable()) {
        let before = manifest.object.clone();
        let pod = pod_spec_mut(&mut manifest.object);
        let Some(container) = pod.and_then(|pod| container_of_mut(pod, component)) else {
            continue;
        };
        found = true;
        for gone in arguments::apply(container, wanted) {
            nowhere.remove(gone);
        }
        fixed::check(&before, &manifest.object)?;
        manifest.note("The document's arguments are among the container's.");
    }
    match nowhere.pop_first() {
        _ if !found => Err("this document renders no such component".to_owned()),
        Some(flag) => Err(format!("there is no --{flag} to take away")),
        None => Ok(()),
    }
}

fn add_patch(patch: &Patch, manifests: &mut [Pending]) -> Result<(), String> {
    let found = manifests
        .iter_mut()
        .find(|one| one.target() == Some(&patch.target));
    let Some(manifest) = found else {
        return Err(unknown(manifests));
    };
    let before = manifest.object.clone();
    match &patch.change {
        PatchKind::Strategic(change) => strategic::apply(&mut manifest.object, change),
        PatchKind::Json(change) => json_patch::apply(&mut manifest.object, change),
    }?;
    fixed::check(&before, &manifest.object)?;
    manifest.note("Changed by the document's patches.");
    Ok(())
}

fn unknown(manifests: &[Pending]) -> String {
    let mut known: Vec<_> = manifests.iter().filter_map(Pending::target).collect();
    known.sort_unstable();
    format!("there is no such manifest; there are {}", known.join(", "))
}

impl Pending {
    /// What patches call it: its file's name without the ending.
    fn target(&self) -> Option<&str> {
        let (folder, file) = self.path.split_at(self.path.rfind('/')? + 1);
        let name = file.strip_suffix(".yaml")?;
        FOLDERS.contains(&folder).then_some(name)
    }

    fn is_editable(&self) -> bool {
        self.target().is_some()
    }

    /// Adds a line to the comment, once.
    fn note(&mut self, line: &str) {
        if !self.comment.ends_with(line) {
            self.comment.push('\n');
            self.comment.push_str(line);
        }
    }
}

/// The pod that an object is or makes.
pub(super) fn pod_spec(object: &Value) -> Option<&Value> {
    object.pointer(pod_path(object))
}

fn pod_spec_mut(object: &mut Value) -> Option<&mut Value> {
    let path = pod_path(object);
    object.pointer_mut(path)
}

fn pod_path(object: &Value) -> &'static str {
    match object["kind"] == "Pod" {
        true => "/spec",
        false => "/spec/template/spec",
    }
}

pub(super) fn container_of<'a>(pod: &'a Value, component: &str) -> Option<&'a Value> {
    let mut containers = pod["containers"].as_array()?.iter();
    containers.find(|container| is_of(container, component))
}

fn container_of_mut<'a>(pod: &'a mut Value, component: &str) -> Option<&'a mut Value> {
    let mut containers = pod.get_mut("containers")?.as_array_mut()?.iter_mut();
    containers.find(|container| is_of(container, component))
}

/// Containers have their component's name; only flannel's has its upstream's.
fn is_of(container: &Value, component: &str) -> bool {
    let name = match component {
        "flannel" => "kube-flannel",
        component => component,
    };
    container["name"] == name
}

#[cfg(test)]
mod tests;
