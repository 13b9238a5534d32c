//! Taking checkpoints: from a pod that works to the shelf.
//!
//! Only from a pod that is Ready, so that a revision that never worked replaces nothing. What was read stays in memory: damaged files are
//! mended from it without asking anybody, and the API is asked again only about what changed, or once a minute, since Secrets
//! change without their pods.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::copy::{self, Account, Copy, Given, ObjectKind};
use super::keeper::Options;
use super::pods::{self, Lasting};
use super::shelf::Shelf;
use super::workload::{Workload, text};
use crate::node::files;
use crate::pki;
use crate::secret::Secret;

/// How old what was read may become.
const AGAIN: Duration = Duration::from_secs(55);
/// How long what cannot be read is no trouble.
const PASSING: Duration = Duration::from_secs(10);
/// Who signs for the cluster.
const AUTHORITY: &str = "/etc/kubernetes/ca.crt";

/// Where things are found, and what was taken last.
pub struct Taker {
    kubeconfig: PathBuf,
    client: Lasting,
    authority: PathBuf,
    asset_dir: PathBuf,
    node: String,
    loopback: String,
    failing: BTreeMap<Workload, Instant>,
    taken: BTreeMap<Workload, Taken>,
}

struct Taken {
    /// What of the pod counts.
    template: Value,
    at: Instant,
    copy: Copy,
}

impl Taker {
    /// That of a node.
    pub fn new(options: &Options) -> Self {
        Self {
            kubeconfig: files::below(&options.root, pods::KUBECONFIG),
            client: Lasting::default(),
            authority: files::below(&options.root, AUTHORITY),
            asset_dir: options.asset_dir.clone(),
            node: options.node.clone(),
            loopback: format!("https://{}", options.loopback),
            failing: BTreeMap::new(),
            taken: BTreeMap::new(),
        }
    }

    /// Reads what a Ready parent's checkpoint is made of and keeps it. Says what it did.
    pub fn take(
        &mut self,
        workload: &Workload,
        parent: &Value,
        shelf: &Shelf,
    ) -> Result<Vec<String>> {
        let template = template(parent);
        let is_same = |last: &Taken| last.template == template && last.at.elapsed() < AGAIN;
        if self.taken.get(workload).is_some_and(is_same) {
            return Ok(Vec::new());
        }
        let copy = match self.read(workload, parent) {
            Err(error) if self.is_passing(workload) => {
                log::debug!("{workload} is read again: {error:#}");
                return Ok(Vec::new());
            }
            copy => copy?,
        };
        self.failing.remove(workload);
        let last = self.taken.get(workload);
        let mut said = Vec::new();
        if last.is_none_or(|last| last.copy.notes != copy.notes) {
            said.extend(copy.notes.iter().map(|note| format!("{workload}: {note}")));
        }
        if shelf.put(&copy)? {
            said.push(format!("kept: {workload}, from pod {}", copy.pod));
            replace_earlier(shelf, workload, &copy.pod)?;
        }
        let at = Instant::now();
        let taken = Taken { template, at, copy };
        self.taken.insert(workload.clone(), taken);
        Ok(said)
    }

    /// Whether a failure is new. An API server that has just started knows no node's pods yet and refuses their Secrets.
    fn is_passing(&mut self, workload: &Workload) -> bool {
        let now = Instant::now();
        let since = self.failing.entry(workload.clone()).or_insert(now);
        since.elapsed() < PASSING
    }

    /// Makes the shelf hold all that was taken, whatever happened to it. Says what was changed.
    pub fn mend(&self, shelf: &Shelf) -> Result<Vec<String>> {
        let mut said = Vec::new();
        for (workload, taken) in &self.taken {
            if shelf.put(&taken.copy)? {
                said.push(format!(
                    "mended: the checkpoint of {workload}\nits files were not as they were written"
                ));
            }
        }
        Ok(said)
    }

    /// A checkpoint that was removed is not mended.
    pub fn forget(&mut self, workload: &Workload) {
        self.taken.remove(workload);
    }

    fn read(&mut self, workload: &Workload, parent: &Value) -> Result<Copy> {
        let client = self.client.get(|| pods::client(&self.kubeconfig))?;
        let mut objects = BTreeMap::new();
        for needed in copy::needs(parent) {
            let path = object_path(&workload.namespace, needed.kind, &needed.name);
            if let Some(object) = client.find(&path)? {
                objects.insert((needed.kind, needed.name), object);
            }
        }
        let name = text(&parent["spec"]["serviceAccountName"]);
        let account = account(&self.asset_dir, &workload.namespace, name)?;
        let authority = std::fs::read(&self.authority)
            .with_context(|| format!("cannot read {}", self.authority.display()))?;
        copy::copy(&Given {
            pod: parent,
            workload,
            objects: &objects,
            account: account.as_ref(),
            authority: &authority,
            node: &self.node,
            loopback: &self.loopback,
        })
    }
}

/// The certificate of a ServiceAccount's own user, if the asset directory has one.
pub fn account(asset_dir: &Path, namespace: &str, name: &str) -> Result<Option<Account>> {
    let base = asset_dir.join(pki::CHECKPOINTS).join(namespace);
    let file = |ending: &str| files::read_if_there(&base.join(format!("{name}.{ending}")));
    let (Some(certificate), Some(key)) = (file("crt")?, file("key")?) else {
        return Ok(None);
    };
    let key = Secret::new(key);
    Ok(Some(Account { certificate, key }))
}

/// What of a pod makes its checkpoint: not what changes while it runs.
fn template(pod: &Value) -> Value {
    let metadata = &pod["metadata"];
    json!([
        metadata["uid"],
        metadata["labels"],
        metadata["annotations"],
        pod["spec"]
    ])
}

fn object_path(namespace: &str, kind: ObjectKind, name: &str) -> String {
    let plural = match kind {
        ObjectKind::Secret => "secrets",
        ObjectKind::ConfigMap => "configmaps",
    };
    format!("/api/v1/namespaces/{namespace}/{plural}/{name}")
}

/// One checkpoint a workload: that of an earlier pod goes once its successor's is whole.
fn replace_earlier(shelf: &Shelf, workload: &Workload, pod: &str) -> Result<()> {
    let kept = shelf.kept()?;
    let earlier = kept
        .iter()
        .filter(|one| one.workload == *workload && one.parent != pod);
    for one in earlier {
        shelf.remove(one)?;
    }
    Ok(())
}
