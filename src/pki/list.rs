//! What there is, for people and for alarms: every certificate of an asset directory, from the record.
//!
//! The record says all that a list needs, so no certificate is parsed; that its file is still the one
//! which was recorded is checked by its fingerprint.

use std::time::SystemTime;

use super::inventory::{Inventory, Record};
use super::{INVENTORY, whole_seconds};
use crate::assets::Assets;
use crate::config::machine::Lifetimes;
use crate::hash::sha256;
use anyhow::Result;

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its path without the ending, e.g. `tls/apiserver`.
    pub name: String,
    /// E.g. `O=system:masters, CN=kubernetes-admin`.
    pub subject: String,
    /// Its alternative names, e.g. `DNS:localhost`.
    pub names: Vec<String>,
    /// The name of the authority that signed it, e.g. `tls/ca`; its own name if it signed itself.
    pub issuer: String,
    /// The last second it is valid in, RFC 3339.
    pub not_after: String,
    /// The same in seconds since 1970.
    pub expires: i64,
    /// Whole seconds until then; negative afterwards.
    pub left: i64,
    /// What is to be done about it.
    pub action: Action,
}

/// What a certificate needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// A new one: less than a third of its life is left, or none.
    Renew,
    /// An authority with less than a third of its life left: its successor takes three steps.
    Rotate,
    /// Its file is missing or not the one that was recorded.
    Damaged,
}

/// Every certificate in `assets`, authorities first. `lifetimes` are those of the document, which decide
/// what is due.
pub fn list(assets: &Assets, lifetimes: Lifetimes, now: SystemTime) -> Result<Vec<Listed>> {
    let now = whole_seconds(now)?;
    // A worker's kubelet has its own; nothing of them is here.
    let Some(record) = assets.get(INVENTORY) else {
        return Ok(Vec::new());
    };
    let inventory = Inventory::from_json(record.bytes.expose())?;
    let issuer = |name: &str, record: &Record| {
        let Some(issuer) = &record.issuer else {
            return name.to_owned();
        };
        let mut all = inventory.certificates.iter();
        let found = all.find(|(_, one)| &one.sha256 == issuer);
        found.map_or_else(|| "unknown".to_owned(), |(name, _)| name.clone())
    };
    let mut listed = Vec::new();
    for (name, record) in &inventory.certificates {
        let not_after = record.not_after()?;
        let left = not_after - now;
        let file = assets.get(&format!("{name}.crt"));
        let whole = file.is_some_and(|file| sha256(file.bytes.expose()) == record.sha256);
        let action = match record.usage == "authority" {
            _ if !whole => Action::Damaged,
            true if left <= lifetimes.authority / 3 => Action::Rotate,
            false if left <= lifetimes.leaf / 3 => Action::Renew,
            _ => Action::None,
        };
        listed.push(Listed {
            name: name.clone(),
            subject: subject(record),
            names: record.names.clone(),
            issuer: issuer(name, record),
            not_after: record.not_after.clone(),
            expires: not_after.unix_timestamp(),
            left: left.whole_seconds(),
            action,
        });
    }
    listed.sort_by_key(|one| (one.issuer != one.name, one.issuer.clone(), one.name.clone()));
    Ok(listed)
}

fn subject(record: &Record) -> String {
    let name = &record.common_name;
    match &record.organization {
        Some(organization) => format!("O={organization}, CN={name}"),
        None => format!("CN={name}"),
    }
}

impl Action {
    /// What it is called in a list.
    pub fn text(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Renew => "renew",
            Self::Rotate => "rotate",
            Self::Damaged => "damaged",
        }
    }
}
