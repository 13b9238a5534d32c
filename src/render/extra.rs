//! The document's own manifests.
//!
//! They go into `manifests/` byte for byte, comments and all. They are read only to find at render
//! what would otherwise be found at the launch, on a machine that nobody watches: a broken text, an
//! object without a name, one that is here twice. What their fields mean is the API server's to judge.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

use super::{PRIVATE, PUBLIC, Pending};
use crate::config::machine::{Content, Manifest};
use crate::config::{Machine, yaml};
use crate::exit::{Exit, WithExit};
use crate::node::files::below;

/// The longest file; several times the largest set of definitions that people publish in one.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// All files together.
const MAX_TOTAL: u64 = 16 * 1024 * 1024;
/// So many manifests are parsed at once, if they are small: for one of a few lines the parser's own
/// memory costs more than the lines.
const GROUP: usize = 64;
/// The most that they may have together.
const GROUP_BYTES: usize = 256 * 1024;

/// Reads the manifests that are files of the node below `root`, so that all are inline afterwards.
///
/// # Errors
/// [`Exit::NotFound`] if one is not there, [`Exit::Invalid`] if one is no text or too long.
pub fn read(machine: &mut Machine, root: &Path) -> Result<()> {
    let mut total = 0;
    for manifest in &mut machine.manifests {
        let Content::File(path) = &manifest.content else {
            continue;
        };
        let text = read_file(&below(root, path))
            .with_context(|| format!("cannot read {path}, the manifest {}", manifest.name))?;
        total += text.len() as u64;
        let all = || anyhow!("the document's manifests have more than {MAX_TOTAL} bytes together");
        (total <= MAX_TOTAL)
            .then_some(())
            .with_context(all)
            .exit(Exit::Invalid)?;
        manifest.content = Content::Inline(text);
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<String> {
    let file = File::open(path).exit(Exit::NotFound)?;
    let length = file.metadata().map_or(0, |meta| meta.len().min(MAX_BYTES));
    let mut bytes = Vec::with_capacity(length as usize + 1);
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    let long = || anyhow!("it has more than {MAX_BYTES} bytes");
    (bytes.len() as u64 <= MAX_BYTES)
        .then_some(())
        .with_context(long)
        .exit(Exit::Invalid)?;
    String::from_utf8(bytes)
        .context("it is not UTF-8 text")
        .exit(Exit::Invalid)
}

/// Their files: path, mode and bytes. One that holds a Secret is for its owner only.
pub(super) fn render(
    manifests: &[Manifest],
    rendered: &[Pending],
) -> Result<Vec<(String, u32, Vec<u8>)>> {
    let mut taken = BTreeMap::new();
    if !manifests.is_empty() {
        let ours = rendered
            .iter()
            .filter(|one| one.path.starts_with("manifests/"));
        taken.extend(ours.map(|one| (identity(&one.object), one.path.clone())));
    }
    let mut files = Vec::new();
    for group in manifests.chunks(GROUP) {
        let texts = group.iter().map(text).collect::<Result<Vec<_>>>()?;
        let mut together = objects_of_all(&texts).into_iter().flatten();
        for (manifest, text) in group.iter().zip(texts) {
            let path = format!("manifests/{}", manifest.name);
            let objects = together
                .next()
                .map_or_else(|| Ok(yaml::documents(text)?), Ok);
            let mode = objects
                .and_then(|objects| judge(&path, &objects, rendered, &mut taken))
                .with_context(|| format!("manifests[{}] ({})", files.len(), manifest.name))?;
            files.push((path, mode, text.to_owned().into_bytes()));
        }
    }
    Ok(files)
}

fn text(manifest: &Manifest) -> Result<&str> {
    match &manifest.content {
        Content::Inline(text) => Ok(text),
        Content::File(path) => bail!("{path} was not read"),
    }
}

/// The objects of several small texts, each text's apart. `None`: one of them needs a closer look.
fn objects_of_all(texts: &[&str]) -> Option<Vec<Vec<Value>>> {
    let size: usize = texts.iter().map(|text| text.len()).sum();
    (size <= GROUP_BYTES).then(|| yaml::documents_of_all(texts))?
}

/// The file's mode, if there is nothing wrong with what is in it.
fn judge(
    path: &str,
    objects: &[Value],
    rendered: &[Pending],
    taken: &mut BTreeMap<[String; 4], String>,
) -> Result<u32> {
    ensure!(
        !rendered.iter().any(|one| one.path == path),
        "slipway renders a file of this name itself; choose another, or change it with patches"
    );
    let mut mode = PUBLIC;
    let mut count = 0;
    // A document of comments only is null.
    for object in objects.iter().filter(|object| !object.is_null()) {
        count += 1;
        complete(object).with_context(|| format!("object {count} in it"))?;
        let key = identity(object);
        if let Some(other) = taken.get(&key) {
            let [name, namespace, kind, _] = key;
            bail!("{kind} {namespace}/{name} is in {other} already");
        }
        taken.insert(key, path.to_owned());
        if object["kind"] == "Secret" {
            mode = PRIVATE;
        }
    }
    ensure!(count > 0, "there is no object in it");
    Ok(mode)
}

fn complete(object: &Value) -> Result<()> {
    let has = |pointer| {
        let text = object.pointer(pointer).and_then(Value::as_str);
        text.is_some_and(|text| !text.is_empty())
    };
    let is_list = object["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List"));
    ensure!(
        !is_list || object.get("items").is_none(),
        "a list is no object; write its items as documents, with --- between them"
    );
    let missing = ["/apiVersion", "/kind", "/metadata/name"]
        .into_iter()
        .find(|field| !has(field));
    match missing {
        None => Ok(()),
        Some(field) => bail!("it has no {}", field[1..].replace('/', ".")),
    }
}

/// What tells objects apart: name, namespace, kind and group, the most different first.
fn identity(object: &Value) -> [String; 4] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    let api_version = text(&object["apiVersion"]);
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let namespace = metadata["namespace"].as_str().unwrap_or("default");
    [
        text(&metadata["name"]),
        namespace.to_owned(),
        text(&object["kind"]),
        group.to_owned(),
    ]
}

#[cfg(test)]
mod tests;
