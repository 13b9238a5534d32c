//! Keep, issue or refuse: a pure decision per certificate.

use time::{Duration, OffsetDateTime};

use super::inventory::Record;
use super::issue::{names, usage};
use super::table::{Use, Wanted};
use super::{NEW, Pair, key};
use crate::hash::sha256;
use crate::secret::Secret;

/// What the asset directory has of one certificate.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What the record says about it.
    pub record: Option<Record>,
    /// Its file, if there.
    pub cert: Option<String>,
    /// Its key's file, if there.
    pub key: Option<String>,
}

impl Found {
    /// What is there, as one; `None` if a part is missing.
    pub fn keep(self) -> Option<(Pair, Record)> {
        let pair = Pair {
            cert: self.cert?,
            key: Secret::new(self.key?),
        };
        Some((pair, self.record?))
    }
}

/// Why a certificate is renewed.
pub const AGED: &str = "less than a third of its life is left";

/// What to do about one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It serves as it is.
    Keep,
    /// It serves, but less than a third of its life is left.
    Renew,
    /// A new key and certificate, because.
    Issue(String),
    /// Neither, because; a person has to look.
    Refuse(String),
}

/// Decides about `wanted`, given what was found, the fingerprint of its issuer's certificate as it
/// is now, and the time.
pub fn decide(
    wanted: &Wanted,
    found: &Found,
    issuer: Option<&str>,
    now: OffsetDateTime,
) -> Decision {
    let Some(record) = &found.record else {
        return without_record(wanted, found);
    };
    if let Some(decision) = damage(wanted, found, record) {
        return decision;
    }
    let (Ok(not_after), Ok(life)) = (record.not_after(), record.life()) else {
        return Decision::Refuse(format!(
            "the record of {} has no readable date",
            wanted.name
        ));
    };
    if wanted.usage == Use::Authority {
        return authority(wanted, not_after, now);
    }
    let left = not_after - now;
    match stale(wanted, record, issuer) {
        Some(reason) => Decision::Issue(reason.to_owned()),
        None if left <= Duration::ZERO => Decision::Issue("it expired".to_owned()),
        None if left <= life / 3 => Decision::Renew,
        None => Decision::Keep,
    }
}

pub fn without_record(wanted: &Wanted, found: &Found) -> Decision {
    if found.cert.is_none() && found.key.is_none() {
        return Decision::Issue(NEW.to_owned());
    }
    Decision::Refuse(format!(
        "{} exists, but the record does not know it: it was not made by slipway; move it away to \
         have one made",
        wanted.name
    ))
}

/// Files that are missing, replaced or do not fit each other.
pub fn damage(wanted: &Wanted, found: &Found, record: &Record) -> Option<Decision> {
    damaged_cert(wanted, found, record).or_else(|| {
        let what = match &found.key {
            None => "its key is missing",
            Some(key) if !key_fits(key, record) => "its key does not fit",
            Some(_) => return None,
        };
        Some(lost(wanted, what))
    })
}

/// As [`damage`], where there may be no key.
pub fn damaged_cert(wanted: &Wanted, found: &Found, record: &Record) -> Option<Decision> {
    match &found.cert {
        None => Some(lost(wanted, "its certificate is missing")),
        Some(cert) if sha256(cert.as_bytes()) != record.sha256 => Some(replaced(wanted)),
        Some(_) => None,
    }
}

fn lost(wanted: &Wanted, what: &str) -> Decision {
    match wanted.usage {
        Use::Authority => Decision::Refuse(format!(
            "{what}; a new authority would cut off every node and user: restore {0}.crt and {0}.key \
             from a backup, or render into an empty folder to begin a new cluster",
            wanted.name
        )),
        _ => Decision::Issue(what.to_owned()),
    }
}

/// The same file is the same key; what another one holds takes arithmetic to know.
fn key_fits(text: &str, record: &Record) -> bool {
    record.key_sha256.as_deref() == Some(&sha256(text.as_bytes()))
        || key::parse(text).is_ok_and(|key| key::fingerprint(&key) == record.public_key)
}

fn replaced(wanted: &Wanted) -> Decision {
    Decision::Refuse(format!(
        "{}.crt is not the certificate that slipway recorded; put the recorded one back, or remove \
         it to have a new one made",
        wanted.name
    ))
}

pub fn authority(wanted: &Wanted, not_after: OffsetDateTime, now: OffsetDateTime) -> Decision {
    if not_after > now {
        return Decision::Keep;
    }
    Decision::Refuse(format!(
        "the authority {} expired on {}; every certificate below it is void: check the clock, or \
         begin a new cluster in an empty folder",
        wanted.name,
        not_after.date()
    ))
}

/// Why a whole leaf no longer serves.
fn stale(wanted: &Wanted, record: &Record, issuer: Option<&str>) -> Option<&'static str> {
    if record.issuer.as_deref() != issuer {
        return Some("its authority changed");
    }
    if record.common_name != wanted.common_name || record.organization != wanted.organization {
        return Some("its subject changed");
    }
    if record.names != names(wanted) || record.usage != usage(wanted.usage) {
        return Some("its names or uses changed");
    }
    (record.key_type != key::type_name(wanted.key_type)).then_some("its key type changed")
}
