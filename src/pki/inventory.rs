//! The record of what was issued: `tls/.inventory.json`.
//!
//! It holds nothing secret. Per certificate it keeps what the decision to keep it needs, and what
//! an authority needs to sign again: its subject. Format of our own, camelCase JSON.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The whole record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inventory {
    /// Fingerprint of the service-account public key's PEM.
    pub service_account: String,
    /// Fingerprint of the key that Secrets are encrypted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_key: Option<String>,
    /// The bootstrap token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenRecord>,
    /// One record a certificate, by its path without the ending.
    pub certificates: BTreeMap<String, Record>,
}

/// What is known about the bootstrap token: nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenRecord {
    /// Its public half.
    pub id: String,
    /// When it ends, RFC 3339.
    pub expires: String,
}

/// What is known about one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// Common name of the subject.
    pub common_name: String,
    /// Organization of the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// What it is for: `authority`, `server`, `client` or `both`.
    pub usage: String,
    /// Alternative names, `DNS:…` and `IP:…`, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Fingerprint of the issuer's certificate; none if it signed itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The last second it is valid in, RFC 3339, UTC.
    pub not_after: String,
    /// Fingerprint of the certificate's PEM.
    pub sha256: String,
    /// Fingerprint of the public key that belongs to its private key.
    pub public_key: String,
}

impl Record {
    /// The end of its validity.
    pub fn not_after(&self) -> Result<OffsetDateTime> {
        OffsetDateTime::parse(&self.not_after, &Rfc3339)
            .with_context(|| format!("the record's notAfter {:?} is no date", self.not_after))
    }
}

impl Inventory {
    /// Reads a record.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .with_context(|| format!("cannot read {}; restore it from a backup", super::INVENTORY))
    }

    /// Writes a record: the same one gives the same bytes.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).context("cannot write the record")?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// A date as a record holds it.
pub fn date(at: OffsetDateTime) -> Result<String> {
    at.format(&Rfc3339).context("cannot write a date")
}
