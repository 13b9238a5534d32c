//! The record of a backup: what lies beside it, for whoever has no key.
//!
//! A sealed bundle tells nobody whether it is whole; its hash here does. Nothing in it is secret.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{API_VERSION, Taken};

const KIND: &str = "Backup";

/// What a backup consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    api_version: String,
    kind: String,
    /// The node that it is of.
    pub node: String,
    /// When: RFC 3339, UTC.
    pub taken: String,
    /// etcd's version.
    pub etcd: String,
    /// The snapshot.
    pub snapshot: Taken,
    /// The bundle, if there is one.
    pub bundle: Option<Sealed>,
    /// Why there is none.
    pub without_bundle: Option<String>,
}

/// A sealed bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Of the file as it is.
    pub sha256: String,
    /// The file's size.
    pub bytes: u64,
    /// Public keys of those who can open it.
    pub recipients: Vec<String>,
}

impl Record {
    /// A record of a backup without a bundle so far.
    pub fn new(node: &str, taken: &str, etcd: &str, snapshot: Taken) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            node: node.to_owned(),
            taken: taken.to_owned(),
            etcd: etcd.to_owned(),
            snapshot,
            bundle: None,
            without_bundle: None,
        }
    }

    /// For people too.
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).context("cannot write the record")?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Understands one.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let record: Self = serde_json::from_slice(bytes).context("it is no record of a backup")?;
        ensure!(
            record.kind == KIND && record.api_version == API_VERSION,
            "it is {} of {}; this slipway reads {KIND} of {API_VERSION}",
            record.kind,
            record.api_version
        );
        Ok(record)
    }
}
