//! Keys and certificates: the only maker of secrets.
//!
//! What is needed stands in one table ([`table`]); what exists already is described by a small
//! record beside it ([`inventory`]), so that a render on which nothing changed compares hashes and
//! parses nothing. For each line of the table a pure decision ([`decide`]) says keep, issue or
//! refuse; issuing ([`issue`]) is the only place with randomness. What somebody else made (an
//! authority of the document, a certificate that answers a request) is read once, when it is taken
//! ([`x509`]). A certificate authority is never replaced on its own account: a new one would cut off
//! every node and every token, so whatever is wrong with an existing one is refused and explained,
//! and a successor comes in three ordered steps ([`rotation`]).

mod adopt;
mod authority;
mod chain;
pub mod csr;
mod decide;
mod der;
mod external_etcd;
mod inventory;
mod issue;
mod issued;
mod kept;
mod key;
mod list;
mod pem;
mod request;
mod rotation;
mod round;
mod secrets;
mod table;
mod token;
mod x509;

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

pub use adopt::{Saved, adopt};
pub use issued::issued;
pub use kept::ENCRYPTION_KEY;
pub use list::{Action, Listed, list};
pub use rotation::Step;
pub use secrets::{Pair, Secrets, Waiting};
pub use table::{CHECKPOINTS, KUBELET_CLIENT, api_names};
pub use token::{BootstrapToken, FILE as BOOTSTRAP_TOKEN, GROUP as TOKEN_GROUP};

/// Where the record of what was issued lies in an asset directory.
pub const INVENTORY: &str = "tls/.inventory.json";
/// Why something is issued that was not there before, among [`Issued::reason`]s.
pub const NEW: &str = "new";
/// The one certificate that signs, apart from others that are trusted.
pub const SIGNER: &str = "tls/ca-signer";

/// What was done to one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Its path without the ending, e.g. `tls/apiserver`.
    pub name: &'static str,
    /// Why it was issued, e.g. `its names changed`.
    pub reason: String,
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
    /// Another bootstrap token, if the one that was made has ended.
    pub token: bool,
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
    pass(machine, given, earlier, (now, true), order)
}

/// As [`ensure_with`], by a clock that may be wrong. `dated` waits for one that is right, and is asked only if
/// something is made or judged by the date. An authority is kept or refused, so what hangs on it can be
/// judged by the one that is there.
///
/// # Errors
/// As [`ensure`], and those of `dated`.
pub fn ensure_dated(
    machine: &Machine,
    given: &Given,
    earlier: &Assets,
    now: SystemTime,
    order: &Order,
    dated: impl FnOnce() -> Result<SystemTime>,
) -> Result<(Secrets, Vec<Issued>)> {
    // Also what a clock that is wrong would refuse is judged again.
    pass(machine, given, earlier, (now, false), order)
        .or_else(|_| ensure_with(machine, given, earlier, dated()?, order))
}

/// One pass over everything, by the time and whether it can be trusted.
fn pass(
    machine: &Machine,
    given: &Given,
    earlier: &Assets,
    (now, trusted): (SystemTime, bool),
    order: &Order,
) -> Result<(Secrets, Vec<Issued>)> {
    if machine.role == Role::Worker {
        return Ok((Secrets::default(), Vec::new()));
    }
    let old = read_inventory(earlier)?;
    let task = Task {
        machine,
        given,
        earlier,
        old: old.as_ref(),
        order,
        now: whole_seconds(now)?,
        trusted,
    };
    let mut secrets = once(&task)?;
    let round = Round::run(task)?;
    secrets.inventory.certificates = round.records;
    secrets.inventory.requests = round.requests;
    secrets.pairs = round.pairs;
    secrets.certs = round.certs;
    secrets.requests = round.request_pairs;
    secrets.missing = round.missing;
    let signer = round.signers.get(table::CA);
    secrets.between = signer.map_or(0, |signer| signer.between().len());
    if order.step == Some(Step::Drop) {
        // Not half of it: what still hangs on the old one would be cut off.
        secrets.complete()?;
    }
    Ok((secrets, round.issued))
}

/// What is made once. The token first: without one nothing is worth making before the clock is right.
fn once(task: &Task<'_>) -> Result<Secrets> {
    let Task {
        machine,
        given,
        earlier,
        old,
        order,
        now,
        ..
    } = *task;
    let token = match token::keep(given, earlier, old, order.token.then_some(now))? {
        Some(token) => token,
        None => {
            task.needs_date()?;
            token::make(machine, given, now)?
        }
    };
    let (key, public) = kept::service_account(machine, given, earlier, old)?;
    let encryption_key = kept::encryption_key(machine, given, earlier, old)?;
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

/// Whether the bootstrap token of an asset directory still lets nodes in.
pub fn lets_in(assets: &Assets, now: SystemTime) -> Result<bool> {
    let token = read_inventory(assets)?.and_then(|inventory| inventory.token);
    Ok(token.is_some_and(|token| token::is_good(&token.expires, now.into())))
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
