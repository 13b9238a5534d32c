//! Loading the real control plane and waiting for it: objects into the API, then the current pods of the
//! required workloads Ready.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::Value;

use super::ready::{Here, Lists, Verdict, Workload, judge};
use super::wait::{Look, Wait, until};
use super::watcher::Changes;
use super::{Launch, apply, is_serving};
use crate::exit::{Exit, WithExit};
use crate::kube::{self, Client};
use crate::node::podlog;

impl Launch<'_> {
    pub(super) fn apply(&mut self) -> Result<()> {
        self.reporter.stage("apply");
        self.enter("apply", &Value::Null)?;
        let policy = apply::Policy {
            strict: self.options.strict,
            force: self.options.force_conflicts || !self.journal.ever("done"),
            deadline: Instant::now() + self.options.timeouts.api,
        };
        let summary = apply::run(&self.loopback, &self.plane.manifests, policy, self.reporter)?;
        self.reporter.line(summary.to_string());
        for left in &summary.left {
            self.reporter.line(format!(
                "left alone: {left}; --force-conflicts takes it back"
            ));
        }
        for refused in &summary.refused {
            self.reporter.line(format!("refused: {}", refused.text));
        }
        self.refused = summary.refused;
        Ok(())
    }

    pub(super) fn wait(&mut self) -> Result<()> {
        self.reporter.stage("wait");
        self.enter("wait", &Value::Null)?;
        self.hopeless()?;
        let namespaces = self
            .options
            .required_pods
            .iter()
            .map(|workload| &workload.namespace);
        let mut paths: Vec<_> = namespaces
            .map(|ns| format!("/api/v1/namespaces/{ns}/pods"))
            .collect();
        paths.sort();
        paths.dedup();
        let changes = Changes::watch(&self.loopback, &paths);
        let wait = Wait {
            what: "every required workload is Ready",
            deadline: Instant::now() + self.options.timeouts.pods,
            every: Duration::from_secs(1),
            changes: Some(&changes),
            next_step: "mend what is named above, then run `slipway start` again; the temporary control \
                        plane stays up (kubectl works at the loopback address)",
        };
        let (here, root) = (self.here(), self.options.root.clone());
        let (loopback, node, required) = (&self.loopback, &self.node, &self.options.required_pods);
        let mut counts = String::new();
        until(self.reporter, wait, |reporter| {
            let verdicts = match verdicts(loopback, required, here) {
                Ok(verdicts) => verdicts,
                Err(error) => return Ok(Look::NotYet(error.to_string())),
            };
            let now = show_counts(&verdicts);
            if now != counts {
                reporter.line(&now);
                counts = now;
            }
            Ok(look_at(&verdicts, node, &root))
        })?;
        let elapsed = self.reporter.elapsed();
        self.reporter.fact("ready_s", elapsed);
        Ok(())
    }

    /// A required workload that the server refused never becomes Ready: say so now, not in 20 minutes.
    fn hopeless(&self) -> Result<()> {
        let required = &self.options.required_pods;
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
fn show_counts(verdicts: &[(&Workload, Verdict)]) -> String {
    let counts = verdicts.iter().map(|(workload, verdict)| {
        format!("{} {}/{}", workload.name, verdict.ready, verdict.desired)
    });
    counts.collect::<Vec<_>>().join(" · ")
}

/// The reason of the first workload that is not Ready, then of the self-hosted apiserver's own door.
fn look_at(verdicts: &[(&Workload, Verdict)], node: &Client, root: &Path) -> Look<()> {
    if let Some((workload, verdict)) = verdicts.iter().find(|(_, verdict)| !verdict.is_ready()) {
        let words = verdict
            .pod
            .as_ref()
            .and_then(|pod| podlog::folder(root, &workload.namespace, pod));
        let words = words.and_then(|folder| podlog::last_words(&folder));
        let words = words
            .map(|words| format!("\nlast words: {words}"))
            .unwrap_or_default();
        return Look::NotYet(format!("{workload}: {}{words}", verdict.why));
    }
    match is_serving(node) {
        Ok(()) => Look::There(()),
        Err(why) => Look::NotYet(format!("the self-hosted apiserver: {why}")),
    }
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
                lists(client, &workload.namespace)?,
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

fn lists(client: &Client, namespace: &str) -> Result<Lists, kube::Error> {
    let apps = |plural: &str| {
        client
            .list(&format!("/apis/apps/v1/namespaces/{namespace}/{plural}"))
            .map(|list| list.items)
    };
    Ok(Lists {
        daemonsets: apps("daemonsets")?,
        deployments: apps("deployments")?,
        replicasets: apps("replicasets")?,
        revisions: apps("controllerrevisions")?,
        pods: client
            .list(&format!("/api/v1/namespaces/{namespace}/pods"))?
            .items,
    })
}
