//! Loading the real control plane and waiting for it: objects into the API, then the current pods of the
//! required workloads Ready.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::Value;

use super::plane::Manifest;
use super::ready::{Here, Lists, Verdict, Workload, judge, older};
use super::wait::{Look, Wait, until};
use super::watcher::Changes;
use super::waves::Waves;
use super::{Launch, apply, is_serving, nodes};
use crate::exit::{Exit, WithExit};
use crate::kube::{self, Client};
use crate::node::{podlog, processes};

/// The pause between two looks at an apiserver that tells nobody when it begins to answer.
const DOOR: Duration = Duration::from_millis(200);

/// The same while a watch tells of every pod that changes.
const PODS: Duration = Duration::from_secs(1);

type Verdicts<'a> = [(&'a Workload, Verdict)];

impl Launch<'_> {
    /// Everything that the control plane needs, in two waves.
    pub(super) fn apply(&mut self) -> Result<()> {
        self.enter("apply", &Value::Null)?;
        let waves = Waves::new(&self.plane.manifests, self.options);
        self.apply_wave(&waves.first)?;
        if let Some(apiserver) = waves.apiserver {
            self.await_door(&apiserver)?;
            self.apply_wave(&waves.second)?;
        }
        Ok(())
    }

    /// Everything that a new pod may read.
    pub(super) fn apply_first_wave(&mut self) -> Result<()> {
        let first = Waves::new(&self.plane.manifests, self.options).first;
        self.apply_wave(&first)
    }

    /// The rest, if something was left for after the handover.
    pub(super) fn apply_add_ons(&mut self) -> Result<()> {
        self.enter("add-ons", &Value::Null)?;
        let add_ons = Waves::new(&self.plane.manifests, self.options).add_ons;
        if add_ons.is_empty() {
            return Ok(());
        }
        self.apply_wave(&add_ons)
    }

    fn apply_wave(&mut self, manifests: &[&Manifest]) -> Result<()> {
        self.reporter.stage("apply");
        let policy = apply::Policy {
            strict: self.options.strict,
            // What people changed before a disaster is theirs.
            force: self.options.force_conflicts
                || self.plane.recovery.is_none() && !self.journal.ever("done"),
            deadline: Instant::now() + self.options.timeouts.api,
        };
        let summary = apply::run(&self.loopback, manifests, policy, self.reporter)?;
        self.reporter.line(summary.to_string());
        for left in &summary.left {
            self.reporter.line(format!(
                "left alone: {left}; --force-conflicts takes it back"
            ));
        }
        for refused in &summary.refused {
            self.reporter.line(format!("refused: {}", refused.text));
        }
        self.refused.extend(summary.refused);
        Ok(())
    }

    /// Waits until the self-hosted apiserver answers at this node's address.
    fn await_door(&mut self, apiserver: &Workload) -> Result<()> {
        if is_serving(&self.node).is_ok() {
            return Ok(());
        }
        self.await_workloads(
            std::slice::from_ref(apiserver),
            "the self-hosted apiserver answers",
            DOOR,
            |_, door| door.is_ok(),
        )
    }

    pub(super) fn wait(&mut self) -> Result<()> {
        self.enter("wait", &Value::Null)?;
        self.await_workloads(
            &self.options.required_pods,
            "every required workload is Ready",
            PODS,
            |verdicts, door| door.is_ok() && verdicts.iter().all(|(_, verdict)| verdict.is_ready()),
        )?;
        let elapsed = self.reporter.elapsed();
        self.reporter.fact("ready_s", elapsed);
        Ok(())
    }

    fn await_workloads(
        &mut self,
        workloads: &[Workload],
        what: &str,
        every: Duration,
        enough: impl Fn(&Verdicts<'_>, &Result<(), String>) -> bool,
    ) -> Result<()> {
        self.reporter.stage("wait");
        self.hopeless(workloads)?;
        let changes = Changes::watch(&self.loopback, &pods_of(workloads));
        let wait = Wait {
            what,
            deadline: Instant::now() + self.options.timeouts.pods,
            every,
            changes: Some(&changes),
            next_step: "mend what is named above, then run `slipway start` again; the temporary control \
                        plane stays up (kubectl works at the loopback address)",
        };
        let (here, root) = (self.here, &self.options.root);
        let (loopback, node) = (&self.loopback, &self.node);
        let mut counts = String::new();
        until(self.reporter, wait, |reporter| {
            let verdicts = match verdicts(loopback, workloads, here) {
                Ok(verdicts) => verdicts,
                Err(error) => return Ok(Look::NotYet(error.to_string())),
            };
            let now = show_counts(&verdicts);
            if now != counts {
                reporter.line(&now);
                counts = now;
            }
            let door = is_serving(node);
            Ok(match enough(&verdicts, &door) {
                true => Look::There(()),
                false => Look::NotYet(reason(&verdicts, &door, root)),
            })
        })
    }

    /// A required workload that the server refused never becomes Ready: say so now, not in 20 minutes.
    pub(super) fn hopeless(&self, required: &[Workload]) -> Result<()> {
        let refused = self
            .refused
            .iter()
            .find(|refused| required.iter().any(|w| w.name == refused.name));
        refused.map_or(Ok(()), |refused| {
            let text = &refused.text;
            Err(anyhow!("a required workload was refused: {text}\nnext step: correct it and run `slipway start` again"))
                .exit(Exit::Failed)
        })
    }
}

