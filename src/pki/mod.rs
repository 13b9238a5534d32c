//! Keys and certificates: the only maker of secrets.
//!
//! What is needed stands in one table ([`table`]); what exists already is described by a small
//! record beside it ([`inventory`]), because reading certificates back would need an X.509 parser
//! that costs more than the rest of this room. For each line of the table a pure decision
//! ([`decide`]) says keep, issue or refuse; issuing ([`issue`]) is the only place with randomness.
//! A certificate authority is never replaced on its own account: a new one would cut off every
//! node and every token, so whatever is wrong with an existing one is refused and explained.

mod authority;
mod chain;
pub mod csr;
mod decide;
mod der;
mod external_etcd;
mod inventory;
mod issue;
mod kept;
mod key;
mod list;
mod pem;
mod request;
mod round;
mod table;
mod token;
mod x509;

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow};
use rcgen::PublicKeyData;
use time::OffsetDateTime;

use crate::assets::Assets;
use crate::config::Machine;
use crate::config::machine::Role;
use crate::exit::{Exit, fail};
use crate::hash::sha256;
use crate::secret::Secret;

use inventory::Inventory;
use round::{Round, Task};
use table::{Use, Wanted};

pub use authority::Step;
pub use kept::ENCRYPTION_KEY;
pub use list::{Action, Listed, list};
pub use token::{BootstrapToken, FILE as BOOTSTRAP_TOKEN};

/// Where the record of what was issued lies in an asset directory.
pub const INVENTORY: &str = "tls/.inventory.json";
/// The one certificate that signs, apart from others that are trusted.
pub const SIGNER: &str = "tls/ca-signer";

/// A certificate and its private key (PKCS #8), both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate; public.
    pub cert: String,
    /// The private key.
    pub key: Secret,
}

/// Every key and certificate of a cluster's first control-plane node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    pairs: BTreeMap<&'static str, Pair>,
    certs: BTreeMap<&'static str, String>,
    requests: BTreeMap<String, Pair>,
    missing: Vec<(&'static str, String)>,
    service_account_key: Secret,
    service_account_pub: String,
    token: BootstrapToken,
    encryption_key: Option<Secret>,
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

    /// Whether there are none, as for a worker.
    pub fn is_empty(&self) -> bool {
        self.certs.is_empty()
    }

    /// All certificates whose keys are here, by path without the ending.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &Pair)> {
        self.pairs.iter().map(|(name, pair)| (*name, pair))
    }

    /// The certificate at `NAME.crt`, also one without a key: `tls/ca-signer` is the one that signs,
    /// which some programs want alone; `tls/ca` may hold others beside it.
    pub fn cert(&self, name: &str) -> Result<&str> {
        match self.certs.get(name) {
            Some(cert) => Ok(cert),
            None => Ok(&self.pair(name)?.cert),
        }
    }

    /// Certificates whose keys are not here, by path without the ending.
    pub fn certs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.certs.iter().map(|(name, cert)| (*name, cert.as_str()))
    }

    /// Requests that somebody else has to sign (`PATH.csr`), and their keys (`PATH.key`), by path without the
    /// ending.
    pub fn requests(&self) -> impl Iterator<Item = (&str, &Pair)> {
        self.requests
            .iter()
            .map(|(path, pair)| (path.as_str(), pair))
    }

    /// Whether nothing waits for somebody else's signature.
    ///
    /// # Errors
    /// [`Exit::Refused`], and what has to be signed and put where.
    pub fn complete(&self) -> Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let mut text = "certificates.authority has no key, so somebody else has to sign; put each certificate \
                        in its place in the asset directory, then run `slipway render` again:"
            .to_owned();
        for (name, reason) in &self.missing {
            let line = format!(
                "\n  sign {}.csr as {name}.crt ({reason})",
                request::path(name)
            );
            text += &line;
        }
        Err(fail(Exit::Refused, anyhow!(text)))
    }

    /// Whether the key of the cluster's authority is here.
    pub fn can_sign(&self) -> bool {
        self.pairs.contains_key(table::CA)
    }

    /// What new nodes show.
    pub fn bootstrap_token(&self) -> &BootstrapToken {
        &self.token
    }

    /// The key that Secrets are encrypted with in etcd: 32 bytes in base64.
    pub fn encryption_key(&self) -> Option<&Secret> {
        self.encryption_key.as_ref()
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
    /// The key of the cluster's authority.
    pub authority_key: Option<Secret>,
    /// The key of the certificate that an external etcd knows.
    pub etcd_key: Option<Secret>,
    /// The bootstrap token.
    pub token: Option<Secret>,
    /// The key that Secrets are encrypted with.
    pub encryption_key: Option<Secret>,
}

/// What is to be done beside what is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Leaves to renew now, by name, e.g. `tls/apiserver`.
    pub renew: Vec<String>,
    /// Renew every leaf now.
    pub renew_all: bool,
    /// A step of the rotation of the cluster's authority.
    pub step: Option<Step>,
}

