//! Ignition configs, spec 3.0.0 to 3.6.0: files, folders and links, and the configs they are merged
//! from.
//!
//! Source: coreos.github.io/ignition/specs and its operator notes on merging. slipway is no second
//! Ignition: an image whose disks and users Ignition sets up runs that too, with the same
//! config, and this takes from it what an image without Ignition can do just as well. Everything
//! else is named in a warning.

mod bounded;
mod fetch;
mod merge;
mod model;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Entry, Gathered, Id, MAX_FILES_BYTES, Remote, What, invalid};
use crate::config::quote;
use crate::metadata::room;
use crate::secret::Secret;
use fetch::Fetcher;
use merge::{Kind, Resolver, Tree};
use model::{Config, Node, Owner};

/// The versions that are read; each later one only added fields.
const VERSIONS: [&str; 7] = [
    "3.0.0", "3.1.0", "3.2.0", "3.3.0", "3.4.0", "3.5.0", "3.6.0",
];
/// The first version in which a mode may have the setuid, setgid and sticky bits; in earlier ones
/// Ignition leaves them out, with a warning.
const WITH_SPECIAL_BITS: &str = "3.6.0";

/// Takes files, folders and links out of a config, and of those it refers to.
///
/// # Errors
/// [`Exit::Invalid`](crate::exit::Exit::Invalid) if it is no config of a version that is read, or
/// contradicts itself; [`Exit::Refused`](crate::exit::Exit::Refused) if something has another hash
/// than the config says; and whatever `remote` says.
pub fn open(text: &[u8], remote: &dyn Remote, gathered: &mut Gathered) -> Result<()> {
    let config = read(text).context("cannot use the Ignition config")?;
    let mut fetcher = Fetcher::new(remote, gathered);
    let tree = Resolver::new(&mut fetcher).resolve(config, 0)?;
    deliver(tree, &mut fetcher)
}

/// Reads one config.
fn read(text: &[u8]) -> Result<Config> {
    #[derive(Deserialize)]
    struct Versioned {
        ignition: Option<Version>,
    }
    #[derive(Deserialize)]
    struct Version {
        version: Option<String>,
    }
    let versioned: Versioned = serde_json::from_slice(text).map_err(|error| explain(&error))?;
    let version = versioned.ignition.and_then(|section| section.version);
    let supported = || format!("these are read: {}", VERSIONS.join(", "));
    match version {
        Some(version) if VERSIONS.contains(&version.as_str()) => {
            let config = serde_json::from_slice(text).map_err(|error| explain(&error))?;
            Ok(match version.as_str() < WITH_SPECIAL_BITS {
                true => Config::without_special_bits(config),
                false => config,
            })
        }
        Some(version) => Err(invalid(format!(
            "its spec version {} is not supported; {}",
            quote(&version),
            supported()
        ))),
        None => Err(invalid(format!(
            "it has no ignition.version; {}",
            supported()
        ))),
    }
}

/// What serde_json says, without the values that it would show.
fn explain(error: &serde_json::Error) -> anyhow::Error {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(text, _)| text);
    let text = match text.starts_with("invalid ") && error.is_data() {
        true => text
            .rsplit_once(", ")
            .map_or("a value is wrong", |(_, expected)| expected),
        false => text,
    };
    invalid(format!("line {line}, column {column}: {text}"))
}

/// Folders first, then files, then links, which may lead to them.
fn deliver(tree: Tree, fetcher: &mut Fetcher<'_>) -> Result<()> {
    for section in tree.left_out {
        fetcher.gathered.warn(section);
    }
    let mut nodes: Vec<_> = tree.nodes.into_iter().collect();
    nodes.sort_by_key(|(_, (kind, _))| *kind);
    for (path, (kind, node)) in nodes {
        node_of(kind, node, &path, fetcher)
            .with_context(|| format!("cannot use {} of the Ignition config", quote(&path)))?;
    }
    Ok(())
}

fn node_of(kind: Kind, mut node: Node, path: &str, fetcher: &mut Fetcher<'_>) -> Result<()> {
    if node.mode.is_some_and(|mode| mode > 0o7777) {
        return Err(invalid(
            "its mode is too large; JSON has modes in decimal, 0644 is 420",
        ));
    }
    let what = match kind {
        Kind::Folder => What::Folder,
        Kind::Link => What::Link {
            target: node
                .target
                .take()
                .ok_or_else(|| invalid("it is a link without a target"))?,
            hard: node.hard.unwrap_or(false),
        },
        Kind::File => match file(&node, path, fetcher)? {
            Some(what) => what,
            None => return Ok(()),
        },
    };
    fetcher.gathered.push(Entry {
        path: path.to_owned(),
        what,
        mode: node.mode,
        user: id(node.user),
        group: id(node.group),
        overwrite: node.overwrite.unwrap_or(false),
    })
}

/// A file's bytes, what is appended included, unless it is one that slipway reads. A file without
/// contents is made if it is not there, which is what appending to it does.
fn file(node: &Node, path: &str, fetcher: &mut Fetcher<'_>) -> Result<Option<What>> {
    let append = node.contents.source.is_none();
    if append && node.overwrite == Some(true) {
        return Err(invalid("it has overwrite, but no contents.source"));
    }
    let mut bytes = match append {
        true => Vec::new(),
        false => fetcher.get(&node.contents, 0)?,
    };
    for more in &node.append.0 {
        let more = fetcher.get(more, bytes.len())?;
        room::append(&mut bytes, &more, MAX_FILES_BYTES);
    }
    let bytes = fetcher.gathered.file(path, bytes, append)?;
    Ok(bytes.map(|bytes| match append {
        true => What::Append(Secret::new(bytes)),
        false => What::File(Secret::new(bytes)),
    }))
}

/// A number wins over a name, as in Ignition.
fn id(owner: Owner) -> Option<Id> {
    let name = owner.name.filter(|name| !name.is_empty()).map(Id::Name);
    owner.id.map(Id::Number).or(name)
}

#[cfg(test)]
mod tests;
