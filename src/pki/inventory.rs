//! The record of what was issued: `tls/.inventory.json`.
//!
//! It holds nothing secret: of secrets that nobody can guess a fingerprint, of the token its public
//! half. Per certificate it keeps what the decision to keep it needs. Format of our own, camelCase JSON; what
//! was added later may be missing.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// The whole record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Fingerprint of its private half's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_key: Option<String>,
    /// One record a certificate, by its path without the ending.
    pub certificates: BTreeMap<String, Record>,
    /// What somebody else has to sign, by the path of what is to come, without the ending.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Request>,
}

/// A signing request that waits for its certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// What it asks for, in words: another wish needs another request.
    pub asks: String,
    /// Why.
    pub reason: String,
    /// Fingerprint of the request's file.
    pub sha256: String,
    /// Fingerprint of its key's file.
    pub key_sha256: String,
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
    /// The first second it is valid in, RFC 3339, UTC; records of old lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// The last second it is valid in, RFC 3339, UTC.
    pub not_after: String,
    /// Fingerprint of the certificate's PEM.
    pub sha256: String,
    /// Fingerprint of the public key that belongs to its private key.
    pub public_key: String,
    /// `P-256`, `P-384` or `RSA`.
    #[serde(default = "first_key_type")]
    pub key_type: String,
    /// Fingerprint of its private key's file; none if that is not here, or in a record of old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_sha256: Option<String>,
    /// Of the cluster's authority: how many certificates at the beginning of its file are its own chain.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub chain: usize,
    /// Whether the machine document gave it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given: bool,
}

/// Of all keys before records named it.
fn first_key_type() -> String {
    "P-256".to_owned()
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_one(number: &usize) -> bool {
    *number == 1
}

impl Record {
    /// How long it is valid as a whole.
    pub fn life(&self) -> Result<Duration> {
        match &self.not_before {
            Some(begin) => Ok(self.not_after()? - parse(begin)?),
            // What it was at that time.
            None if self.usage == "authority" => Ok(Duration::days(3653)),
            None => Ok(Duration::days(365)),
        }
    }

    /// The end of its validity.
    pub fn not_after(&self) -> Result<OffsetDateTime> {
        parse(&self.not_after)
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

fn parse(date: &str) -> Result<OffsetDateTime> {
    OffsetDateTime::parse(date, &Rfc3339)
        .with_context(|| format!("the record's {date:?} is no date"))
}

/// A date as a record holds it.
pub fn date(at: OffsetDateTime) -> Result<String> {
    at.format(&Rfc3339).context("cannot write a date")
}
