//! Several configs become one.
//!
//! Ignition's rules (its operator notes, "Config Merging"): a child's entry goes over its parent's of
//! the same path field by field, appended fragments are joined, and an entry of another kind takes
//! its place. Children are merged in their order, each after its own. `replace` leaves
//! nothing of the config that says it, but all of those above that one.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::bounded::{Bounded, Noticed};
use super::fetch::{Fetcher, describe};
use super::model::{Config, Header, Node, Owner, Resource, Storage};
use crate::config::quote;
use crate::metadata::envelope::{MAX_ENTRIES, MAX_TEXT, invalid};

/// Configs within configs.
const MAX_DEPTH: usize = 5;
/// Configs that are referred to in all.
const MAX_CONFIGS: usize = 32;

/// What an entry becomes, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Folder,
    File,
    Link,
}

/// What configs say, merged.
#[derive(Debug, Default)]
pub struct Tree {
    /// By path.
    pub nodes: BTreeMap<String, (Kind, Node)>,
    /// Warnings about sections that mean nothing here.
    pub left_out: BTreeSet<String>,
}

/// Follows a config's references.
pub struct Resolver<'f, 'r> {
    fetcher: &'f mut Fetcher<'r>,
    configs: usize,
}

impl<'f, 'r> Resolver<'f, 'r> {
    /// Fetches them with `fetcher`.
    pub fn new(fetcher: &'f mut Fetcher<'r>) -> Self {
        let configs = 0;
        Self { fetcher, configs }
    }

    /// The config together with all that it refers to, itself `depth` references away from the
    /// first.
    pub fn resolve(&mut self, mut config: Config, depth: usize) -> Result<Tree> {
        let trusted = self.fetcher.trusted();
        for authority in &config.ignition.security.tls.authorities.0 {
            self.fetcher.trust(authority)?;
        }
        let references = std::mem::take(&mut config.ignition.config);
        if references.replace.source.is_some() {
            drop(config);
            let child = self.fetch(&references.replace, depth)?;
            self.fetcher.distrust_after(trusted);
            return self.resolve(child, depth + 1);
        }
        let mut tree = Tree::of(config)?;
        for reference in &references.merge.0 {
            let child = self.fetch(reference, depth)?;
            let child = self.resolve(child, depth + 1)?;
            tree.merge(child)?;
        }
        Ok(tree)
    }

    fn fetch(&mut self, reference: &Resource, depth: usize) -> Result<Config> {
        let what = reference.source.as_deref().map(describe);
        let what = what.unwrap_or_else(|| "a reference without a source".to_owned());
        self.configs += 1;
        if depth == MAX_DEPTH || self.configs > MAX_CONFIGS {
            return Err(invalid(format!(
                "the Ignition config refers to too many others ({MAX_DEPTH} within each other, \
                 {MAX_CONFIGS} in all), the last one being {what}"
            )));
        }
        self.read(reference)
            .with_context(|| format!("cannot use the Ignition config from {what}"))
    }

    fn read(&mut self, reference: &Resource) -> Result<Config> {
        let text = self.fetcher.get(reference, 0)?;
        if text.len() as u64 > MAX_TEXT {
            let kib = MAX_TEXT / 1024;
            return Err(invalid(format!("it has more than {kib} KiB")));
        }
        self.fetcher.gathered.spend(text.len())?;
        super::read(&text)
    }
}

impl Tree {
    fn of(config: Config) -> Result<Self> {
        let left_out = left_out(&config);
        let mut nodes = BTreeMap::new();
        let Storage {
            directories,
            files,
            links,
            ..
        } = config.storage;
        let lists = [
            (Kind::Folder, directories.0),
            (Kind::File, files.0),
            (Kind::Link, links.0),
        ];
        for (kind, list) in lists {
            for mut node in list {
                let path = std::mem::take(&mut node.path);
                if nodes.contains_key(&path) {
                    let path = quote(&path);
                    return Err(invalid(format!("the Ignition config has {path} twice")));
                }
                nodes.insert(path, (kind, node));
            }
        }
        Self { nodes, left_out }.within_limits()
    }

