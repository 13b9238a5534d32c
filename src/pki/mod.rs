//! Keys and certificates: the only maker of secrets.
//!
//! What is needed stands in one table ([`table`]); what exists already is described by a small
//! record beside it ([`inventory`]), because reading certificates back would need an X.509 parser
//! that costs more than the rest of this room. For each line of the table a pure decision
//! ([`decide`]) says keep, issue or refuse; issuing ([`issue`]) is the only place with randomness.
//! A certificate authority is never replaced on its own account: a new one would cut off every
//! node and every token, so whatever is wrong with an existing one is refused and explained.

mod decide;
mod inventory;
mod issue;
mod list;
mod table;

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow};
use rcgen::KeyPair;
use time::OffsetDateTime;

use crate::assets::Assets;
use crate::config::Machine;
use crate::exit::{Exit, WithExit, fail};
use crate::hash::sha256;
use crate::secret::Secret;

use decide::{Decision, Found};
use inventory::{Inventory, Record};
use issue::Authority;
use table::{Use, Wanted};

pub use list::{Action, Listed, list};

/// Where the record of what was issued lies in an asset directory.
pub const INVENTORY: &str = "tls/.inventory.json";
const SERVICE_ACCOUNT: &str = "tls/service-account";

/// A certificate and its private key (PKCS #8), both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate; public.
    pub cert: String,
    /// The private key.
    pub key: Secret,
}

/// Every key and certificate of a cluster's first control-plane node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    pairs: BTreeMap<&'static str, Pair>,
    service_account_key: Secret,
    service_account_pub: String,
    inventory: Inventory,
}

/// What was done to one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Its path without the ending, e.g. `tls/apiserver`.
    pub name: &'static str,
    /// Why it was issued, e.g. `its names changed`.
    pub reason: String,
}

impl Secrets {
    /// The certificate whose files are `NAME.crt` and `NAME.key`, e.g. `tls/apiserver`.
    pub fn pair(&self, name: &str) -> Result<&Pair> {
        self.pairs
            .get(name)
            .with_context(|| format!("there is no certificate named {name}"))
    }

    /// All certificates by path without the ending.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &Pair)> {
        self.pairs.iter().map(|(name, pair)| (*name, pair))
    }

    /// The key that signs service-account tokens (PKCS #8 PEM).
    pub fn service_account_key(&self) -> &Secret {
        &self.service_account_key
    }

    /// Its public half (PKIX PEM).
    pub fn service_account_pub(&self) -> &str {
        &self.service_account_pub
    }

    /// The record that the next render reads; goes to [`INVENTORY`].
    pub fn inventory(&self) -> Result<Vec<u8>> {
        self.inventory.to_json()
    }

    /// The last day of the cluster's authority, e.g. `2036-11-20`.
    pub fn ca_until(&self) -> String {
        let record = self.inventory.certificates.get(table::CA);
        record
            .and_then(|record| record.not_after.get(..10))
            .unwrap_or_default()
            .to_owned()
    }
}

/// Secrets that the machine document gives, found and in clear.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// The key that signs service-account tokens.
    pub service_account_key: Option<Secret>,
}

/// Which leaves are to be renewed, by name, whether or not they have to be.
pub type Chosen<'a> = &'a dyn Fn(&str) -> bool;