/// E.g. `kube-apiserver 0/1 · kube-scheduler 1/1`.
fn show_counts(verdicts: &Verdicts<'_>) -> String {
    let counts = verdicts.iter().map(|(workload, verdict)| {
        format!("{} {}/{}", workload.name, verdict.ready, verdict.desired)
    });
    counts.collect::<Vec<_>>().join(" · ")
}

/// The first workload that is not Ready, then the self-hosted apiserver's own door.
pub(super) fn reason(verdicts: &Verdicts<'_>, door: &Result<(), String>, root: &Path) -> String {
    if let Some((workload, verdict)) = verdicts.iter().find(|(_, verdict)| !verdict.is_ready()) {
        let words = verdict
            .pod
            .as_ref()
            .and_then(|pod| podlog::folder(root, &workload.namespace, pod));
        let words = words.and_then(|folder| podlog::last_words(&folder));
        let words = words
            .map(|words| format!("\nlast words: {words}"))
            .unwrap_or_default();
        return format!("{workload}: {}{words}", verdict.why);
    }
    match door {
        Ok(()) => String::new(),
        Err(why) => format!("the self-hosted apiserver: {why}"),
    }
}

/// Where the pods of `workloads` are listed.
pub(super) fn pods_of(workloads: &[Workload]) -> Vec<String> {
    let namespaces: BTreeSet<_> = workloads.iter().map(|w| &w.namespace).collect();
    namespaces
        .into_iter()
        .map(|namespace| format!("/api/v1/namespaces/{namespace}/pods"))
        .collect()
}

/// Whether every required workload is Ready; an API that does not say so counts as no.
pub(super) fn all_ready(client: &Client, required: &[Workload], here: Here) -> bool {
    verdicts(client, required, here)
        .is_ok_and(|all| all.iter().all(|(_, verdict)| verdict.is_ready()))
}

/// Judges every required workload by what the API says now.
pub(super) fn verdicts<'a>(
    client: &Client,
    required: &'a [Workload],
    here: Here,
) -> Result<Vec<(&'a Workload, Verdict)>, kube::Error> {
    let mut namespaces = BTreeMap::new();
    for workload in required {
        if !namespaces.contains_key(&workload.namespace) {
            namespaces.insert(
                workload.namespace.clone(),
                lists(client, &workload.namespace, here)?,
            );
        }
    }
    let judged = required.iter().map(|workload| {
        (
            workload,
            judge(workload, &namespaces[&workload.namespace], here),
        )
    });
    Ok(judged.collect())
}

/// What a judgement over a namespace needs: of the API, and of this node if a pod looks older than its boot.
pub(crate) fn lists(client: &Client, namespace: &str, here: Here) -> Result<Lists, kube::Error> {
    let apps = |plural: &str| {
        client
            .list(&format!("/apis/apps/v1/namespaces/{namespace}/{plural}"))
            .map(|list| list.items)
    };
    let pods = client.list(&format!("/api/v1/namespaces/{namespace}/pods"))?;
    let running = running(&pods.items, here);
    Ok(Lists {
        daemonsets: apps("daemonsets")?,
        deployments: apps("deployments")?,
        replicasets: apps("replicasets")?,
        revisions: apps("controllerrevisions")?,
        pods: pods.items,
        running,
        nodes: nodes::look(client, here, None)?,
    })
}

/// The IDs of the containers that have a process on this node, asked for only if one of these pods looks older
/// than its boot. Where nobody can tell, no container counts as running.
pub(crate) fn running(pods: &[Value], here: Here) -> BTreeSet<String> {
    if !pods.iter().any(|pod| older(pod, here).next().is_some()) {
        return BTreeSet::new();
    }
    processes::containers(Path::new("/")).unwrap_or_else(|error| {
        log::debug!("it is not known which containers run: {error:#}");
        BTreeSet::new()
    })
}