    fn merge(&mut self, child: Self) -> Result<()> {
        self.left_out.extend(child.left_out);
        for (path, (kind, node)) in child.nodes {
            match self.nodes.get_mut(&path) {
                Some((parent_kind, parent)) if *parent_kind == kind => parent.merge(node),
                _ => drop(self.nodes.insert(path, (kind, node))),
            }
        }
        *self = std::mem::take(self).within_limits()?;
        Ok(())
    }

    /// Fragments count as entries: each takes memory, and may be fetched.
    fn within_limits(self) -> Result<Self> {
        let fragments = |(_, node): &(Kind, Node)| 1 + node.append.0.len();
        match self.nodes.values().map(fragments).sum::<usize>() > MAX_ENTRIES {
            true => Err(invalid(format!(
                "the Ignition config has more than {MAX_ENTRIES} files, folders, links and fragments"
            ))),
            false => Ok(self),
        }
    }
}

impl Node {
    fn merge(&mut self, child: Self) {
        over(&mut self.overwrite, child.overwrite);
        over(&mut self.mode, child.mode);
        over(&mut self.target, child.target);
        over(&mut self.hard, child.hard);
        self.user.merge(child.user);
        self.group.merge(child.group);
        self.contents.merge(child.contents);
        self.append.0.extend(child.append.0);
    }
}

impl Owner {
    fn is_given(&self) -> bool {
        self.id.is_some() || self.name.is_some()
    }

    fn merge(&mut self, child: Self) {
        over(&mut self.id, child.id);
        over(&mut self.name, child.name);
    }
}

impl Resource {
    fn merge(&mut self, child: Self) {
        over(&mut self.source, child.source);
        over(&mut self.compression, child.compression);
        over(&mut self.verification.hash, child.verification.hash);
        for header in child.headers.0 {
            self.header(header);
        }
    }

    /// Goes over the header of the same name, which it takes away if it has no value.
    fn header(&mut self, header: Header) {
        let headers = &mut self.headers.0;
        let same = headers.iter().position(|other| other.name == header.name);
        match (same.and_then(|at| headers.get_mut(at)), header.value) {
            (Some(other), Some(value)) => other.value = Some(value),
            (Some(_), None) => headers.retain(|other| other.name != header.name),
            (None, value) => headers.push(Header { value, ..header }),
        }
    }
}

fn over<T>(parent: &mut Option<T>, child: Option<T>) {
    if child.is_some() {
        *parent = child;
    }
}

fn any(nodes: &Bounded<Node, MAX_ENTRIES>, is: impl Fn(&Node) -> bool) -> Noticed {
    Noticed(nodes.0.iter().any(is))
}

/// A warning for every section with something in it that only Ignition does.
fn left_out(config: &Config) -> BTreeSet<String> {
    let (storage, ignition) = (&config.storage, &config.ignition);
    let to_ignition = [
        (config.passwd, "passwd", "makes no users"),
        (config.systemd, "systemd", "writes no units"),
        (config.kernel_arguments, "kernelArguments", "sets none"),
        (storage.disks, "storage.disks", "partitions no disks"),
        (storage.raid, "storage.raid", "assembles no arrays"),
        (storage.filesystems, "storage.filesystems", "makes none"),
        (storage.luks, "storage.luks", "encrypts no disks"),
    ];
    let unused = [
        (ignition.timeouts, "ignition.timeouts", "has its own"),
        (ignition.proxy, "ignition.proxy", "uses no proxy"),
    ];
    let to_ignition = to_ignition.map(|(is, name, why)| (is, name, "left to Ignition itself", why));
    let unused = unused.map(|(is, name, why)| (is, name, "not used", why));
    let ours = [
        (
            config.lost_bits,
            "setuid, setgid and sticky bits",
            "in modes only from version 3.6.0 on",
            "leaves them out, as Ignition does",
        ),
        (
            any(&storage.directories, |node| node.overwrite == Some(true)),
            "overwrite of storage.directories",
            "not done",
            "leaves what is in a folder",
        ),
        (
            any(&storage.links, |node| {
                node.hard == Some(true) && (node.user.is_given() || node.group.is_given())
            }),
            "user and group of hard links",
            "not used, as by Ignition",
            "leaves the file its owner",
        ),
    ];
    to_ignition
        .into_iter()
        .chain(unused)
        .chain(ours)
        .filter(|(is, ..)| is.0)
        .map(|(_, name, what, why)| format!("{name} of the Ignition config: {what}; slipway {why}"))
        .collect()
}
