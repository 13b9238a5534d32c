//! What one look at a node found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::SystemTime;

use anyhow::Result;
use serde_json::Value;

use super::decide::{self, Active, Door, Role, Seen};
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

    /// Adds what is wrong with the checkpoints themselves.
    pub fn judge(&mut self, host: &str) {
        let is_kept = |seen: &Seen| seen.role == Role::Apiserver && seen.kept;
        if !self.workloads.values().any(is_kept) {
            self.trouble
                .push(format!("no checkpoint of an API server is kept on {host}"));
            if matches!(self.node.api, Door::Silent(_)) && self.node.launched {
                let next = "`slipway start` brings a temporary control plane up, which brings back the other";
                self.trouble.push(format!("next step: {next}"));
            }
        }
        let broken = self.workloads.keys().filter(|workload| {
            self.shelved.kept(workload).is_some() && !self.shelved.is_whole(workload)
        });
        let broken = broken.map(|workload| format!("the checkpoint of {workload} is damaged"));
        self.trouble.extend(broken);
    }
}
