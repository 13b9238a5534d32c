//! The folder of backups: what is in it, and how something gets into it and out of it, whole.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::RECORD;
use super::record::Record;
use crate::node::files::{Look, keep_folder, make_folder, sync_folder};

/// A backup that is being made, or one that is being removed: of no use once nobody is at it.
const NEW: &str = ".new.slipway";
const OLD: &str = ".old.slipway";
/// Snapshots hold Secrets, often in clear.
const OWN: Look = Look {
    mode: 0o700,
    owner: None,
};

/// A folder of backups.
#[derive(Clone, Debug)]
pub struct Shelf(PathBuf);

impl Shelf {
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The names of the backups, older ones first; what is named otherwise is nobody's business here.
    pub fn names(&self) -> Result<Vec<String>> {
        let shown = || format!("cannot read {}", self.0.display());
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(shown)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.with_context(shown)?.file_name();
            names.extend(name.into_string().ok().filter(|name| is_name(name)));
        }
        names.sort();
        Ok(names)
    }

    /// Where a backup lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What a backup says of itself.
    pub fn record(&self, name: &str) -> Result<Record> {
        let path = self.path(name).join(RECORD);
        let shown = || format!("cannot use {}", path.display());
        let bytes = fs::read(&path).with_context(shown)?;
        Record::read(&bytes).with_context(shown)
    }

    /// An empty folder for a new backup; what a killed run left goes.
    pub fn begin(&self) -> Result<PathBuf> {
        // It may be anybody's, /mnt say, and has its mode and owner from them; each backup is a folder of its own.
        make_folder(&self.0, OWN.mode)?;
        self.sweep()?;
        let new = self.0.join(NEW);
        keep_folder(&new, OWN)?;
        Ok(new)
    }

    /// Removes what is of no use; the caller has the folder's lock.
    pub fn sweep(&self) -> Result<()> {
        [NEW, OLD]
            .iter()
            .try_for_each(|name| remove(&self.0.join(name)))
    }

    /// Makes the new backup one of the others, durably.
    pub fn put(&self, name: &str) -> Result<()> {
        let (new, path) = (self.0.join(NEW), self.path(name));
        sync_folder(&new)?;
        fs::rename(&new, &path)
            .with_context(|| format!("cannot give {} its name", path.display()))?;
        sync_folder(&self.0)
    }

    /// Removes the oldest until `keep` are left, but never `newest`. Returns their names.
    pub fn prune(&self, keep: usize, newest: &str) -> Result<Vec<String>> {
        let too_old = excess(self.names()?, keep, newest);
        for name in &too_old {
            let (path, old) = (self.path(name), self.0.join(OLD));
            fs::rename(&path, &old).with_context(|| format!("cannot remove {}", path.display()))?;
            remove(&old)?;
        }
        Ok(too_old)
    }
}

/// Which of `names`, older ones first, are more than `keep`. A clock that was set back makes the newest look
/// old, and still it stays.
fn excess(mut names: Vec<String>, keep: usize, newest: &str) -> Vec<String> {
    names.retain(|name| name != newest);
    let count = (names.len() + 1).saturating_sub(keep).min(names.len());
    names.drain(..count).collect()
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Whether a name is one that [`name`] gives.
pub fn is_name(text: &str) -> bool {
    let digits = |text: &str, count: Option<usize>| {
        let all = text.bytes().all(|byte| byte.is_ascii_digit());
        all && !text.is_empty() && count.is_none_or(|count| text.len() == count)
    };
    let parts = || {
        let (stamp, revision) = text.split_once("Z-rev")?;
        let (date, time) = stamp.split_once('T')?;
        Some(digits(date, Some(8)) && digits(time, Some(6)) && digits(revision, None))
    };
    parts().unwrap_or(false)
}

/// A backup's name: when it was taken (RFC 3339, UTC, whole seconds), so that names sort by time, and the
/// snapshot's revision.
pub fn name(taken: &str, revision: i64) -> String {
    let stamp: String = taken.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{stamp}-rev{revision}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(shelf: &Shelf, name: &str) {
        let new = shelf.begin().unwrap();
        fs::write(new.join("snapshot.db"), name).unwrap();
        shelf.put(name).unwrap();
    }

    #[test]
    fn names_tell_when_and_at_which_revision() {
        let name = name("2026-11-30T10:15:00Z", 123_456);
        assert_eq!(name, "20261130T101500Z-rev123456");
        assert!(is_name(&name));
        for other in [
            "",
            ".new.slipway",
            "lost+found",
            "20261130T101500Z-rev",
            "20261130T101500Z-rev7.part",
            "2026113T101500Z-rev7",
            "20261130T10150xZ-rev7",
            "20261130T101500Z",
        ] {
            assert!(!is_name(other), "{other}");
        }
    }

    #[test]
    fn the_oldest_go_and_the_newest_stays() {
        let names = |all: &[&str]| all.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let table: [(&[&str], usize, &str, &[&str]); 6] = [
            (&["a", "b", "c"], 2, "c", &["a"]),
            (&["a", "b", "c"], 3, "c", &[]),
            (&["a", "b", "c"], 1, "c", &["a", "b"]),
            (&["c"], 1, "c", &[]),
            // Taken with a clock that was set back.
            (&["a", "b", "c"], 2, "a", &["b"]),
            (&["a"], 0, "a", &[]),
        ];
        for (all, keep, newest, expected) in table {
            assert_eq!(
                excess(names(all), keep, newest),
                names(expected),
                "{all:?} {keep}"
            );
        }
    }

    #[test]
    fn what_is_there_is_whole_and_what_was_left_goes() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(&dir.path().join("backups"));
        assert!(shelf.names().unwrap().is_empty());
        for second in 1..=3 {
            make(&shelf, &format!("20261130T10150{second}Z-rev{second}"));
        }
        // Killed in the middle of taking one and of removing another; and what a person put there.
        for left in [NEW, OLD, "of-a-person"] {
            fs::create_dir(shelf.path(left)).unwrap();
            fs::write(shelf.path(left).join("snapshot.db"), "half").unwrap();
        }
        let new = shelf.begin().unwrap();
        assert_eq!(fs::read_dir(new).unwrap().count(), 0);
        assert!(!shelf.path(OLD).exists() && shelf.path("of-a-person").exists());
        let pruned = shelf.prune(2, "20261130T101503Z-rev3").unwrap();
        assert_eq!(pruned, ["20261130T101501Z-rev1"]);
        let left = ["20261130T101502Z-rev2", "20261130T101503Z-rev3"];
        assert_eq!(shelf.names().unwrap(), left);
    }
}
