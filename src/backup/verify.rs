//! `slipway backup verify`: whether a restore could use what lies there.
//!
//! Without a key: both files are as they were written, and the snapshot's pages hang together. With the
//! secret key the bundle is opened and compared with the snapshot, which nobody should put off until the
//! machine is gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::bundle::{self, Bundle};
use super::record::{Record, Sealed};
use super::shelf::Shelf;
use super::take::count;
use super::{BUNDLE, SNAPSHOT, sum};
use crate::age::{self, Identity};
use crate::exit::{Exit, fail};
use crate::pki::{self, Action, Listed};
use crate::recover::snapshot::{Facts, Integrity, Snapshot};
use crate::report::Reporter;

/// Where Secrets lie, which are what is encrypted if anything is.
const SECRETS: &[u8] = b"/registry/secrets/";
/// How many of them are looked at.
const LOOKS: usize = 8;
/// How an encrypted value begins.
const ENCRYPTED: &[u8] = b"k8s:enc:";

/// Verifies the backups `names` of `folder`, or all of them; opens bundles if there are `identities`.
///
/// # Errors
/// [`Exit::NotFound`] if there is none, or not one of that name; else if one is not good: each line says
/// which, and why.
pub fn verify(
    folder: &Path,
    names: &[&str],
    identities: &[Identity],
    reporter: &mut Reporter,
) -> Result<()> {
    let shelf = Shelf::new(folder);
    let there = shelf.names()?;
    for name in names {
        if !there.iter().any(|one| one == name) {
            let error = anyhow!(
                "there is no backup {name:?} in {}; `slipway backup list` shows those that are",
                folder.display()
            );
            return Err(fail(Exit::NotFound, error));
        }
    }
    let chosen: Vec<&str> = match names.is_empty() {
        true => there.iter().map(String::as_str).collect(),
        false => names.to_vec(),
    };
    if chosen.is_empty() {
        let error = anyhow!(
            "there is no backup in {}; `slipway backup take` makes one",
            folder.display()
        );
        return Err(fail(Exit::NotFound, error));
    }
    let mut bad = 0;
    for name in &chosen {
        match one(&shelf, name, identities) {
            Ok(good) => reporter.line(format!("{name} is good: {good}")),
            Err(error) => {
                bad += 1;
                reporter.line(format!("{name} is BAD: {error:#}"));
            }
        }
    }
    ensure!(
        bad == 0,
        "{bad} of {} cannot be relied on; take a new one, and keep these only if there is nothing better",
        count(chosen.len(), "backup")
    );
    Ok(())
}

/// What there is to say of a good one.
fn one(shelf: &Shelf, name: &str, identities: &[Identity]) -> Result<String> {
    let record = shelf.record(name)?;
    ensure!(
        record.snapshot.name == name,
        "its record is that of {}",
        record.snapshot.name
    );
    let folder = shelf.path(name);
    let snapshot = Snapshot::open(&folder.join(SNAPSHOT))?;
    let facts = examined(&folder.join(SNAPSHOT), &snapshot, &record)?;
    let keys = facts
        .keys
        .map_or_else(String::new, |keys| format!(", {keys} keys"));
    let found = format!("revision {}{keys}, {} bytes", facts.revision, facts.size);
    let Some(sealed) = &record.bundle else {
        return Ok(format!(
            "{found}; no bundle: a restore has to find the cluster's keys elsewhere"
        ));
    };
    let bytes = whole(&folder.join(BUNDLE), sealed)?;
    let recipients = age::recipients_of(&bytes).context(BUNDLE)?;
    ensure!(
        recipients == sealed.recipients.len(),
        "{BUNDLE} is sealed to {recipients} keys, and the record names {}",
        sealed.recipients.len()
    );
    if identities.is_empty() {
        return Ok(format!(
            "{found}; bundle whole, not opened (--identity FILE opens it)"
        ));
    }
    let opened = bundle::open(&bytes, identities).context(BUNDLE)?;
    compare(&opened, &record, &facts)?;
    usable(&opened, &snapshot)?;
    Ok(format!(
        "{found}; bundle opened: {} files, of this snapshot",
        opened.assets.len()
    ))
}

