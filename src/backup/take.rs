//! Taking a backup: everything is made under a hidden name and read back before it counts.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::bundle::{self, Bundle, Etcd};
use super::record::{Record, Sealed};
use super::shelf::{self, Shelf};
use super::{BUNDLE, Options, RECORD, SNAPSHOT, Taken, metrics, sum};
use crate::assets::Assets;
use crate::etcd::{Client, Saved};
use crate::kube;
use crate::node::files::{self, PRIVATE, PUBLIC};
use crate::node::{disk, lock, tree};
use crate::recover::snapshot::{Integrity, Snapshot};
use crate::render::directory;
use crate::report::Reporter;
use crate::start::plane::Plane;

/// How long etcd may take for an answer, and for each piece of a snapshot.
const ETCD_LIMIT: Duration = Duration::from_secs(30);
/// How long the API server may take to say its version, without which a backup is as good.
const API_LIMIT: Duration = Duration::from_secs(5);
/// What has to be free beside the snapshot: a segment of etcd's own log, which is often on the same disk.
const RESERVE: u64 = 64 << 20;
/// What a bundle and a record take at most.
const SMALL: u64 = 2 << 20;
/// How often the asset directory is read again.
const READS: usize = 5;
/// Between two looks at the clock.
const SHORTLY: Duration = Duration::from_millis(100);
/// Why there is no bundle, for the record and for people.
const NOBODY: &str = "backup.recipients of the machine document names no key to seal it to";

/// Takes a backup of the etcd that this node's API server uses, and removes older ones that are too many.
///
/// # Errors
/// If etcd does not answer, if there is no room, if what was written does not read back as it should: then
/// there is no new backup, and none is removed.
pub fn take(options: &Options, reporter: &mut Reporter) -> Result<()> {
    let assets = steady(&options.asset_dir)?;
    let plane = Plane::new(&assets)
        .with_context(|| format!("no control plane in {}", options.asset_dir.display()))?;
    let _lock = lock::take(&options.folder)?;
    let client = Client::new(&plane.etcd.endpoints(ETCD_LIMIT))?;
    let etcd = ask(&client, reporter)?;
    let shelf = Shelf::new(&options.folder);
    let new = shelf.begin()?;
    let made = room(&new, etcd.size).and_then(|()| {
        let making = Making {
            options,
            shelf: &shelf,
            new: &new,
            etcd: &etcd.identity,
        };
        making.all(&client, &assets, &plane, reporter)
    });
    let name = made.map_err(|error| {
        // The error that counts is the one that brought us here; what stays is swept next time.
        let _ = shelf.sweep();
        let advice = tree::advice(&error);
        error.context(format!(
            "no new backup in {}{advice}",
            options.folder.display()
        ))
    })?;
    for old in shelf.prune(options.keep, &name)? {
        reporter.line(format!("{old} removed: {} are kept", options.keep));
    }
    Ok(())
}

/// The asset directory, read until it is twice the same: a renewal may exchange it meanwhile, and a
/// certificate from before it with a key from after it would be of no use.
fn steady(folder: &Path) -> Result<Assets> {
    let mut before = directory::load(folder);
    for _ in 0..READS {
        let now = directory::load(folder);
        match (before, now) {
            (Ok(before), Ok(now)) if before == now => return Ok(now),
            (_, now) => before = now,
        }
    }
    before.and_then(|_| Err(anyhow!("{} changes all the time", folder.display())))
}

/// An etcd as it answered.
struct Asked {
    identity: Etcd,
    size: u64,
}

fn ask(client: &Client, reporter: &mut Reporter) -> Result<Asked> {
    let status = client.status().context("no backup without etcd")?;
    for error in &status.errors {
        reporter.line(format!("etcd says: {error}"));
    }
    Ok(Asked {
        identity: Etcd {
            version: status.version,
            cluster_id: status.cluster_id,
            members: client.members()?,
        },
        size: status.db_size,
    })
}

/// Whether the disk has room, said before it is filled: etcd is often on the same one.
fn room(folder: &Path, size: u64) -> Result<()> {
    let free = disk::free(folder)?;
    let needed = size + SMALL + RESERVE;
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    ensure!(
        free >= needed,
        "{} MiB are free and {} are needed ({} for the snapshot, the rest so that etcd can go on); free \
         space there, or name another folder in backup.folder",
        free >> 20,
        mib(needed),
        mib(size)
    );
    Ok(())
}

/// A backup in the making.
struct Making<'a> {
    options: &'a Options,
    shelf: &'a Shelf,
    new: &'a Path,
    etcd: &'a Etcd,
}

