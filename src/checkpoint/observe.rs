//! The unit's eyes: what is true of this node's checkpoints now, and since when.
//!
//! The API's word comes from the watch ([`super::pods`]). The rest costs requests, so it is asked for only
//! while something is out of order: on a cluster that is well every workload has a Ready pod, and there is nothing to decide. What
//! cannot be read is unknown, which [`super::decide`] takes for no reason to act.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use serde_json::Value;

use super::asked::Asked;
use super::decide::{self, Active, Door, Lease, Role, Seen};
use super::form;
use super::keeper::Options;
use super::memory::{Memory, is_left_of};
use super::pods::{News, Source};
use super::shelf::{Checkpoint, Shelf};
use super::since::Since;
use super::workload::{Workload, is_ready, text, workload_of};
use crate::kube::Client;
use crate::node::boot::Boot;
use crate::node::cri::{Runtime, Sandbox};
use crate::node::files;
use crate::start::MARKER;
use crate::start::ready::{epoch, seconds};

/// How long after the last disorder everything is still asked for.
const CALM: Duration = Duration::from_secs(30);

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
    /// The Leases that were asked for.
    pub leases: BTreeMap<Workload, LeaseSeen>,
    /// When the first of each workload's own processes here began, in seconds since the epoch.
    pub started: BTreeMap<Workload, i64>,
    /// This host's name, as leaders call themselves.
    pub host: String,
    /// When the machine started, in seconds since the epoch.
    pub booted: i64,
    kept: BTreeMap<Workload, Checkpoint>,
    active: Vec<Checkpoint>,
    trouble: Vec<String>,
}

impl View {
    /// The checkpoint that is kept of a workload.
    pub fn kept(&self, workload: &Workload) -> Option<&Checkpoint> {
        self.kept.get(workload)
    }

    /// Its checkpoints in the kubelet's folder.
    pub fn active<'a>(&'a self, workload: &'a Workload) -> impl Iterator<Item = &'a Checkpoint> {
        self.active
            .iter()
            .filter(move |one| one.workload == *workload)
    }

    /// Whether a checkpoint of it is in place, or runs on.
    pub fn has_checkpoint(&self, workload: &Workload) -> bool {
        let seen = self.workloads.get(workload);
        seen.is_none_or(|seen| seen.active != Active::No || seen.forgotten.is_some())
    }

    /// What a person should know.
    pub fn trouble(&self) -> &[String] {
        &self.trouble
    }
}

/// Looks, and remembers for how long.
pub struct Eyes {
    root: PathBuf,
    node: String,
    grace: Duration,
    host: String,
    boot: Boot,
    parents: BTreeMap<(String, String), Value>,
    api: Since<Option<bool>>,
    why_silent: String,
    asked: Asked,
    runtime: Runtime,
    sandboxes: Option<Vec<Sandbox>>,
    memory: BTreeMap<Workload, Memory>,
    disorder: Option<Instant>,
}

impl Eyes {
    /// Of a node that nothing is known of yet.
    pub fn new(options: &Options, source: Source) -> Result<Self> {
        let host = nix::unistd::gethostname().context("this host has no name")?;
        Ok(Self {
            root: options.root.clone(),
            node: options.node.clone(),
            grace: options.grace,
            host: host.to_string_lossy().into_owned(),
            boot: Boot::read("/".as_ref())?,
            parents: BTreeMap::new(),
            api: Since::new(None),
            why_silent: String::new(),
            asked: Asked::new(options, source),
            runtime: Runtime::new(&options.runtime),
            sandboxes: None,
            memory: BTreeMap::new(),
            disorder: Some(Instant::now()),
        })
    }

    /// Takes in what the watch tells; returns whether that is a reason to look.
    pub fn hear(&mut self, news: News) -> bool {
        let answers = !matches!(news, News::Silent(_));
        let is_news = self.api.get().0 != Some(answers);
        self.api.set(Some(answers));
        match news {
            News::All(parents) => {
                let named = parents.into_iter().map(|pod| (key(&pod), pod));
                self.parents = named.collect();
            }
            News::Changed(pod) => drop(self.parents.insert(key(&pod), pod)),
            News::Gone(namespace, name) => {
                let was_there = self.parents.remove(&(namespace, name)).is_some();
                return was_there || is_news;
            }
            News::Silent(why) => {
                self.why_silent = why;
                return is_news;
            }
        }
        true
    }