impl Order {
    fn renews(&self, wanted: &Wanted) -> bool {
        let named = || self.renew.iter().any(|name| name == wanted.name);
        wanted.usage != Use::Authority && (self.renew_all || named())
    }

    fn check(&self, table: &[Wanted]) -> Result<()> {
        let leaf = |wanted: &&Wanted| wanted.usage != Use::Authority;
        let leaves: Vec<_> = (table.iter().filter(leaf).map(|wanted| wanted.name)).collect();
        let unknown = (self.renew.iter()).find(|name| !leaves.contains(&name.as_str()));
        unknown.map_or(Ok(()), |name| {
            let known = leaves.join(", ");
            let error =
                anyhow!("there is no certificate {name} that can be renewed; there are {known}");
            Err(fail(Exit::Usage, error))
        })
    }
}

/// Whether [`ensure`] would make or judge something by the date, so that the clock matters. An authority
/// is kept or refused, so what hangs on it can be judged by the one that is there.
///
/// # Errors
/// As [`ensure`].
pub fn is_due(machine: &Machine, given: &Given, earlier: &Assets, now: SystemTime) -> Result<bool> {
    let old = read_inventory(earlier)?;
    if machine.role == Role::Worker {
        return Ok(false);
    }
    if token::keep(given, earlier, old.as_ref())?.is_none() {
        return Ok(true);
    }
    let task = Task {
        machine,
        given,
        earlier,
        old: old.as_ref(),
        order: &Order::default(),
        now: whole_seconds(now)?,
        dry: true,
    };
    Ok(Round::run(task)?.dated)
}

/// Every secret that `machine` needs: those of `earlier` (an asset directory, maybe empty) as far
/// as they still serve, what is `given`, and new ones for the rest. Also says which were issued and why.
/// A worker needs none.
///
/// Where somebody else signs, some may be missing: see [`Secrets::complete`].
///
/// Fails with [`Exit::Refused`] if something that must not change is missing or not ours.
pub fn ensure(
    machine: &Machine,
    given: &Given,
    earlier: &Assets,
    now: SystemTime,
) -> Result<(Secrets, Vec<Issued>)> {
    ensure_with(machine, given, earlier, now, &Order::default())
}

/// As [`ensure`], and does what is ordered. A step of a rotation can be done again; a wrong one is refused
/// with the one that is next.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_with(
    machine: &Machine,
    given: &Given,
    earlier: &Assets,
    now: SystemTime,
    order: &Order,
) -> Result<(Secrets, Vec<Issued>)> {
    if machine.role == Role::Worker {
        return Ok((Secrets::default(), Vec::new()));
    }
    let now = whole_seconds(now)?;
    let old = read_inventory(earlier)?;
    let task = Task {
        machine,
        given,
        earlier,
        old: old.as_ref(),
        order,
        now,
        dry: false,
    };
    let mut secrets = once(&task)?;
    let round = Round::run(task)?;
    secrets.inventory.certificates = round.records;
    secrets.inventory.requests = round.requests;
    secrets.pairs = round.pairs;
    secrets.certs = round.certs;
    secrets.requests = round.request_pairs;
    secrets.missing = round.missing;
    if order.step == Some(Step::Drop) {
        // Not half of it: what still hangs on the old one would be cut off.
        secrets.complete()?;
    }
    Ok((secrets, round.issued))
}

/// What is made once.
fn once(task: &Task<'_>) -> Result<Secrets> {
    let Task {
        machine,
        given,
        earlier,
        old,
        now,
        ..
    } = *task;
    let (key, public) = kept::service_account(machine, given, earlier, old)?;
    let encryption_key = kept::encryption_key(machine, given, earlier, old)?;
    let token = match token::keep(given, earlier, old)? {
        Some(token) => token,
        None => token::make(machine, given, now)?,
    };
    let inventory = Inventory {
        service_account: sha256(public.as_bytes()),
        service_account_key: Some(sha256(key.expose())),
        encryption_key: encryption_key.as_ref().map(|key| sha256(key.expose())),
        token: Some(token::record(&token)),
        ..Inventory::default()
    };
    Ok(Secrets {
        service_account_key: key,
        service_account_pub: public,
        token,
        encryption_key,
        inventory,
        ..Secrets::default()
    })
}

/// The type of keys that are made for a machine, e.g. `P-256`.
pub fn key_type(machine: &Machine) -> &'static str {
    key::type_name(machine.certificates.key_type)
}

/// The type of a private key (PEM) and its public half; `None` if it is none that can be read.
pub fn public_half(private: &str) -> Option<(&'static str, Vec<u8>)> {
    let key = key::parse(private).ok()?;
    Some((key::type_of(&key), key.der_bytes().to_vec()))
}

fn whole_seconds(now: SystemTime) -> Result<OffsetDateTime> {
    OffsetDateTime::from(now)
        .replace_nanosecond(0)
        .context("the clock shows no date")
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

fn text(assets: &Assets, path: &str) -> Option<String> {
    String::from_utf8(assets.get(path)?.bytes.expose().to_vec()).ok()
}

#[cfg(test)]
mod tests;