impl Making<'_> {
    /// All of it; the backup's name.
    fn all(
        &self,
        client: &Client,
        assets: &Assets,
        plane: &Plane,
        reporter: &mut Reporter,
    ) -> Result<String> {
        let path = self.new.join(SNAPSHOT);
        let saved = save(client, &path)?;
        let (taken, snapshot) = self.verified(&path, &saved)?;
        reporter.line(summary(&snapshot));
        let name = snapshot.name.clone();
        let record = Record::new(&self.options.node, &taken, &self.etcd.version, snapshot);
        let record = match self.options.recipients.is_empty() {
            true => without_bundle(record, reporter),
            false => self.with_bundle(record, assets, plane, reporter)?,
        };
        let text = record.write()?;
        files::write(&self.new.join(RECORD), &text, PUBLIC)?;
        self.shelf.put(&name)?;
        if let Some(path) = &self.options.metrics {
            metrics::write(&record, path)?;
        }
        reporter.line(format!("{} is there", self.shelf.path(&name).display()));
        Ok(name)
    }

    /// What was written, read back: the digest, every page of keys, the revision. And when that was.
    fn verified(&self, path: &Path, saved: &Saved) -> Result<(String, Taken)> {
        let snapshot = Snapshot::open(path)?;
        let integrity = snapshot.verify(&mut |_, _| {})?;
        ensure!(
            matches!(integrity, Integrity::Verified { .. })
                && sum(path)? == (saved.sha256.clone(), saved.bytes),
            "the snapshot does not read back as it was written: is the disk sound?"
        );
        let facts = snapshot.facts()?;
        for warning in &facts.warnings {
            log::warn!("the snapshot: {warning}");
        }
        let (taken, name) = self.named(facts.revision)?;
        let snapshot = Taken {
            name,
            sha256: saved.sha256.clone(),
            bytes: saved.bytes,
            revision: facts.revision,
            keys: facts.keys,
        };
        Ok((taken, snapshot))
    }

    /// The time, and a name that nobody has: two of one revision take a second to have different ones.
    fn named(&self, revision: i64) -> Result<(String, String)> {
        loop {
            let time = OffsetDateTime::now_utc().replace_nanosecond(0)?;
            let taken = time.format(&Rfc3339).context("cannot write a date")?;
            let name = shelf::name(&taken, revision);
            if !self.shelf.path(&name).exists() {
                return Ok((taken, name));
            }
            thread::sleep(SHORTLY);
        }
    }

    fn with_bundle(
        &self,
        mut record: Record,
        assets: &Assets,
        plane: &Plane,
        reporter: &mut Reporter,
    ) -> Result<Record> {
        let bundle = Bundle {
            node: record.node.clone(),
            taken: record.taken.clone(),
            slipway: env!("CARGO_PKG_VERSION").to_owned(),
            snapshot: record.snapshot.clone(),
            kubernetes: kubernetes(plane),
            etcd: self.etcd.clone(),
            machine: self.options.document.clone(),
            assets: bundle::selected(assets),
        };
        for missing in bundle::missing(&bundle.assets) {
            reporter.line(format!(
                "the bundle is without {missing}: the asset directory has none"
            ));
        }
        let recipients = &self.options.recipients;
        let sealed = bundle::seal(&bundle, recipients)?;
        let path = self.new.join(BUNDLE);
        files::write(&path, &sealed, PRIVATE)?;
        let (sha256, bytes) = sum(&path)?;
        ensure!(
            sha256 == crate::hash::sha256(&sealed),
            "the bundle does not read back as it was written: is the disk sound?"
        );
        reporter.line(format!(
            "bundle of {} files sealed to {}",
            bundle.assets.len(),
            count(recipients.len(), "key")
        ));
        record.bundle = Some(Sealed {
            sha256,
            bytes,
            recipients: recipients.iter().map(ToString::to_string).collect(),
        });
        Ok(record)
    }
}

/// Writes etcd's database, and makes it durable.
fn save(client: &Client, path: &Path) -> Result<Saved> {
    let write = || -> Result<Saved> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(PRIVATE.mode)
            .open(path)?;
        let mut file = BufWriter::with_capacity(256 * 1024, file);
        let saved = client.snapshot(&mut file)?;
        file.flush()?;
        let file: File = file
            .into_inner()
            .map_err(|error| anyhow!(error.into_error()))?;
        file.sync_all()?;
        Ok(saved)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn without_bundle(mut record: Record, reporter: &mut Reporter) -> Record {
    reporter.line(format!(
        "no bundle: {NOBODY}; without one, a restore has to find the cluster's keys elsewhere"
    ));
    record.without_bundle = Some(NOBODY.to_owned());
    record
}

fn summary(snapshot: &Taken) -> String {
    let keys = snapshot
        .keys
        .map_or_else(String::new, |keys| format!(", {keys} keys"));
    format!(
        "snapshot verified: revision {}{keys}, {} bytes",
        snapshot.revision, snapshot.bytes
    )
}

pub fn count(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// What the API server says of its version: who upgraded the cluster did not tell the machine document.
fn kubernetes(plane: &Plane) -> Option<String> {
    let options = kube::Options {
        connect_to: Some(plane.loopback),
        timeout: API_LIMIT,
        ..kube::Options::probe()
    };
    let version = kube::Client::new(&plane.admin, options)
        .and_then(|client| client.get("/version"))
        .inspect_err(|error| log::info!("the API server's version is not in the bundle: {error}"));
    version.ok()?["gitVersion"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_said_before_it_is_filled() {
        let dir = tempfile::tempdir().unwrap();
        room(dir.path(), 1).unwrap();
        let error = room(dir.path(), u64::MAX / 2).unwrap_err().to_string();
        assert!(
            error.contains("are needed") && error.contains("backup.folder"),
            "{error}"
        );
    }
}