    /// The newest Ready pod of each workload, while the API's word is fresh.
    pub fn parents(&self) -> Vec<(Workload, Value)> {
        let mut newest: BTreeMap<Workload, &Value> = BTreeMap::new();
        if self.api.get().0 != Some(true) {
            return Vec::new();
        }
        for pod in self.parents.values().filter(|pod| is_ready(pod)) {
            let created = |pod: &Value| seconds(&pod["metadata"]["creationTimestamp"]);
            let known = newest.entry(workload_of(pod)).or_insert(pod);
            if created(known) < created(pod) {
                *known = pod;
            }
        }
        let owned = newest
            .into_iter()
            .map(|(workload, pod)| (workload, pod.clone()));
        owned.collect()
    }

    /// Whether the next look should come soon.
    pub fn is_restless(&self) -> bool {
        self.disorder.is_some_and(|at| at.elapsed() < CALM)
    }

    /// Something was changed here.
    pub fn stir(&mut self) {
        self.disorder = Some(Instant::now());
    }

    /// The API as the checkpointer's own user, while it answers.
    pub fn account(&self) -> Option<Client> {
        let answers = self.api.get().0 == Some(true);
        answers.then(|| self.asked.account()).flatten()
    }

    /// Ends what runs of a workload's checkpoints.
    pub fn end(&mut self, workload: &Workload) -> Result<()> {
        let mine = self.sandboxes.iter().flatten();
        let mine = mine.filter(|sandbox| is_left_of(sandbox, workload));
        let ids: Vec<_> = mine.map(|sandbox| sandbox.id.clone()).collect();
        let grace = Duration::from_secs(10);
        ids.iter().try_for_each(|id| self.runtime.end(id, grace))
    }

    /// Looks at everything that matters now.
    pub fn look(&mut self, shelf: &Shelf) -> Result<View> {
        let kept = choose(shelf.kept()?, shelf);
        let active = shelf.active()?;
        if self.is_disordered(&kept, &active) {
            self.stir();
        }
        let mut trouble = Vec::new();
        self.sandboxes = None;
        if self.is_restless() {
            match self.runtime.sandboxes() {
                Ok(sandboxes) => self.sandboxes = Some(sandboxes),
                Err(error) => trouble.push(format!("the container runtime: {error:#}")),
            }
        }
        let (answers, long) = self.api.get();
        let api = door(answers, long);
        let mut view = View {
            node: decide::Node {
                launched: files::below(&self.root, MARKER).exists(),
                api,
                address: self.asked.address(self.is_restless()),
                informed: match active.is_empty() {
                    true => None,
                    false => self.asked.informed(self.parents.keys()),
                },
                grace: self.grace,
            },
            workloads: BTreeMap::new(),
            leases: BTreeMap::new(),
            started: BTreeMap::new(),
            host: self.host.clone(),
            booted: epoch(self.boot.started),
            kept: kept
                .iter()
                .map(|(workload, (one, _))| (workload.clone(), one.clone()))
                .collect(),
            active,
            trouble,
        };
        let client = self.account().filter(|_| self.is_restless());
        for workload in self.known(&kept, &view.active) {
            self.see(&workload, &kept, client.as_ref(), &mut view);
        }
        self.judge(&kept, &mut view);
        Ok(view)
    }

    /// All workloads that there is anything of.
    fn known(&self, kept: &Kept, active: &[Checkpoint]) -> BTreeSet<Workload> {
        let parents = self.parents.values().map(workload_of);
        let active = active.iter().map(|one| one.workload.clone());
        parents.chain(kept.keys().cloned()).chain(active).collect()
    }

    /// Whether there may be something to decide.
    fn is_disordered(&self, kept: &Kept, active: &[Checkpoint]) -> bool {
        let ready: BTreeSet<_> = self
            .parents()
            .into_iter()
            .map(|(workload, _)| workload)
            .collect();
        let all_ready = self.known(kept, active).is_subset(&ready);
        let forgotten = self.memory.values().any(|memory| memory.left().is_some());
        self.api.get().0 != Some(true) || !active.is_empty() || !all_ready || forgotten
    }

