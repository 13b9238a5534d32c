//! What slipway reads in a real etcd's snapshots and databases, against what etcdctl said.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use slipway::etcd::Stored;
use slipway::recover::snapshot::{Integrity, Snapshot};
use slipway::secret::Secret;

use crate::api::etcd::{Etcd, delete, put};
use crate::scenario::Context;

const REVISIONS: i64 = 20_000;
const KEYS: i64 = 3_000;
/// When the older half of it all is forgotten.
const COMPACTED: i64 = 10_000;
const CUTS: usize = 50;
const FLIPS: usize = 200;
const BUMP: i64 = 1_000_000;

/// `etcdctl get -w json`.
#[derive(Deserialize)]
struct Said {
    header: Header,
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct Header {
    revision: i64,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    create_revision: i64,
    mod_revision: i64,
    version: i64,
    #[serde(default)]
    value: String,
    #[serde(default)]
    lease: i64,
}

/// All that lived at a revision.
struct Expected {
    revision: i64,
    objects: Vec<Stored>,
}

pub fn reader(context: &Context) -> Result<()> {
    let etcd = Etcd::start(&context.payload.join("bin"), &context.work)?;
    fill(&etcd)?;
    let expected = listed(&etcd)?;
    ensure!(expected.revision >= REVISIONS, "too few revisions");
    ensure!(expected.objects.len() > 1000, "too few keys");
    let saved = context.work.join("saved.db");
    etcd.save(&saved)?;
    is_read(&saved, &expected).context("a snapshot")?;
    let bytes = fs::read(&saved)?;
    no_cut_is_taken(&bytes, &expected)?;
    no_flip_is_taken(&bytes, &expected)?;
    is_restored(&etcd, context, &saved, &expected).context("a restored snapshot")?;

    let database = etcd.database();
    match Snapshot::open(&database) {
        Err(error) if format!("{error:#}").contains("a running etcd") => (),
        Err(error) => return Err(error.context("refused for another reason")),
        Ok(_) => bail!("a database is read while etcd writes it"),
    }
    etcd.etcdctl(&["defrag"])?;
    etcd.save(&saved)?;
    is_read(&saved, &expected).context("a snapshot after a defragmentation")?;
    etcd.alarm("CORRUPT")?;
    etcd.stop()?;
    let stopped = Snapshot::open(&database)?;
    ensure!(
        stopped.verify(&mut |_, _| ())? == Integrity::NoHash,
        "a database has no hash"
    );
    same(&stopped, &expected).context("the database of a stopped member")?;
    let warnings = stopped.facts()?.warnings;
    ensure!(
        warnings.len() == 1 && warnings[0].contains("CORRUPT"),
        "{warnings:?}"
    );
    Ok(())
}

/// Changes until there are enough revisions: of single keys mostly, some large, some with others, some gone again.
fn fill(etcd: &Etcd) -> Result<()> {
    let granted: Value =
        serde_json::from_str(&etcd.etcdctl(&["lease", "grant", "3600", "-w", "json"])?)?;
    let lease = granted["ID"].as_i64().context("no lease was granted")?;
    let lease = format!("--lease={lease:x}");
    etcd.etcdctl(&["put", &lease, "/registry/leased", "value"])?;
    let (mut revision, mut number) = (0, 0);
    let mut is_compacted = false;
    while revision < REVISIONS {
        number += 1;
        let name = |step: i64| format!("/registry/things/{}", (number * 7919 + step) % KEYS);
        let len = if number % 100 == 0 {
            20_000
        } else {
            number % 300
        };
        let value = vec![number.to_le_bytes()[0]; usize::try_from(len)?];
        let operations = match number % 10 {
            3 | 7 => vec![delete(&name(0))],
            5 => vec![
                put(&name(0), &value),
                delete(&name(1)),
                put(&name(2), &value),
            ],
            _ => vec![put(&name(0), &value)],
        };
        revision = etcd.change(&operations)?;
        if revision >= COMPACTED && !is_compacted {
            etcd.compact(COMPACTED)?;
            is_compacted = true;
        }
    }
    Ok(())
}

fn listed(etcd: &Etcd) -> Result<Expected> {
    let said: Said = serde_json::from_str(&etcdctl_get(etcd)?)?;
    let objects = said.kvs.into_iter().map(|kv| {
        Ok(Stored {
            key: STANDARD.decode(kv.key)?,
            value: Secret::new(STANDARD.decode(kv.value)?),
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            lease: kv.lease,
        })
    });
    Ok(Expected {
        revision: said.header.revision,
        objects: objects.collect::<Result<_>>()?,
    })
}

fn etcdctl_get(etcd: &Etcd) -> Result<String> {
    etcd.etcdctl(&["get", "", "--prefix", "-w", "json"])
}

/// The hash is right, and so is everything else.
fn is_read(path: &Path, expected: &Expected) -> Result<()> {
    let snapshot = Snapshot::open(path)?;
    let verified = snapshot.verify(&mut |_, _| ())?;
    ensure!(
        matches!(verified, Integrity::Verified { .. }),
        "{verified:?}"
    );
    same(&snapshot, expected)?;
    let facts = snapshot.facts()?;
    ensure!(facts.revision == expected.revision, "{facts:?}");
    ensure!(
        facts.keys == Some(expected.objects.len() as u64),
        "{facts:?}"
    );
    ensure!(facts.compacted == COMPACTED, "{facts:?}");
    ensure!(
        facts.members.len() == 1 && facts.warnings.is_empty(),
        "{facts:?}"
    );
    Ok(())
}

fn same(snapshot: &Snapshot, expected: &Expected) -> Result<()> {
    let found = snapshot.read(&mut |_| true)?;
    ensure!(
        found.len() == expected.objects.len(),
        "{} keys were found",
        found.len()
    );
    match found
        .iter()
        .zip(&expected.objects)
        .find(|(found, expected)| found != expected)
    {
        Some((found, expected)) => bail!("{found:?} is not {expected:?}"),
        None => Ok(()),
    }
}

fn no_cut_is_taken(bytes: &[u8], expected: &Expected) -> Result<()> {
    let mut refused = 0;
    // The last cut is of the hash alone, which leaves a whole database.
    let whole = bytes.len() - 32;
    let cuts = (1..CUTS).map(|number| number * whole / CUTS - number % 3 * 256);
    for len in cuts.chain([whole]) {
        refused += usize::from(
            is_refused(bytes[..len].to_vec(), expected)
                .with_context(|| format!("cut off after {len} bytes"))?,
        );
    }
    ensure!(refused == CUTS - 1, "{refused} of {CUTS} cuts were refused");
    Ok(())
}

fn no_flip_is_taken(bytes: &[u8], expected: &Expected) -> Result<()> {
    for number in 0..FLIPS {
        let at = number * bytes.len() / FLIPS + number;
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (number % 8);
        let is_refused = is_refused(flipped, expected)
            .with_context(|| format!("bit {} of byte {at} flipped", number % 8))?;
        ensure!(is_refused, "bit {} of byte {at} may flip", number % 8);
    }
    Ok(())
}

/// Whether it is; an error if what is read instead is something else.
fn is_refused(bytes: Vec<u8>, expected: &Expected) -> Result<bool> {
    match Snapshot::of(bytes) {
        Ok(snapshot) if snapshot.verify(&mut |_, _| ()).is_ok() => {
            same(&snapshot, expected).map(|()| false)
        }
        _ => Ok(true),
    }
}

/// The database that etcdutl makes of it, with a revision far ahead.
fn is_restored(etcd: &Etcd, context: &Context, saved: &Path, expected: &Expected) -> Result<()> {
    let folder = context.work.join("restored");
    let saved = saved.to_str().context("the path is not UTF-8")?;
    let to = format!("--data-dir={}", folder.display());
    let bump = format!("--bump-revision={BUMP}");
    etcd.etcdutl(&["snapshot", "restore", saved, &to, &bump, "--mark-compacted"])?;
    let restored = Snapshot::open(&folder.join("member/snap/db"))?;
    same(&restored, expected)?;
    let facts = restored.facts()?;
    let revision = expected.revision + BUMP;
    ensure!(
        (facts.revision, facts.compacted) == (revision, revision),
        "{facts:?}"
    );
    ensure!(
        facts.keys == Some(expected.objects.len() as u64),
        "{facts:?}"
    );
    Ok(())
}
