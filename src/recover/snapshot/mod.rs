//! A reader of etcd's snapshots, and of the database of a member that has stopped.
//!
//! To look into a snapshot nobody has to start an etcd: the pages of bbolt are read where they lie, the one tree
//! that holds the keys is walked once, and of its values only those that somebody wants are read. The road not
//! taken is to restore first and ask then: that needs etcd's programs, room for a second copy, and a cluster that
//! could be mistaken for the one that was lost.
//!
//! A snapshot is all that is left, so everything about it may be wrong: whatever the bytes are, the answer is an
//! error of one line, within little memory.

mod facts;
mod integrity;
mod live;
mod meta;
mod mvcc;
mod page;
mod source;
mod tree;

pub use facts::{Facts, Member};
pub use integrity::Integrity;
pub use live::Wanted;

use std::io;
use std::path::Path;

use anyhow::{Context, Result, bail};

use self::live::Live;
use self::meta::Meta;
use self::source::{Source, Window};
use self::tree::{Entry, Pages, Root, Visit, damaged};
use crate::etcd::Stored;
use crate::exit::{Exit, caused_by, fail};
use crate::hash;

/// An open snapshot.
pub struct Snapshot {
    source: Box<dyn Source>,
    name: String,
    meta: Meta,
    has_hash: bool,
    buckets: Buckets,
}

/// Where the trees begin that are read.
#[derive(Default)]
struct Buckets {
    key: Option<Root>,
    meta: Option<Root>,
    cluster: Option<Root>,
    members: Option<Root>,
    alarm: Option<Root>,
}

impl Snapshot {
    /// Opens a file and looks whether it is an etcd's database with all its pages; its hash is not looked at.
    pub fn open(path: &Path) -> Result<Snapshot> {
        let name = path.display().to_string();
        source::open(path)
            .and_then(|source| Self::new(source, name.clone()))
            .map_err(coded)
            .with_context(|| format!("cannot read {name} as an etcd snapshot"))
    }

    /// The same of bytes in memory.
    pub fn of(bytes: Vec<u8>) -> Result<Snapshot> {
        Self::new(Box::new(bytes), "the snapshot".to_owned())
    }

    fn new(source: Box<dyn Source>, name: String) -> Result<Snapshot> {
        let meta = meta::read(&*source)?;
        let has_hash = integrity::has_hash(source.size(), &meta)?;
        let buckets = Buckets::read(Pages::new(&*source, meta))?;
        Ok(Snapshot {
            source,
            name,
            meta,
            has_hash,
            buckets,
        })
    }

    /// Reads all of it and compares its hash. `progress` is told how many bytes are done, of how many. Nothing is
    /// read of a file without a hash.
    pub fn verify(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Integrity> {
        if !self.has_hash {
            return Ok(Integrity::NoHash);
        }
        self.told(integrity::verify(&*self.source, progress))
    }

    /// What it says of itself.
    pub fn facts(&self) -> Result<Facts> {
        Ok(self.examine(&mut |_| false)?.0)
    }

    /// The keys that are `wanted` and live, in their order. `wanted` may be asked about a key more than once.
    pub fn read(&self, wanted: &mut Wanted) -> Result<Vec<Stored>> {
        Ok(self.examine(wanted)?.1)
    }

    /// Both at once: one walk.
    pub fn examine(&self, wanted: &mut Wanted) -> Result<(Facts, Vec<Stored>)> {
        self.told(self.examined(wanted).map_err(damaged))
    }

    fn examined(&self, wanted: &mut Wanted) -> Result<(Facts, Vec<Stored>)> {
        let mut facts = Facts {
            size: self.source.size(),
            page_size: self.meta.page_size,
            ..Facts::default()
        };
        if self.has_hash {
            facts.sha256 = Some(hash::hex(&integrity::claimed(&*self.source)?));
        }
        let buckets = &self.buckets;
        self.walk("meta", buckets.meta, &mut |entry, window| {
            facts.meta(entry, window)
        })?;
        self.walk("cluster", buckets.cluster, &mut |entry, window| {
            facts.cluster(entry, window)
        })?;
        self.walk("members", buckets.members, &mut |entry, window| {
            facts.member(entry, window)
        })?;
        self.walk("alarm", buckets.alarm, &mut |entry, _| facts.alarm(entry))?;
        let mut live = Live::new(wanted);
        self.walk("key", buckets.key, &mut |entry, window| {
            live.record(entry, window)
        })?;
        facts.revision = live.last();
        facts.keys = live.keys();
        facts.conclude();
        Ok((facts, live.read(&*self.source)?))
    }

    fn walk(&self, name: &str, root: Option<Root>, visit: &mut Visit) -> Result<()> {
        let pages = Pages::new(&*self.source, self.meta);
        match root {
            Some(root) => pages
                .walk(root, visit)
                .with_context(|| format!("bucket {name}")),
            None => Ok(()),
        }
    }

    fn told<T>(&self, result: Result<T>) -> Result<T> {
        result
            .map_err(coded)
            .with_context(|| format!("cannot use {}", self.name))
    }
}

/// A file that is wrong is refused, because going on could lose data; a disk that cannot be read is a failure.
fn coded(error: anyhow::Error) -> anyhow::Error {
    match caused_by::<io::Error>(&error) {
        true => fail(Exit::Failed, error),
        false => fail(Exit::Refused, error),
    }
}

impl Buckets {
    /// From the tree that holds all buckets; without the first two it is not etcd's.
    fn read(pages: Pages) -> Result<Buckets> {
        let mut buckets = Buckets::default();
        let mut count = 0;
        let root = Root::Page(pages.root());
        let walked = pages.walk(root, &mut |entry: &Entry, window: &mut Window| {
            count += 1;
            let bucket = match entry.key {
                b"key" => &mut buckets.key,
                b"meta" => &mut buckets.meta,
                b"cluster" => &mut buckets.cluster,
                b"members" => &mut buckets.members,
                b"alarm" => &mut buckets.alarm,
                _ => return Ok(()),
            };
            *bucket = Some(pages.bucket(entry, window)?);
            Ok(())
        });
        walked.map_err(|error| damaged(error.context("the list of buckets")))?;
        match (count, &buckets.key, &buckets.meta) {
            (_, Some(_), Some(_)) => Ok(buckets),
            (0, ..) => {
                bail!("it is an empty bbolt database: no etcd has ever used it; use another file")
            }
            _ => bail!(
                "it is a bbolt database, but not etcd's (it has no bucket `key` or `meta`); use another \
                 snapshot, as `etcdctl snapshot save` writes it, or a stopped member's member/snap/db"
            ),
        }
    }
}
