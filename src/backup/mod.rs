//! Backups of a node's etcd, worth having: verified when they are taken, and with what a restore needs
//! beside the data.
//!
//! A backup is a folder whose name tells when and at which revision: `20261130T101500Z-rev123456`. In it
//! lie `snapshot.db`, the file that `etcdctl snapshot save` would write; `bundle.age`, the keys and the
//! machine document, sealed to public keys of the machine document; and `backup.json`, a record of both
//! that anybody may read. The folder is made under a hidden name and gets its own by one rename, so a
//! backup is there whole or not at all, and it goes as a whole.
//!
//! The road not taken is files beside each other with one stem: three renames have states between them,
//! and whoever tidies up after a killed run would have to guess which file a person put there.

pub mod bundle;
mod list;
pub mod metrics;
mod record;
mod shelf;
mod take;
mod verify;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ring::digest::{self, SHA256};
use serde::{Deserialize, Serialize};

use crate::age::Recipient;
use crate::hash;
use crate::secret::Secret;

pub use list::show;
pub use take::take;
pub use verify::verify;

/// etcd's database, with its digest at the end.
pub const SNAPSHOT: &str = "snapshot.db";
/// What a restore needs beside it, sealed.
pub const BUNDLE: &str = "bundle.age";
/// What both are.
pub const RECORD: &str = "backup.json";

/// What both documents of a backup begin with.
const API_VERSION: &str = "slipway.dev/v1alpha1";

/// What a backup is taken of and where it goes.
#[derive(Debug)]
pub struct Options {
    /// The asset directory.
    pub asset_dir: PathBuf,
    /// Where backups lie.
    pub folder: PathBuf,
    /// How many are kept, at least one.
    pub keep: usize,
    /// To whom the bundle is sealed; without any there is none.
    pub recipients: Vec<Recipient>,
    /// The machine document as it is kept, if one is.
    pub document: Option<Secret>,
    /// This node's name.
    pub node: String,
    /// Where the newest backup's figures go, if anywhere.
    pub metrics: Option<PathBuf>,
}

/// A snapshot, as a record and a bundle name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The backup's name.
    pub name: String,
    /// Of the whole file, as `sha256sum` prints it.
    pub sha256: String,
    /// The file's size.
    pub bytes: u64,
    /// etcd's revision, which is the newest resourceVersion in it.
    pub revision: i64,
    /// How many keys there are at that revision, if they were counted.
    pub keys: Option<u64>,
}

/// A file's SHA-256 and size.
fn sum(path: &Path) -> Result<(String, u64)> {
    const PIECE: usize = 256 * 1024;
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut digest, mut size) = (digest::Context::new(&SHA256), 0);
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece);
        let read = read.with_context(|| format!("cannot read {}", path.display()))?;
        if read == 0 {
            return Ok((hash::hex(digest.finish().as_ref()), size));
        }
        digest.update(piece.get(..read).unwrap_or_default());
        size += read as u64;
    }
}
