//! What a snapshot says of itself and of the cluster it was taken from.
//!
//! The buckets and keys are those of go.etcd.io/etcd/server 3.5 to 3.7, storage/schema. What is newer than that
//! is read all the same: etcd has kept the format of its keys since 3.0, and a person with nothing but this
//! file is better off with a warning.

use std::str;

use anyhow::{Context, Result, ensure};
use prost::Message;
use serde::Deserialize;

use super::mvcc;
use super::source::Window;
use super::tree::Entry;

/// The newest storage version that was looked at: major and minor.
const KNOWN: (u64, u64) = (3, 7);
/// The longest value of these buckets that is read.
const MAX_VALUE: u32 = 64 * 1024;
/// More members than any cluster has.
const MAX_MEMBERS: usize = 256;

/// What a snapshot is, without its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Bytes of the file, its hash included.
    pub size: u64,
    /// Bytes of a page.
    pub page_size: u32,
    /// The last revision; 1 if nothing was ever written.
    pub revision: i64,
    /// Revisions up to this one are no longer complete; 0 if nothing was compacted.
    pub compacted: i64,
    /// Keys that have a value at the last revision; `None` if there are too many to count in little memory.
    pub keys: Option<u64>,
    /// The members of the cluster, by id; none in a database that was restored and never started.
    pub members: Vec<Member>,
    /// The version that the cluster agreed on, e.g. `3.7.0`.
    pub cluster_version: Option<String>,
    /// The version of the storage, e.g. `3.7.0`; etcd before 3.6 wrote none.
    pub storage_version: Option<String>,
    /// How far the log of the consensus was applied.
    pub consistent_index: u64,
    /// The term of that.
    pub term: u64,
    /// The SHA-256 at its end, in hexadecimal: what the file claims, see
    /// [`verify`](super::Snapshot::verify).
    pub sha256: Option<String>,
    /// What a person should know before trusting the rest.
    pub warnings: Vec<String>,
}

/// A member of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Member {
    /// Its number; people see it in hexadecimal.
    pub id: u64,
    /// Its name; empty until it has started once.
    pub name: String,
    /// Where the other members reach it.
    #[serde(rename = "peerURLs")]
    pub peer_urls: Vec<String>,
    /// Whether it does not vote.
    pub is_learner: bool,
}

/// etcdserverpb.AlarmMember: what a member raised.
#[derive(Clone, PartialEq, Message)]
struct Alarm {
    #[prost(uint64, tag = "1")]
    member: u64,
    #[prost(int32, tag = "2")]
    kind: i32,
}

/// Its quota is used up.
const NOSPACE: i32 = 1;
/// It holds something else than the others do.
const CORRUPT: i32 = 2;

impl Facts {
    /// Takes one entry of the bucket `meta`.
    pub(super) fn meta(&mut self, entry: &Entry, window: &mut Window) -> Result<()> {
        match entry.key {
            b"consistent_index" => self.consistent_index = number(entry, window)?,
            b"term" => self.term = number(entry, window)?,
            b"storageVersion" => self.storage_version = Some(version(entry, window)?),
            b"scheduledCompactRev" | b"finishedCompactRev" => {
                let revision = mvcc::revision(value(entry, window)?)?;
                self.compacted = self.compacted.max(revision.main);
            }
            _ => (),
        }
        Ok(())
    }

    /// Takes one entry of the bucket `cluster`.
    pub(super) fn cluster(&mut self, entry: &Entry, window: &mut Window) -> Result<()> {
        if entry.key == b"clusterVersion" {
            self.cluster_version = Some(version(entry, window)?);
        }
        Ok(())
    }

    /// Takes one entry of the bucket `members`.
    pub(super) fn member(&mut self, entry: &Entry, window: &mut Window) -> Result<()> {
        ensure!(self.members.len() < MAX_MEMBERS, "too many members");
        let member = serde_json::from_slice(value(entry, window)?);
        self.members
            .push(member.context("its member is no JSON object")?);
        Ok(())
    }

    /// Takes one entry of the bucket `alarm`, whose key is all there is.
    pub(super) fn alarm(&mut self, entry: &Entry) -> Result<()> {
        ensure!(self.warnings.len() < MAX_MEMBERS, "too many alarms");
        let alarm = Alarm::decode(entry.key).context("its alarm is none of etcd's")?;
        let what = match alarm.kind {
            NOSPACE => "NOSPACE: its quota was used up, so changes since then were refused",
            CORRUPT => {
                "CORRUPT: it held something else than another member; compare with that one's"
            }
            _ => "an alarm that this slipway does not know",
        };
        let member = alarm.member;
        self.warnings
            .push(format!("member {member:x} had raised {what}"));
        Ok(())
    }

    /// What is to be said once everything is known.
    pub(super) fn conclude(&mut self) {
        // A compaction removes the last revision too if that was a deletion.
        self.revision = self.revision.max(self.compacted).max(1);
        for (what, version) in [
            ("storage", &self.storage_version),
            ("cluster", &self.cluster_version),
        ] {
            if let Some(version) = version.as_ref().filter(|version| !is_known(version)) {
                let (major, minor) = KNOWN;
                self.warnings.push(format!(
                    "its {what} version is {version}, and this slipway knows etcd up to {major}.{minor}: compare \
                     what is found with what you expect"
                ));
            }
        }
    }
}

fn is_known(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => major == KNOWN.0 && minor <= KNOWN.1,
        _ => false,
    }
}

fn value<'w>(entry: &Entry, window: &'w mut Window) -> Result<&'w [u8]> {
    let name = String::from_utf8_lossy(entry.key);
    let len = entry.value.len;
    ensure!(
        !entry.is_bucket && len <= MAX_VALUE,
        "the value of {name:?} is not etcd's"
    );
    window.get(entry.value.start, len as usize)
}

fn number(entry: &Entry, window: &mut Window) -> Result<u64> {
    let bytes: Result<[u8; 8], _> = value(entry, window)?.try_into();
    let name = String::from_utf8_lossy(entry.key);
    bytes
        .map(u64::from_be_bytes)
        .with_context(|| format!("the value of {name:?} is no number"))
}

/// Text that is short enough to be shown.
fn version(entry: &Entry, window: &mut Window) -> Result<String> {
    let text = str::from_utf8(value(entry, window)?).ok();
    let name = String::from_utf8_lossy(entry.key);
    text.filter(|text| text.len() < 64 && text.chars().all(|char| char.is_ascii_graphic()))
        .map(str::to_owned)
        .with_context(|| format!("the value of {name:?} is no version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_to_warn_of() {
        for known in ["3.7.0", "3.6.0", "3.5.21", "3.0.0"] {
            assert!(is_known(known), "{known}");
        }
        for unknown in ["3.8.0", "4.0.0", "3", "next", ""] {
            assert!(!is_known(unknown), "{unknown}");
        }
    }

    #[test]
    fn a_member_as_etcd_writes_it() {
        let text = r#"{"id":14720799474854129801,"peerURLs":["http://a:1"],"name":"n","clientURLs":["x"]}"#;
        let member: Member = serde_json::from_str(text).unwrap();
        assert_eq!(member.id, 14720799474854129801);
        assert_eq!(
            (member.name.as_str(), &*member.peer_urls),
            ("n", &["http://a:1".to_owned()][..])
        );
    }
}
