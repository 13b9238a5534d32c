//! What there is, for people and for alarms: every certificate of an asset directory, from the record.
//!
//! The record says all that a list needs of what was made here, so only what the document gave is parsed;
//! that a file is still the one which was recorded is checked by its fingerprint.

use std::time::SystemTime;

use anyhow::Result;
use time::OffsetDateTime;

use super::decide::AGED;
use super::inventory::{Inventory, Record};
use super::rotation::{Step, command};
use super::table::{CA, LASTING, NEXT, PREVIOUS};
use super::x509::Certificate;
use super::{issue, pem, read_inventory, request, text, whole_seconds};
use crate::assets::Assets;
use crate::hash::sha256;

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its path without the ending, e.g. `tls/apiserver`.
    pub name: String,
    /// E.g. `O=system:masters, CN=kubernetes-admin`.
    pub subject: String,
    /// Its alternative names, e.g. `DNS:localhost`.
    pub names: Vec<String>,
    /// The name of the authority that signed it, e.g. `tls/ca`; its own name if it signed itself; the
    /// subject of a signer that is not here.
    pub issuer: String,
    /// The first second it is valid in, RFC 3339; unknown of those that an early slipway made.
    pub not_before: Option<String>,
    /// The last second it is valid in, RFC 3339; none of one that was never there.
    pub not_after: Option<String>,
    /// The same in seconds since 1970.
    pub expires: Option<i64>,
    /// Whole seconds until then; negative afterwards.
    pub left: Option<i64>,
    /// What is to be done about it.
    pub action: Action,
    /// Why, or the next step; empty if nothing is to be done.
    pub reason: String,
}

/// What a certificate needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// A new one: less than a third of its life is left, or none.
    Renew,
    /// Somebody else's signature on a request that waits.
    Sign,
    /// The cluster's authority with less than a third of its life left: its successor takes three steps.
    /// Or one of those steps. Or an authority that has no successor but that of a new cluster.
    Rotate,
    /// Nothing that slipway does: somebody else should have renewed it, and a person finds out why not.
    Look,
    /// Its file is missing or not the one that was recorded, or an authority is at its end.
    Damaged,
}

/// What to do about an authority that nothing replaces.
const NO_SUCCESSOR: &str = "nothing replaces it, and the control plane ends with it: render a new cluster into an \
                            empty folder before that, and move there";

/// Every certificate in `assets`, also one that is still to be signed, authorities first.
pub fn list(assets: &Assets, now: SystemTime) -> Result<Vec<Listed>> {
    let now = whole_seconds(now)?;
    let Some(inventory) = read_inventory(assets)? else {
        return Ok(Vec::new());
    };
    let signers = signers(assets, &inventory);
    let mut listed = Vec::new();
    for (name, record) in &inventory.certificates {
        let (subject, issuer) = match &record.issuer {
            Some(issuer) => {
                let signer = signers.iter().find(|(_, one)| one == issuer);
                let signer = signer.map_or("an authority that is gone", |(name, _)| name);
                (subject(record), signer.to_owned())
            }
            None => given(assets, name).unwrap_or_else(|| (subject(record), name.clone())),
        };
        let (action, reason) = judge(assets, &inventory, (name, record), now)?;
        let not_after = record.not_after()?;
        listed.push(Listed {
            name: name.clone(),
            subject,
            names: record.names.clone(),
            issuer,
            not_before: record.not_before.clone(),
            not_after: Some(record.not_after.clone()),
            expires: Some(not_after.unix_timestamp()),
            left: Some((not_after - now).whole_seconds()),
            action,
            reason,
        });
    }
    listed.extend(never_there(assets, &inventory));
    listed.sort_by_key(|one| (one.issuer != one.name, one.issuer.clone(), one.name.clone()));
    Ok(listed)
}

/// What somebody else has to sign for the first time: nothing is recorded of it but the request.
fn never_there<'a>(
    assets: &'a Assets,
    inventory: &'a Inventory,
) -> impl Iterator<Item = Listed> + 'a {
    let requests = inventory.requests.iter();
    let new = requests.filter(|(name, _)| !inventory.certificates.contains_key(*name));
    new.map(|(name, asked)| {
        let (subject, names) = request::asked(&asked.asks);
        Listed {
            name: name.clone(),
            subject,
            names,
            issuer: CA.to_owned(),
            not_before: None,
            not_after: None,
            expires: None,
            left: None,
            action: Action::Sign,
            reason: to_sign(assets, name, None),
        }
    })
}

