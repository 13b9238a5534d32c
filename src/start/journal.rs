//! What launches did on this machine, durably, one JSON object a line.
//!
//! The launch itself is level-triggered: it looks at the world, not here, to decide what to do. The
//! journal keeps only what the world cannot tell: which pod UIDs were ours, who held the Leases when
//! a handover began, and whether there ever was one. A line that a power cut tore is ignored.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::node::files;

/// How often `step` was entered in the journal at `path`; 0 if there is none. Writes nothing.
pub fn count(path: &Path, step: &str) -> Result<usize> {
    let text = files::read_if_there(path)?.unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n');
    let entries = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    Ok(entries.filter(|entry| entry["step"] == step).count())
}

/// The journal, open for appending.
#[derive(Debug)]
pub struct Journal {
    file: File,
    boot: String,
    entries: Vec<Value>,
}

impl Journal {
    /// Opens or makes the journal at `path`; entries will carry the id of this boot.
    pub fn open(path: &Path, boot: &str) -> Result<Self> {
        let attempt = || -> Result<(File, String)> {
            files::make_folder(path.parent().unwrap_or(Path::new("/")), 0o700)?;
            let mut file = OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .mode(0o600)
                .open(path)?;
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            if !text.is_empty() && !text.ends_with('\n') {
                file.write_all(b"\n")?;
            }
            Ok((file, text))
        };
        let (file, text) = attempt().with_context(|| {
            format!(
                "cannot open the journal {}; is its disk writable?",
                path.display()
            )
        })?;
        let entries = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        Ok(Self {
            file,
            boot: boot.to_owned(),
            entries,
        })
    }

    /// Notes that `step` begins, with what a later run must know about it.
    pub fn enter(&mut self, step: &str, facts: &Value) -> Result<()> {
        let at = SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .as_secs_f64();
        let entry = json!({ "at": at, "boot": self.boot, "step": step, "facts": facts });
        writeln!(self.file, "{entry}")
            .and_then(|()| self.file.sync_data())
            .with_context(|| format!("cannot note {step} in the journal; is its disk full?"))?;
        self.entries.push(entry);
        Ok(())
    }

    /// Whether `step` was ever entered.
    pub fn ever(&self, step: &str) -> bool {
        self.entries.iter().any(|entry| entry["step"] == step)
    }

    /// The facts of the latest entry of `step`.
    pub fn latest(&self, step: &str) -> Option<&Value> {
        self.entries
            .iter()
            .rfind(|entry| entry["step"] == step)
            .map(|entry| &entry["facts"])
    }

    /// Every UID that a pod of the manifest file `file` was ever given.
    pub fn uids(&self, file: &str) -> Vec<String> {
        let uids = self
            .entries
            .iter()
            .filter_map(|entry| entry["facts"]["uids"][file].as_str());
        uids.map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_ignored_and_nothing_after_it_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("slipway/journal");
        Journal::open(&path, "b1")
            .unwrap()
            .enter("start", &json!({"uids": {"a": "1"}}))
            .unwrap();
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"{\"at\": 1, \"st")
            .unwrap();
        let mut journal = Journal::open(&path, "b2").unwrap();
        journal.enter("api", &json!({"uids": {"a": "2"}})).unwrap();
        let journal = Journal::open(&path, "b3").unwrap();
        assert!(journal.ever("api") && journal.ever("start") && !journal.ever("done"));
        assert_eq!(journal.uids("a"), ["1", "2"]);
        assert_eq!(journal.latest("api").unwrap()["uids"]["a"], "2");
    }
}
