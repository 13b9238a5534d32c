//! The asset directory on disk: `slipway render --config FILE --asset-dir DIR`.
//!
//! Touches nothing but DIR and, while it writes, `.DIR.slipway-new` beside it.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Result, anyhow};

use super::merge::{self, RECORD};
use super::{owner, render};
use crate::assets::Assets;
use crate::config::Machine;
use crate::exit::{Exit, fail};
use crate::node::tree;
use crate::pki::{self, Given, Issued, Order};

pub use super::merge::{Change, What};

/// What a render did, for the console.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// How many files were rendered.
    pub files: usize,
    /// How many certificates are among them.
    pub certificates: usize,
    /// The last day of the cluster's authority, e.g. `2036-11-20`.
    pub ca_until: String,
    /// Certificates that were issued in this run, and why.
    pub issued: Vec<Issued>,
    /// Files that differ from what was on disk; none means that nothing was written.
    pub changes: Vec<Change>,
}

impl Rendered {
    /// One line, e.g. `57 files, 14 certificates (P-256, CA until 2036-11-20), kubelet config`.
    pub fn summary(&self) -> String {
        let Self {
            files,
            certificates,
            ca_until,
            ..
        } = self;
        format!(
            "{files} files, {certificates} certificates (P-256, CA until {ca_until}), kubelet config"
        )
    }
}

/// Renders `machine` into `folder`, keeping earlier keys and what a person edited there, unless
/// `overwrite`. Writes nothing if nothing changed. `dated` gives the time for new certificates, and is
/// asked only if there will be any.
///
/// Fails with [`Exit::Refused`] if the folder is in use for something else, or if a key that the
/// cluster depends on is missing from it.
pub fn to_directory(
    machine: &Machine,
    given: &Given,
    folder: &Path,
    dated: impl FnOnce() -> Result<SystemTime>,
    overwrite: bool,
) -> Result<Rendered> {
    to_directory_with(machine, given, folder, dated, overwrite, &Order::default())
}

/// As [`to_directory`], and does what is ordered of certificates.
pub fn to_directory_with(
    machine: &Machine,
    given: &Given,
    folder: &Path,
    dated: impl FnOnce() -> Result<SystemTime>,
    overwrite: bool,
    order: &Order,
) -> Result<Rendered> {
    let earlier = load(folder)?;
    refuse_foreign(folder, &earlier)?;
    let mut now = SystemTime::now();
    // What a clock that is wrong would refuse is judged again with one that can be trusted.
    if *order != Order::default() || pki::is_due(machine, given, &earlier, now).unwrap_or(true) {
        now = dated()?;
    }
    let (secrets, issued) = pki::ensure_with(machine, given, &earlier, now, order)?;
    let rendered = render(machine, &secrets)?;
    let merged = merge::merge(&earlier, &rendered, overwrite)?;
    if merged.assets != earlier {
        tree::replace(folder, &merged.assets)?;
    }
    Ok(Rendered {
        files: rendered.len(),
        certificates: secrets.pairs().count(),
        ca_until: secrets.ca_until(),
        issued,
        changes: merged.changes,
    })
}

/// Reads an asset directory, also a hand-made one; one that is not there is empty.
pub fn load(folder: &Path) -> Result<Assets> {
    tree::read(folder, owner)
}

fn refuse_foreign(folder: &Path, earlier: &Assets) -> Result<()> {
    if earlier.is_empty() || earlier.get(RECORD).is_some() {
        return Ok(());
    }
    Err(fail(
        Exit::Refused,
        anyhow!(
            "{} is not empty and was not written by slipway render; name an empty folder",
            folder.display()
        ),
    ))
}