/// The next step for a request; `recorded` is the fingerprint of what was there before the answer.
fn to_sign(assets: &Assets, name: &str, recorded: Option<&str>) -> String {
    let file = assets.get(&format!("{name}.crt"));
    let there = file.map(|file| sha256(file.bytes.expose()));
    match there.as_deref() == recorded || there.is_none() {
        true => format!("sign {}.csr as {name}.crt", request::path(name)),
        false => format!("`slipway render` judges the {name}.crt that was put there"),
    }
}

/// The fingerprints of the certificates that sign, by name.
fn signers<'a>(assets: &Assets, inventory: &'a Inventory) -> Vec<(&'a str, String)> {
    let authorities = inventory.certificates.iter();
    authorities
        .filter(|(_, record)| record.usage == "authority")
        .filter_map(|(name, _)| {
            let file = text(assets, &format!("{name}.crt"))?;
            let first = pem::blocks(&file).ok()?.swap_remove(0);
            Some((name.as_str(), sha256(first.as_bytes())))
        })
        .collect()
}

/// Subject and signer of a certificate that has no signer here; the latter is its own name if that is itself.
fn given(assets: &Assets, name: &str) -> Option<(String, String)> {
    let file = text(assets, &format!("{name}.crt"))?;
    let first = pem::blocks(&file).ok()?.swap_remove(0);
    let read = Certificate::parse(&pem::der(&first).ok()?).ok()?;
    let issuer = match read.issuer == read.subject {
        true => name.to_owned(),
        false => read.issuer_text(),
    };
    Some((read.subject_text(), issuer))
}

fn judge(
    assets: &Assets,
    inventory: &Inventory,
    (name, record): (&str, &Record),
    now: OffsetDateTime,
) -> Result<(Action, String)> {
    // What is damaged is asked for anew, too.
    if inventory.requests.contains_key(name) {
        return Ok((Action::Sign, to_sign(assets, name, Some(&record.sha256))));
    }
    if let Some(damage) = damage(assets, name, record) {
        return Ok((Action::Damaged, damage.to_owned()));
    }
    let left = record.not_after()? - now;
    let due = left <= record.life()? / 3;
    let authority = record.usage == "authority";
    let (action, reason) = match name {
        NEXT => (Action::Rotate, command(Step::Reissue)),
        PREVIOUS => (Action::Rotate, command(Step::Drop)),
        CA if due && !inventory.certificates.contains_key(NEXT) => {
            (Action::Rotate, command(Step::Trust))
        }
        _ if authority && left.is_negative() => (Action::Damaged, "it expired"),
        _ if due && LASTING.contains(&name) => (Action::Rotate, NO_SUCCESSOR),
        _ if !due || authority => (Action::None, ""),
        _ if record.given => (Action::Renew, "the document has to give a new one"),
        _ if left.is_negative() => (Action::Renew, "it expired"),
        _ => (Action::Renew, AGED),
    };
    Ok((action, reason.to_owned()))
}

fn damage(assets: &Assets, name: &str, record: &Record) -> Option<&'static str> {
    let file = |ending| assets.get(&format!("{name}.{ending}"));
    let is = |bytes: &[u8], recorded: &str| sha256(bytes) == recorded;
    match (file("crt"), file("key"), &record.key_sha256) {
        (None, ..) => Some("its certificate is missing"),
        (Some(cert), ..) if !is(cert.bytes.expose(), &record.sha256) => {
            Some("its certificate is not the recorded one")
        }
        (_, None, Some(_)) => Some("its key is missing"),
        (_, Some(key), Some(recorded)) if !is(key.bytes.expose(), recorded) => {
            Some("its key is not the recorded one")
        }
        _ => None,
    }
}

fn subject(record: &Record) -> String {
    issue::subject_text(&record.common_name, record.organization.as_deref())
}

impl Action {
    /// What it is called in a list.
    pub fn text(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Renew => "renew",
            Self::Sign => "sign",
            Self::Rotate => "rotate",
            Self::Look => "look",
            Self::Damaged => "damaged",
        }
    }
}