/// Whether [`ensure`] would date a certificate, so that the clock matters. An authority is kept or
/// refused, so what hangs on it can be judged by the one that is there.
///
/// # Errors
/// As [`ensure`].
pub fn is_due(machine: &Machine, earlier: &Assets, now: SystemTime) -> Result<bool> {
    let now = whole_seconds(now)?;
    let Some(old) = read_inventory(earlier)? else {
        return Ok(true);
    };
    let nothing = empty(Secret::new(""), String::new());
    let mut round = Round::new(earlier, Some(old), now, nothing, &|_| false);
    for wanted in table::wanted(machine) {
        let reason = round.keep(&wanted);
        if reason
            .with_context(|| format!("certificate {}", wanted.name))?
            .is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Every secret that `machine` needs: those of `earlier` (an asset directory, maybe empty) as far
/// as they still serve, what is `given`, and new ones for the rest. Also says which were issued and why.
///
/// Fails with [`Exit::Refused`] if something that must not change is missing or not ours.
pub fn ensure(
    machine: &Machine,
    given: &Given,
    earlier: &Assets,
    now: SystemTime,
) -> Result<(Secrets, Vec<Issued>)> {
    renew(machine, given, earlier, now, &|_| false)
}

/// As [`ensure`], and new leaves for those whose name is `chosen`, though they would serve.
pub fn renew(
    machine: &Machine,
    given: &Given,
    earlier: &Assets,
    now: SystemTime,
    chosen: Chosen<'_>,
) -> Result<(Secrets, Vec<Issued>)> {
    let now = whole_seconds(now)?;
    let old = read_inventory(earlier)?;
    let (key, public) = service_account(given, earlier, &old)?;
    let mut round = Round::new(earlier, old, now, empty(key, public), chosen);
    for wanted in table::wanted(machine) {
        round
            .settle(&wanted)
            .with_context(|| format!("certificate {}", wanted.name))?;
    }
    Ok((round.secrets, round.issued))
}

fn empty(service_account_key: Secret, service_account_pub: String) -> Secrets {
    let service_account = sha256(service_account_pub.as_bytes());
    let inventory = Inventory {
        service_account,
        certificates: BTreeMap::new(),
    };
    Secrets {
        pairs: BTreeMap::new(),
        service_account_key,
        service_account_pub,
        inventory,
    }
}

fn whole_seconds(now: SystemTime) -> Result<OffsetDateTime> {
    OffsetDateTime::from(now)
        .replace_nanosecond(0)
        .context("the clock shows no date")
}

/// One pass over the table; issuers come before what they sign.
struct Round<'a> {
    earlier: &'a Assets,
    old: Option<Inventory>,
    now: OffsetDateTime,
    chosen: Chosen<'a>,
    issued: Vec<Issued>,
    secrets: Secrets,
}

impl<'a> Round<'a> {
    fn new(
        earlier: &'a Assets,
        old: Option<Inventory>,
        now: OffsetDateTime,
        secrets: Secrets,
        chosen: Chosen<'a>,
    ) -> Self {
        Self {
            earlier,
            old,
            now,
            chosen,
            issued: Vec::new(),
            secrets,
        }
    }

    fn settle(&mut self, wanted: &Wanted) -> Result<()> {
        let Some(reason) = self.keep(wanted)? else {
            return Ok(());
        };
        let (pair, record) = issue::issue(wanted, self.authority(wanted)?.as_ref(), self.now)?;
        self.issued.push(Issued {
            name: wanted.name,
            reason,
        });
        self.take(wanted, pair, record);
        Ok(())
    }

    /// Keeps what still serves; returns why a new one is needed, if so.
    fn keep(&mut self, wanted: &Wanted) -> Result<Option<String>> {
        let found = self.find(wanted.name);
        let issuer = wanted
            .issuer
            .map(|name| self.fingerprint_of(name))
            .transpose()?;
        match decide::decide(wanted, &found, issuer.as_deref(), self.now) {
            Decision::Issue(reason) => Ok(Some(reason)),
            Decision::Refuse(why) => Err(fail(Exit::Refused, anyhow!(why))),
            Decision::Keep if wanted.usage != Use::Authority && (self.chosen)(wanted.name) => {
                Ok(Some("it was asked for".to_owned()))
            }
            Decision::Keep => {
                let (pair, record) = found
                    .keep()
                    .context("it was to be kept, but is not there")?;
                self.take(wanted, pair, record);
                Ok(None)
            }
        }
    }

    fn take(&mut self, wanted: &Wanted, pair: Pair, record: Record) {
        self.secrets.pairs.insert(wanted.name, pair);
        self.secrets
            .inventory
            .certificates
            .insert(wanted.name.to_owned(), record);
    }

    fn find(&self, name: &str) -> Found {
        let read = |ending| text(self.earlier, &format!("{name}.{ending}"));
        let record = self
            .old
            .as_ref()
            .and_then(|old| old.certificates.get(name).cloned());
        Found {
            record,
            cert: read("crt"),
            key: read("key"),
        }
    }

    fn fingerprint_of(&self, name: &str) -> Result<String> {
        Ok(sha256(self.secrets.pair(name)?.cert.as_bytes()))
    }

    fn authority(&self, wanted: &Wanted) -> Result<Option<Authority>> {
        let Some(name) = wanted.issuer else {
            return Ok(None);
        };
        let pair = self.secrets.pair(name)?;
        let record = self
            .secrets
            .inventory
            .certificates
            .get(name)
            .context("no record of it")?;
        Authority::new(pair, record).map(Some)
    }
}

fn read_inventory(earlier: &Assets) -> Result<Option<Inventory>> {
    if let Some(asset) = earlier.get(INVENTORY) {
        return Inventory::from_json(asset.bytes.expose()).map(Some);
    }
    let Some((name, _)) = earlier.below("tls/").next() else {
        return Ok(None);
    };
    Err(fail(
        Exit::Refused,
        anyhow!(
            "the asset directory holds tls/{name} but not the record {INVENTORY} that slipway keeps \
             beside its certificates; restore the record from a backup, or render into an empty \
             folder to begin a new cluster"
        ),
    ))
}

/// The service-account key pair; losing it would void every token, so it is made only once.
fn service_account(
    given: &Given,
    earlier: &Assets,
    old: &Option<Inventory>,
) -> Result<(Secret, String)> {
    let given = given
        .service_account_key
        .as_ref()
        .map(given_key)
        .transpose()?;
    let key = text(earlier, &format!("{SERVICE_ACCOUNT}.key"));
    match (old, key) {
        (None, _) => match given {
            Some(pair) => Ok(pair),
            None => {
                let key = KeyPair::generate().context("cannot make the service-account key")?;
                Ok((Secret::new(key.serialize_pem()), key.public_key_pem()))
            }
        },
        (Some(old), Some(pem)) => {
            let public = issue::parse_key(&pem)
                .with_context(|| format!("cannot read {SERVICE_ACCOUNT}.key"))?
                .public_key_pem();
            if sha256(public.as_bytes()) != old.service_account {
                return refuse_service_account("is not the key that was made for this cluster");
            }
            if given.is_some_and(|(_, given)| given != public) {
                return refuse_service_account("is not the one that the document gives now");
            }
            Ok((Secret::new(pem), public))
        }
        (Some(_), None) => refuse_service_account("is gone"),
    }
}

/// The document's own key, with its public half.
fn given_key(key: &Secret) -> Result<(Secret, String)> {
    let shape = "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`";
    let pem = std::str::from_utf8(key.expose()).unwrap_or_default();
    let pair = issue::parse_key(pem)
        .with_context(|| format!("cluster.serviceAccountKey is no P-256 key in PKCS #8; {shape}"))
        .exit(Exit::Invalid)?;
    Ok((Secret::new(pair.serialize_pem()), pair.public_key_pem()))
}

fn refuse_service_account<T>(what: &str) -> Result<T> {
    Err(fail(
        Exit::Refused,
        anyhow!(
            "{SERVICE_ACCOUNT}.key {what}; a new one would void every token in the cluster: restore \
             it from a backup, or render into an empty folder to begin a new cluster"
        ),
    ))
}

fn text(assets: &Assets, path: &str) -> Option<String> {
    String::from_utf8(assets.get(path)?.bytes.expose().to_vec()).ok()
}

#[cfg(test)]
mod tests;
