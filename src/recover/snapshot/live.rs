//! Which keys live at the last revision, and where their values are.
//!
//! etcd keeps every change since the last compaction, so most of what a walk meets is old. Of a key that is
//! wanted the place of its last value is remembered, of any other a hash, to count it; a value is read once,
//! when the walk is over.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher;

use anyhow::{Context, Result, ensure};

use super::mvcc::{self, Revision};
use super::source::{Source, Window};
use super::tree::{Entry, Span};
use crate::etcd::Stored;
use crate::secret::Secret;

/// So many keys are counted: a table of as many hashes takes 18 MiB, and its next size would take too much.
const MAX_COUNTED: usize = (1 << 21) / 8 * 7;

/// Whether a key's value is asked for.
pub type Wanted<'a> = dyn FnMut(&[u8]) -> bool + 'a;

/// What is known so far; records must come in the order of their revisions.
pub struct Live<'a, 'w> {
    wanted: &'a mut Wanted<'w>,
    places: BTreeMap<Vec<u8>, Place>,
    hasher: RandomState,
    counted: Option<HashSet<u64>>,
    last: i64,
}

/// Where the last value of a key is.
struct Place {
    main: i64,
    record: Span,
}

impl<'a, 'w> Live<'a, 'w> {
    /// Of the keys that are `wanted`.
    pub fn new(wanted: &'a mut Wanted<'w>) -> Self {
        Self {
            wanted,
            places: BTreeMap::new(),
            hasher: RandomState::new(),
            counted: Some(HashSet::new()),
            last: 0,
        }
    }

    /// Takes one record of the bucket `key`.
    pub fn record(&mut self, entry: &Entry, window: &mut Window) -> Result<()> {
        ensure!(!entry.is_bucket, "it is a bucket in a bucket");
        let revision = mvcc::revision(entry.key)?;
        self.last = revision.main;
        let name = mvcc::name(window, entry.value)
            .with_context(|| format!("revision {}", revision.main))?;
        if let Some(name) = name {
            self.count(name, revision);
            self.remember(name, revision, entry.value);
        }
        Ok(())
    }

    fn count(&mut self, name: &[u8], revision: Revision) {
        let Some(counted) = &mut self.counted else {
            return;
        };
        let hash = self.hasher.hash_one(name);
        if revision.is_tombstone {
            counted.remove(&hash);
        } else if counted.len() < MAX_COUNTED || counted.contains(&hash) {
            counted.insert(hash);
        } else {
            self.counted = None;
        }
    }

    fn remember(&mut self, name: &[u8], revision: Revision, record: Span) {
        if revision.is_tombstone {
            self.places.remove(name);
            return;
        }
        let place = Place {
            main: revision.main,
            record,
        };
        if let Some(known) = self.places.get_mut(name) {
            *known = place;
        } else if (self.wanted)(name) {
            self.places.insert(name.to_vec(), place);
        }
    }

    /// The last revision that was met; 0 if there was none.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// How many keys live, wanted or not.
    pub fn keys(&self) -> Option<u64> {
        self.counted.as_ref().map(|keys| keys.len() as u64)
    }

    /// Reads the values, in the order of the file; gives them in that of their keys.
    pub fn read(self, source: &dyn Source) -> Result<Vec<Stored>> {
        let mut places: Vec<_> = self.places.into_iter().collect();
        places.sort_unstable_by_key(|(_, place)| place.record.start);
        let mut window = Window::new(source);
        let objects = places.into_iter().map(|(key, place)| {
            let main = place.main;
            stored(&mut window, key, &place).with_context(|| format!("revision {main}"))
        });
        let mut objects = objects.collect::<Result<Vec<_>>>()?;
        objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(objects)
    }
}

/// Reads one value; the record has to be of the key and the revision under which it lies.
fn stored(window: &mut Window, key: Vec<u8>, place: &Place) -> Result<Stored> {
    let record = mvcc::key_value(window, place.record)?;
    ensure!(record.key == key, "its record has another key");
    let revision = record.mod_revision;
    ensure!(
        revision == place.main,
        "its record is of revision {revision}"
    );
    Ok(Stored {
        key,
        value: Secret::new(record.value),
        create_revision: record.create_revision,
        mod_revision: record.mod_revision,
        version: record.version,
        lease: record.lease,
    })
}
