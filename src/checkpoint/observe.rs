//! The unit's eyes: what is true of this node's checkpoints now, and since when.
//!
//! The API's word comes from the watch ([`super::pods`]). The rest costs requests, so it is asked for only
//! while something is out of order: on a cluster that is well every workload has a Ready pod, and there is nothing to
//! decide. What cannot be read is unknown, which [`super::decide`] takes for no reason to act.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::asked::Asked;
use super::decide::{self, Active, Lease, Seen};
use super::form;
use super::keeper::Options;
use super::memory::{Memory, is_left_of, parent_of};
use super::parents::{Parents, Running};
use super::pods::{News, Source};
use super::shelf::{Checkpoint, Shelf};
use super::view::{LeaseSeen, Shelved, View};
use super::workload::{Workload, is_ready};
use crate::kube::Client;
use crate::node::boot::Boot;
use crate::node::cri::{Runtime, Sandbox};
use crate::node::files;
use crate::start::MARKER;

/// How long after the last disorder everything is still asked for.
const CALM: Duration = Duration::from_secs(30);
/// What the container runtime gives a checkpoint that its kubelet has forgotten.
const GRACE: Duration = Duration::from_secs(10);

/// Looks, and remembers for how long.
pub struct Eyes {
    root: PathBuf,
    node: String,
    grace: Duration,
    host: String,
    boot: Boot,
    parents: Parents,
    asked: Asked,
    runtime: Runtime,
    sandboxes: Option<Vec<Sandbox>>,
    memory: BTreeMap<Workload, Memory>,
    disorder: Instant,
    running: Running,
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
            parents: Parents::new(&options.namespaces),
            asked: Asked::new(options, source),
            runtime: Runtime::new(&options.runtime),
            sandboxes: None,
            memory: BTreeMap::new(),
            disorder: Instant::now(),
            running: Running::new(),
        })
    }

    /// Takes in what the watch tells; returns whether that is a reason to look.
    pub fn hear(&mut self, news: News) -> bool {
        self.parents.hear(news)
    }

    /// The newest Ready pod of each workload, while the API's word is fresh.
    pub fn parents(&self) -> BTreeMap<Workload, Value> {
        self.parents.ready()
    }

    /// The pods that wait for their own process' word, while the API's is fresh.
    pub fn gated(&self) -> Vec<Value> {
        self.parents.gated()
    }

    /// Whether the next look should come soon.
    pub fn is_restless(&self) -> bool {
        self.disorder.elapsed() < CALM
    }

    /// Something was changed here.
    pub fn stir(&mut self) {
        self.disorder = Instant::now();
    }

    /// The API as the checkpointer's own user, while it answers.
    pub fn account(&mut self) -> Option<Client> {
        match self.parents.is_fresh() {
            true => self.asked.account(),
            false => None,
        }
    }

    /// Ends what runs of a workload's checkpoints.
    pub fn end(&mut self, workload: &Workload) -> Result<()> {
        let all = self.sandboxes.iter().flatten();
        let left = all.filter(|sandbox| is_left_of(sandbox, workload));
        let ids: Vec<_> = left.map(|sandbox| sandbox.id.clone()).collect();
        ids.iter().try_for_each(|id| self.runtime.end(id, GRACE))
    }

    /// Namespaces and names of the pods whose checkpoints run, in the kubelet's folder or not. `None` if nobody was asked.
    pub fn running(&self) -> Option<BTreeSet<(String, String)>> {
        let all = self.sandboxes.as_ref()?.iter();
        Some(all.filter_map(parent_of).collect())
    }

    /// Looks at everything that matters now.
    pub fn look(&mut self, shelf: &Shelf) -> Result<View> {
        let shelved = Shelved::read(shelf)?;
        // Whoever comes, goes or starts anew may have left a Lease behind.
        let running = self.parents.running();
        if self.running != running || self.is_disordered(&shelved) {
            self.running = running;
            self.stir();
        }
        let mut trouble = Vec::new();
        self.sandboxes = match self.is_restless() {
            true => self.ask_runtime(&mut trouble),
            false => None,
        };
        let mut view = View {
            node: self.look_at_node(&shelved),
            workloads: BTreeMap::new(),
            shelved,
            leases: BTreeMap::new(),
            opened: self.asked.opened(),
            started: BTreeMap::new(),
            host: self.host.clone(),
            booted: self.boot.started,
            trouble,
        };
        let client = match self.is_restless() {
            true => self.account(),
            false => None,
        };
        for workload in &self.parents.workloads() | &view.shelved.workloads() {
            let seen = self.see(&workload, client.as_ref(), &mut view);
            view.workloads.insert(workload, seen);
        }
        view.judge(&self.node, self.parents.why_silent());
        Ok(view)
    }

    /// Whether there may be something to decide.
    fn is_disordered(&self, shelved: &Shelved) -> bool {
        let ready = self.parents.ready();
        let is_left = self.memory.values().any(|memory| memory.left().is_some());
        let mut all = &self.parents.workloads() | &shelved.workloads();
        all.retain(|workload| !ready.contains_key(workload));
        !self.parents.is_fresh() || shelved.has_active() || is_left || !all.is_empty()
    }

    fn ask_runtime(&mut self, trouble: &mut Vec<String>) -> Option<Vec<Sandbox>> {
        let answer = self.runtime.sandboxes();
        answer
            .map_err(|error| trouble.push(format!("{error:#}")))
            .ok()
    }

    fn look_at_node(&mut self, shelved: &Shelved) -> decide::Node {
        let informed = shelved
            .has_active()
            .then(|| self.asked.informed(self.parents.names()));
        decide::Node {
            launched: files::below(&self.root, MARKER).exists(),
            api: self.parents.door(),
            address: self.asked.address(self.is_restless()),
            informed: informed.flatten(),
            grace: self.grace,
        }
    }

    fn see(&mut self, workload: &Workload, client: Option<&Client>, view: &mut View) -> Seen {
        let own = self.parents.of(workload);
        let (is_here, ready) = (!own.is_empty(), own.iter().any(|pod| is_ready(pod)));
        let began = own.iter().filter_map(|pod| form::started(pod)).min();
        let kept = view.shelved.kept(workload);
        let active = view.shelved.active(workload).next();
        let manifest = telling(&own, kept, active);
        let (role, name) = manifest.map_or((decide::Role::Other, None), |manifest| {
            (form::role(manifest), form::lease(manifest))
        });
        let copies = kept.into_iter().chain(active).map(|one| &one.manifest);
        let programs = own.iter().copied().chain(copies).filter_map(form::program);
        let programs = programs.map(str::to_owned).collect();
        let active = form::active(kept, active);
        view.started
            .extend(began.map(|began| (workload.clone(), began)));
        let lease = match (name, client) {
            (Some(name), Some(client)) => self.lease(client, workload, name, view),
            _ => Lease::Unknown,
        };
        let memory = self.remember(workload, active, &programs);
        let (forgotten, runs) = (memory.left(), memory.runs());
        let is_fresh = self.parents.is_fresh();
        Seen {
            role,
            kept: view.shelved.is_whole(workload),
            active,
            forgotten,
            runs,
            ready: is_fresh.then_some(ready),
            lease,
            wanted: self
                .asked
                .wanted(client, workload, is_fresh.then_some(is_here)),
        }
    }

    fn remember(
        &mut self,
        workload: &Workload,
        active: Active,
        programs: &BTreeSet<String>,
    ) -> &Memory {
        let is_restless = self.is_restless();
        let memory = self.memory.entry(workload.clone());
        let memory = memory.or_insert_with(Memory::new);
        match is_restless {
            true => memory.hear(workload, programs, self.sandboxes.as_deref()),
            // Nobody asked, because its pod is Ready.
            false => memory.hear_that(true),
        }
        if active != Active::No {
            memory.in_place();
        }
        memory
    }

    fn lease(
        &mut self,
        client: &Client,
        workload: &Workload,
        name: String,
        view: &mut View,
    ) -> Lease {
        let (judged, object) = self.asked.lease(client, &name, view.booted);
        let seen = LeaseSeen { name, object };
        view.leases.insert(workload.clone(), seen);
        judged
    }
}

