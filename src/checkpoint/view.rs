//! What one look at a node found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::SystemTime;

use anyhow::Result;
use serde_json::Value;

use super::decide::{self, Active, Role, Seen};
use super::shelf::{Checkpoint, Shelf};
use super::workload::Workload;

/// The checkpoints on disk.
#[derive(Debug, Default)]
pub struct Shelved {
    /// The kept one of each workload, and whether it is whole.
    kept: BTreeMap<Workload, (Checkpoint, bool)>,
    /// Those in the kubelet's folder.
    active: Vec<Checkpoint>,
}

impl Shelved {
    /// Reads the shelf. Of several that are kept of a workload, which a power cut can leave, a whole one
    /// counts before a damaged one, and the later before the earlier.
    pub fn read(shelf: &Shelf) -> Result<Self> {
        let mut kept: BTreeMap<Workload, (Checkpoint, bool)> = BTreeMap::new();
        let written = |one: &Checkpoint| {
            fs::metadata(&one.path)
                .and_then(|meta| meta.modified())
                .ok()
        };
        for one in shelf.kept()? {
            let whole = shelf.is_whole(&one).unwrap_or(false);
            let rank = (whole, written(&one));
            match kept.get(&one.workload) {
                Some((other, was_whole)) if (*was_whole, written(other)) >= rank => {}
                _ => drop(kept.insert(one.workload.clone(), (one, whole))),
            }
        }
        let active = shelf.active()?;
        Ok(Self { kept, active })
    }

    /// The checkpoint that is kept of a workload.
    pub fn kept(&self, workload: &Workload) -> Option<&Checkpoint> {
        self.kept.get(workload).map(|(kept, _)| kept)
    }

    /// Whether one is, undamaged.
    pub fn is_whole(&self, workload: &Workload) -> bool {
        self.kept.get(workload).is_some_and(|(_, whole)| *whole)
    }

    /// The same, if it is undamaged.
    pub fn whole(&self, workload: &Workload) -> Option<&Checkpoint> {
        self.kept(workload).filter(|_| self.is_whole(workload))
    }

    /// Those of a workload in the kubelet's folder.
    pub fn active<'a>(&'a self, workload: &'a Workload) -> impl Iterator<Item = &'a Checkpoint> {
        let active = self.active.iter();
        active.filter(move |one| one.workload == *workload)
    }

    /// Whether there are any.
    pub fn has_active(&self) -> bool {
        !self.active.is_empty()
    }

    /// All workloads of which there is one.
    pub fn workloads(&self) -> BTreeSet<Workload> {
        let active = self.active.iter().map(|one| one.workload.clone());
        self.kept.keys().cloned().chain(active).collect()
    }
}

/// A Lease as it was read.
#[derive(Clone, Debug)]
pub struct LeaseSeen {
    /// Its name.
    pub name: String,
    /// The object; null if there is none.
    pub object: Value,
}

/// One look.
#[derive(Debug)]
pub struct View {
    /// What is true of the node.
    pub node: decide::Node,
    /// What is true of each workload.
    pub workloads: BTreeMap<Workload, Seen>,
    /// What is on disk.
    pub shelved: Shelved,
    /// The Leases that were asked for.
    pub leases: BTreeMap<Workload, LeaseSeen>,
    /// Since when the node's address answers, if it was seen that it did not before.
    pub opened: Option<SystemTime>,
    /// When the first of each workload's own processes here began, in seconds since the epoch.
    pub started: BTreeMap<Workload, i64>,
    /// This host's name, as leaders call themselves.
    pub host: String,
    /// When the machine started.
    pub booted: SystemTime,
    /// What a person should know.
    pub trouble: Vec<String>,
}

impl View {
    /// Whether a checkpoint of it is in place, or runs on.
    pub fn has_checkpoint(&self, workload: &Workload) -> bool {
        let seen = self.workloads.get(workload);
        seen.is_none_or(|seen| seen.active != Active::No || seen.forgotten.is_some())
    }

    /// Adds what is wrong with the API server, which may not answer for the reason `silent`, and with the checkpoints.
    pub fn judge(&mut self, host: &str, silent: Option<&str>) {
        let is_kept = |seen: &Seen| seen.role == Role::Apiserver && seen.kept;
        let is_kept = self.workloads.values().any(is_kept);
        let trouble = apiserver_trouble(self.node.launched, is_kept, silent, host);
        self.trouble.extend(trouble);
        let broken = self.workloads.keys().filter(|workload| {
            self.shelved.kept(workload).is_some() && !self.shelved.is_whole(workload)
        });
        let broken = broken.map(|workload| format!("the checkpoint of {workload} is damaged"));
        self.trouble.extend(broken);
    }
}

/// Before the launch is over nothing answers or is kept on any machine, and whoever launches tells what is missing: here that is one
/// line.
fn apiserver_trouble(
    launched: bool,
    is_kept: bool,
    silent: Option<&str>,
    host: &str,
) -> Vec<String> {
    if !launched && !is_kept {
        let waits = format!("waits for the launch: no API server of {host} has served yet");
        return vec![waits];
    }
    let mut trouble = Vec::new();
    trouble.extend(silent.map(|why| format!("no API server answers: {why}")));
    if !is_kept {
        trouble.push(format!("no checkpoint of an API server is kept on {host}"));
        let next = "next step: `slipway start` brings a temporary control plane up, which brings back the other";
        trouble.extend(silent.map(|_| next.to_owned()));
    }
    trouble
}

#[cfg(test)]
mod tests {
    use super::apiserver_trouble;

    #[test]
    fn one_that_is_gone_without_a_checkpoint_has_a_way_back() {
        let told = |launched, is_kept, silent| apiserver_trouble(launched, is_kept, silent, "a");
        let not_kept = "no checkpoint of an API server is kept on a";
        let silent = "no API server answers: refused";
        assert!(told(true, true, None).is_empty());
        assert_eq!(told(true, true, Some("refused")), [silent]);
        assert_eq!(told(true, false, None), [not_kept]);
        let lost = told(true, false, Some("refused"));
        assert_eq!(lost[..2], [silent, not_kept]);
        assert!(lost[2].contains("`slipway start`"), "{lost:?}");
    }

    #[test]
    fn nothing_is_missing_before_the_launch() {
        for silent in [None, Some("refused")] {
            let told = apiserver_trouble(false, false, silent, "a");
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with("waits for the launch"), "{told:?}");
        }
        let silent = apiserver_trouble(false, true, Some("refused"), "a");
        assert_eq!(silent, ["no API server answers: refused"]);
    }
}