/// The snapshot is what was written, and its pages hang together.
fn examined(path: &Path, snapshot: &Snapshot, record: &Record) -> Result<Facts> {
    let (sha256, bytes) = sum(path)?;
    let told = &record.snapshot;
    ensure!(
        bytes == told.bytes,
        "{SNAPSHOT} is not what was written: {bytes} bytes, and the record says {}",
        told.bytes
    );
    ensure!(
        sha256 == told.sha256,
        "{SNAPSHOT} is not what was written: its SHA-256 is {}…, and the record says {}…",
        start(&sha256),
        start(&told.sha256)
    );
    let integrity = snapshot.verify(&mut |_, _| {})?;
    ensure!(
        matches!(integrity, Integrity::Verified { .. }),
        "{SNAPSHOT} has no digest at its end"
    );
    let facts = snapshot.facts()?;
    ensure!(
        facts.revision == record.snapshot.revision,
        "{SNAPSHOT} is of revision {}, and the record says {}",
        facts.revision,
        record.snapshot.revision
    );
    Ok(facts)
}

/// Enough of a hash to tell two apart.
fn start(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// A bundle as it was written.
fn whole(path: &Path, sealed: &Sealed) -> Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        crate::hash::sha256(&bytes) == sealed.sha256,
        "{BUNDLE} is not what was written: {} bytes, and the record says {}",
        bytes.len(),
        sealed.bytes
    );
    Ok(bytes)
}

/// The bundle is that of the snapshot beside it.
fn compare(bundle: &Bundle, record: &Record, facts: &Facts) -> Result<()> {
    ensure!(
        bundle.snapshot == record.snapshot,
        "{BUNDLE} is that of another snapshot, {}",
        bundle.snapshot.name
    );
    let told: BTreeSet<_> = bundle.etcd.members.iter().map(|member| member.id).collect();
    let there: BTreeSet<_> = facts.members.iter().map(|member| member.id).collect();
    ensure!(
        told == there,
        "{BUNDLE} names other members than the snapshot has"
    );
    Ok(())
}

/// A restore finds in the bundle what it needs.
fn usable(bundle: &Bundle, snapshot: &Snapshot) -> Result<()> {
    let missing = bundle::missing(&bundle.assets);
    ensure!(
        missing.is_empty(),
        "{BUNDLE} is without {}",
        missing.join(", ")
    );
    // A directory that was made by hand has no record of its certificates.
    let listed = match bundle.assets.get(pki::INVENTORY) {
        Some(_) => pki::list(&bundle.assets, SystemTime::now())?,
        None => Vec::new(),
    };
    // What they sign is made anew.
    let is_authority = |one: &&Listed| one.issuer == one.name;
    let damaged = (listed.iter())
        .filter(is_authority)
        .find(|one| one.action == Action::Damaged);
    if let Some(one) = damaged {
        bail!("{BUNDLE}: {}: {}", one.name, one.reason);
    }
    let mut chosen = BTreeSet::new();
    let secrets = snapshot.read(&mut |key: &[u8]| {
        chosen.contains(key)
            || (chosen.len() < LOOKS && key.starts_with(SECRETS) && chosen.insert(key.to_vec()))
    })?;
    let is_encrypted = secrets
        .iter()
        .any(|one| one.value.expose().starts_with(ENCRYPTED));
    ensure!(
        !is_encrypted || bundle.assets.get("tls/encryption.yaml").is_some(),
        "Secrets in the snapshot are encrypted, and {BUNDLE} is without tls/encryption.yaml"
    );
    Ok(())
}

#[cfg(test)]
mod tests;