/// What tells what a workload is. Of two revisions the one that works, or else the last that did: one that does not could make
/// something else of the workload by its arguments.
fn telling<'a>(
    own: &[&'a Value],
    kept: Option<&'a Checkpoint>,
    active: Option<&'a Checkpoint>,
) -> Option<&'a Value> {
    let ready = own.iter().copied().find(|pod| is_ready(pod));
    let kept = kept.or(active).map(|one| &one.manifest);
    ready.or(kept).or_else(|| own.first().copied())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::super::workload::testing::workload;
    use super::*;

    #[test]
    fn a_revision_that_does_not_work_tells_nothing_while_another_does() {
        let checkpoint = |name: &str| Checkpoint {
            path: PathBuf::new(),
            workload: workload("DaemonSet", "a"),
            parent: "a-1".into(),
            manifest: json!({ "metadata": { "name": name } }),
        };
        let pod = |name: &str, ready: &str| {
            let conditions = json!([{ "type": "Ready", "status": ready }]);
            json!({ "metadata": { "name": name }, "status": { "conditions": conditions } })
        };
        let (broken, works) = (pod("broken", "False"), pod("works", "True"));
        let (kept, active) = (checkpoint("kept"), checkpoint("active"));
        for (own, kept, active, expected) in [
            (vec![&broken, &works], Some(&kept), Some(&active), "works"),
            (vec![&broken], Some(&kept), Some(&active), "kept"),
            (vec![&broken], None, Some(&active), "active"),
            (vec![&broken], None, None, "broken"),
        ] {
            let told = telling(&own, kept, active).unwrap();
            assert_eq!(told["metadata"]["name"], expected);
        }
        assert!(telling(&[], None, None).is_none());
    }
}