    fn see(&mut self, workload: &Workload, kept: &Kept, client: Option<&Client>, view: &mut View) {
        let own: Vec<_> = self
            .parents
            .values()
            .filter(|pod| workload_of(pod) == *workload)
            .collect();
        let ready = own.iter().any(|pod| is_ready(pod));
        let here = kept.get(workload).map(|(one, _)| one);
        let manifest = own.first().copied().or(here.map(|one| &one.manifest));
        let manifest = manifest
            .or(view.active(workload).next().map(|one| &one.manifest))
            .cloned();
        let manifest = manifest.unwrap_or_default();
        view.started.extend(
            own.iter()
                .filter_map(|pod| form::started(pod))
                .min()
                .map(|at| (workload.clone(), at)),
        );
        let answers = self.api.get().0 == Some(true);
        let (is_here, active) = (
            !own.is_empty(),
            form::active(here, view.active(workload).next()),
        );
        let lease = match (form::lease(&manifest), client) {
            (Some(name), Some(client)) => self.lease(client, workload, name, view),
            _ => Lease::Unknown,
        };
        let is_restless = self.is_restless();
        let memory = self
            .memory
            .entry(workload.clone())
            .or_insert_with(Memory::new);
        match is_restless {
            true => memory.hear(workload, self.sandboxes.as_deref()),
            // Nobody asked, because its pod is Ready.
            false => memory.hear_that(true),
        }
        if active != Active::No {
            memory.in_place();
        }
        let seen = Seen {
            role: form::role(&manifest),
            kept: kept.get(workload).is_some_and(|(_, whole)| *whole),
            active,
            forgotten: memory.left(),
            runs: memory.runs(),
            ready: answers.then_some(ready),
            lease,
            wanted: self.asked.wanted(client, workload, is_here),
        };
        view.workloads.insert(workload.clone(), seen);
    }

    fn lease(
        &mut self,
        client: &Client,
        workload: &Workload,
        name: String,
        view: &mut View,
    ) -> Lease {
        let now = epoch(SystemTime::now());
        let (judged, object) = self.asked.lease(client, &name, view.booted, now);
        view.leases
            .insert(workload.clone(), LeaseSeen { name, object });
        judged
    }

    fn judge(&self, kept: &Kept, view: &mut View) {
        let is_kept = |seen: &Seen| seen.role == Role::Apiserver && seen.kept;
        if !view.workloads.values().any(is_kept) {
            view.trouble.push(format!(
                "no checkpoint of an API server is kept on {}",
                self.node
            ));
        }
        let broken = kept.iter().filter(|(_, (_, whole))| !whole);
        let broken: Vec<_> = broken
            .map(|(workload, _)| format!("the checkpoint of {workload} is damaged"))
            .collect();
        view.trouble.extend(broken);
        if self.api.get().0 == Some(false) {
            view.trouble
                .push(format!("no API server answers: {}", self.why_silent));
        }
    }
}

/// The kept checkpoint of each workload, and whether it is whole.
type Kept = BTreeMap<Workload, (Checkpoint, bool)>;

/// One a workload: a whole one before a damaged one, the later before the earlier.
fn choose(all: Vec<Checkpoint>, shelf: &Shelf) -> Kept {
    let mut chosen: BTreeMap<Workload, (Checkpoint, bool)> = BTreeMap::new();
    let written = |one: &Checkpoint| {
        std::fs::metadata(&one.path)
            .and_then(|meta| meta.modified())
            .ok()
    };
    for one in all {
        let whole = shelf.is_whole(&one).unwrap_or(false);
        let rank = (whole, written(&one));
        match chosen.get(&one.workload) {
            Some((other, was_whole)) if (*was_whole, written(other)) >= rank => {}
            _ => drop(chosen.insert(one.workload.clone(), (one, whole))),
        }
    }
    chosen
}

fn key(pod: &Value) -> (String, String) {
    let field = |name: &str| text(&pod["metadata"][name]).to_owned();
    (field("namespace"), field("name"))
}

fn door(answers: Option<bool>, long: Duration) -> Door {
    match answers {
        None => Door::Unknown,
        Some(true) => Door::Answers(long),
        Some(false) => Door::Silent(long),
    }
}
