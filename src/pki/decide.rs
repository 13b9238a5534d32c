//! Keep, issue or refuse: a pure decision per certificate.

use time::{Duration, OffsetDateTime};

use super::Pair;
use super::inventory::Record;
use super::issue::{self, leaf_life, names, usage};
use super::table::{Use, Wanted};
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

/// What to do about one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It serves as it is.
    Keep,
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
    let Ok(not_after) = record.not_after() else {
        return Decision::Refuse(format!(
            "the record of {} has no readable date",
            wanted.name
        ));
    };
    if wanted.usage == Use::Authority {
        return authority(wanted, not_after, now);
    }
    match stale(wanted, record, issuer, not_after - now) {
        Some(reason) => Decision::Issue(reason.to_owned()),
        None => Decision::Keep,
    }
}

fn without_record(wanted: &Wanted, found: &Found) -> Decision {
    if found.cert.is_none() && found.key.is_none() {
        return Decision::Issue("new".to_owned());
    }
    Decision::Refuse(format!(
        "{} exists, but the record does not know it: it was not made by slipway; move it away to \
         have one made",
        wanted.name
    ))
}

/// Files that are missing, replaced or do not fit each other.
fn damage(wanted: &Wanted, found: &Found, record: &Record) -> Option<Decision> {
    let whole = (found.cert.as_ref()).map(|cert| sha256(cert.as_bytes()) == record.sha256);
    let key = (found.key.as_ref()).map(|key| key_fits(key, record));
    let what = match (whole, key) {
        (Some(true), Some(true)) => return None,
        (Some(false), _) => return Some(replaced(wanted)),
        (None, _) => "its certificate is missing",
        (_, None) => "its key is missing",
        (_, Some(false)) => "its key does not fit",
    };
    Some(match wanted.usage {
        Use::Authority => Decision::Refuse(format!(
            "{what}; a new authority would cut off every node and user: restore {0}.crt and {0}.key \
             from a backup, or render into an empty folder to begin a new cluster",
            wanted.name
        )),
        _ => Decision::Issue(what.to_owned()),
    })
}

fn key_fits(key: &str, record: &Record) -> bool {
    issue::parse_key(key).is_ok_and(|key| issue::public_key(&key) == record.public_key)
}

fn replaced(wanted: &Wanted) -> Decision {
    Decision::Refuse(format!(
        "{}.crt is not the certificate that slipway recorded; put the recorded one back, or remove \
         it to have a new one made",
        wanted.name
    ))
}

fn authority(wanted: &Wanted, not_after: OffsetDateTime, now: OffsetDateTime) -> Decision {
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
fn stale(
    wanted: &Wanted,
    record: &Record,
    issuer: Option<&str>,
    left: Duration,
) -> Option<&'static str> {
    if record.issuer.as_deref() != issuer {
        return Some("its authority changed");
    }
    if record.common_name != wanted.common_name || record.organization != wanted.organization {
        return Some("its subject changed");
    }
    if record.names != names(wanted) || record.usage != usage(wanted.usage) {
        return Some("its names or uses changed");
    }
    if left <= Duration::ZERO {
        return Some("it expired");
    }
    (left <= leaf_life() / 3).then_some("less than a third of its life is left")
}
