//! Everything below a prefix, page by page, as it was at one revision.

use std::borrow::Cow;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::client::{Client, decoded, read};
use super::{Header, Stored};
use crate::secret::Secret;
use crate::transport::{Failure, Times};

const PATH: &str = "/v3/kv/range";
/// How many keys a page has. One that is too large for [`super::client::BODY_LIMIT`] is asked for again as
/// so many times smaller ones.
const PAGE: usize = 500;
const SMALLER: usize = 8;

/// Whether values are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Keys with their values.
    Kept,
    /// Keys alone.
    LeftOut,
}

/// What a walk over a prefix saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranged {
    /// The revision that everything was read at.
    pub revision: i64,
    /// How many keys there were.
    pub keys: usize,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page<'a> {
    header: Header,
    #[serde(borrow)]
    kvs: Vec<Pair<'a>>,
    more: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pair<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
    #[serde(deserialize_with = "super::client::number")]
    create_revision: i64,
    #[serde(deserialize_with = "super::client::number")]
    mod_revision: i64,
    #[serde(deserialize_with = "super::client::number")]
    version: i64,
    #[serde(deserialize_with = "super::client::number")]
    lease: i64,
}

/// Where the next page begins, and at which revision of which cluster.
struct Place {
    key: Vec<u8>,
    end: Vec<u8>,
    limit: usize,
    at: Option<Header>,
}

impl Client {
    /// Hands every key below `prefix` to `visit`, in the order of keys, all as they were at one revision,
    /// whatever is written meanwhile. An empty prefix means everything. One page is in memory at a time.
    ///
    /// # Errors
    /// If no URL answers, if etcd compacts the revision meanwhile, and with what `visit` says.
    pub fn range(
        &self,
        prefix: &[u8],
        values: Values,
        mut visit: impl FnMut(Stored) -> Result<()>,
    ) -> Result<Ranged> {
        let mut place = Place::first(prefix);
        let mut keys = 0;
        loop {
            let Some(bytes) = self.page(&place, values)? else {
                ensure!(
                    place.limit > 1,
                    "one of etcd's values is larger than slipway takes"
                );
                place.limit = place.limit.div_ceil(SMALLER);
                continue;
            };
            let page: Page<'_> = decoded(PATH, &bytes)?;
            let revision = place.settle(page.header)?;
            for pair in page.kvs {
                let stored = pair.stored()?;
                place.key.clone_from(&stored.key);
                visit(stored)?;
                keys += 1;
            }
            if !page.more {
                return Ok(Ranged { revision, keys });
            }
            // The first key after the last one.
            place.key.push(0);
        }
    }

    /// One page as it came; `None` if it is too large.
    fn page(&self, place: &Place, values: Values) -> Result<Option<Vec<u8>>> {
        let body = json!({
            "key": STANDARD.encode(&place.key),
            "range_end": STANDARD.encode(&place.end),
            "limit": place.limit,
            "revision": place.at.map_or(0, |header| header.revision),
            "keys_only": values == Values::LeftOut,
        });
        self.in_turn(|door| match read(door.post(PATH, &body, Times::First)?) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Failure::TooLarge(_)) => Ok(None),
            Err(failure) => Err(door.refused(failure)),
        })
    }
}

impl Place {
    fn first(prefix: &[u8]) -> Self {
        Self {
            // etcd's word for its first possible key.
            key: if prefix.is_empty() {
                vec![0]
            } else {
                prefix.to_vec()
            },
            end: end_of(prefix),
            limit: PAGE,
            at: None,
        }
    }

    /// The first page's revision counts for the others, which must come from the same cluster.
    fn settle(&mut self, header: Header) -> Result<i64> {
        let at = *self.at.get_or_insert(header);
        if at.cluster_id != header.cluster_id {
            bail!("the URLs lead to different etcd clusters; give those of one");
        }
        Ok(at.revision)
    }
}

impl Pair<'_> {
    fn stored(&self) -> Result<Stored> {
        let bytes = |text: &str| STANDARD.decode(text).context("etcd sent broken base64");
        Ok(Stored {
            key: bytes(&self.key)?,
            value: Secret::new(bytes(&self.value)?),
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
            lease: self.lease,
        })
    }
}

/// The first key after all that begin with `prefix`; a zero byte stands for "no end".
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::end_of;

    #[test]
    fn a_prefix_ends_before_the_next() {
        assert_eq!(end_of(b"/registry/"), b"/registry0");
        assert_eq!(end_of(b"a\xff"), b"b");
        assert_eq!(end_of(b"\xff\xff"), b"\0");
        assert_eq!(end_of(b""), b"\0");
    }
}
