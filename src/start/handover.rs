//! The handover: the moment the temporary control plane stops and only the self-hosted one serves.
//!
//! The order is the whole art (docs/design.md §5). Controllers first, seen gone by their cgroups, their
//! Leases released so that nobody waits for them to expire; then the apiserver, which nobody needs by
//! then: the self-hosted one answers at the node's address, and on loopback the kernel gives it every
//! connection from the moment the other listener closes. Secrets go last, when no one can read them.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::{Map, Value, json};

use super::converge::verdicts;
use super::lease::{self, LEASES};
use super::nodes::revision;
use super::plane::StaticPod;
use super::ready::Here;
use super::wait::{Look, Wait, until};
use super::{Launch, MARKER, is_serving, refuse, seed};
use crate::kube::Client;
use crate::node::{files, notify, processes};
use crate::recovery::STAMP;
use crate::report::Outcome;

const NEXT_STEP: &str = "run `slipway start` again: it goes on where this run stopped";

impl Launch<'_> {
    pub(super) fn hand_over(&mut self) -> Result<()> {
        self.reporter.stage("handover");
        let deadline = Instant::now() + self.options.timeouts.handover;
        let noted = self.note_holders()?;
        self.enter("handover", &json!({ "leases": noted }))?;
        self.stop_controllers(deadline)?;
        self.release_leases(deadline)?;
        self.stop_apiserver(deadline)?;
        self.confirm(deadline)?;
        seed::remove_secrets(&self.options.root)?;
        self.enter("secrets-removed", &Value::Null)?;
        self.apply_add_ons()?;
        self.forget_nodes()?;
        self.name_silent_nodes();
        self.done("handed over: the self-hosted control plane serves")
    }

    /// Notes for good that the launch is done, and says so. The marker last: with it no later run comes here again.
    pub(super) fn done(&mut self, what: &str) -> Result<()> {
        let recovery = self.plane.recovery.as_ref().map(|recovery| &recovery.id);
        self.enter("done", &json!({ "recovery": recovery }))?;
        files::remove(&files::below(&self.options.root, STAMP))?;
        files::write(
            &files::below(&self.options.root, MARKER),
            b"",
            files::PUBLIC,
        )?;
        notify::ready();
        self.finish(what);
        Ok(())
    }

    /// Who holds each Lease and may be released once the temporary controllers are gone. After a kill in the
    /// middle of a handover, that is who was noted then.
    fn note_holders(&self) -> Result<Map<String, Value>> {
        let folder = &self.options.pod_manifest_path;
        let before = self
            .journal
            .latest("handover")
            .and_then(|facts| facts["leases"].as_object());
        if !self
            .plane
            .controllers
            .iter()
            .any(|pod| seed::is_in_place(folder, pod))
        {
            return Ok(before.cloned().unwrap_or_default());
        }
        let judged = verdicts(&self.loopback, &self.options.required_pods, self.here)?;
        let mut noted = Map::new();
        for name in LEASES {
            let rival = judged.iter().find(|(workload, _)| workload.name == name);
            let since = rival.and_then(|(_, verdict)| verdict.since);
            let holder = lease::former_holder(&self.loopback, name, since)?;
            noted.extend(holder.map(|holder| (name.to_owned(), json!(holder))));
        }
        Ok(noted)
    }

    fn stop_controllers(&mut self, deadline: Instant) -> Result<()> {
        let pods = &self.plane.controllers;
        pods.iter()
            .try_for_each(|pod| seed::remove(&self.options.pod_manifest_path, pod))?;
        self.await_gone(
            "the temporary controller-manager and scheduler are gone",
            pods,
            deadline,
        )?;
        self.enter("controllers-gone", &Value::Null)
    }

    fn release_leases(&mut self, deadline: Instant) -> Result<()> {
        let noted = self.journal.latest("handover").cloned().unwrap_or_default();
        let wait = Wait {
            what: "the Leases of the temporary controllers are released",
            deadline,
            every: Duration::from_millis(100),
            changes: None,
            next_step: NEXT_STEP,
        };
        let loopback = &self.loopback;
        until(self.reporter, wait, |_| {
            for name in LEASES {
                let Some(holder) = noted["leases"][name].as_str() else {
                    continue;
                };
                if let Err(error) = lease::release(loopback, name, holder) {
                    return Ok(Look::NotYet(error.to_string()));
                }
            }
            Ok(Look::There(()))
        })?;
        self.enter("leases-released", &Value::Null)
    }

    fn stop_apiserver(&mut self, deadline: Instant) -> Result<()> {
        // The last look before the point of no return: without this answer nobody would serve.
        if let Err(why) = is_serving(&self.node) {
            let node = self.plane.node;
            return Err(refuse(format!(
                "the self-hosted apiserver stopped answering at {node}: {why}; the temporary one stays\nnext step: {NEXT_STEP}"
            )));
        }
        let pod = &self.plane.apiserver;
        let begun = Instant::now();
        seed::remove(&self.options.pod_manifest_path, pod)?;
        let pods = std::slice::from_ref(pod);
        self.await_gone("the temporary apiserver is gone", pods, deadline)?;
        self.reporter
            .fact("apiserver_drain_s", begun.elapsed().as_secs_f64());
        self.enter("apiserver-gone", &Value::Null)
    }

    /// Waits until no process is left in the cgroup of any pod that was ever made from these manifests.
    fn await_gone(&mut self, what: &str, pods: &[StaticPod], deadline: Instant) -> Result<()> {
        let uids: Vec<_> = pods
            .iter()
            .flat_map(|pod| self.journal.uids(&pod.file))
            .collect();
        let wait = Wait {
            what,
            deadline,
            every: Duration::from_millis(20),
            changes: None,
            next_step: NEXT_STEP,
        };
        until(self.reporter, wait, |_| {
            Ok(match processes::any_in_pods("/".as_ref(), &uids)? {
                false => Look::There(()),
                true => Look::NotYet("a process is still in its pod's cgroup".to_owned()),
            })
        })
    }

    /// The self-hosted control plane serves on both doors, is announced, and has leaders.
    fn confirm(&mut self, deadline: Instant) -> Result<()> {
        let wait = Wait {
            what: "the self-hosted control plane serves alone",
            deadline,
            every: Duration::from_millis(50),
            changes: None,
            next_step: NEXT_STEP,
        };
        let (loopback, here) = (&self.loopback, self.here);
        until(self.reporter, wait, |_| {
            Ok(match unconfirmed(loopback, here) {
                Ok(()) => Look::There(()),
                Err(error) => Look::NotYet(format!("{error:#}")),
            })
        })?;
        self.enter("endpoints", &Value::Null)
    }

    fn finish(&mut self, what: &str) {
        let elapsed = self.reporter.elapsed();
        self.reporter.fact("handed_over_s", elapsed);
        let refused = match self.refused.len() {
            0 => String::new(),
            count => format!(" · {count} manifests were refused, see above"),
        };
        let node = self.plane.node;
        let text = format!(
            "{what} at https://{node}{refused} · kubeconfig \
             /etc/kubernetes/admin.kubeconfig · timeline /var/lib/slipway/timeline.svg"
        );
        self.reporter.stage("done");
        self.reporter.finish(Outcome::HandedOver, &text);
    }
}

/// What is still missing after the temporary apiserver has gone.
fn unconfirmed(loopback: &Client, here: Here) -> Result<()> {
    is_serving(loopback).map_err(|why| anyhow!("loopback: {why}"))?;
    is_announced(loopback, &here.address.to_string())?;
    for name in LEASES {
        let found = loopback.get(&lease::path(name))?;
        // Who holds it since before the API was away may be dead.
        let is_new = |heard| revision(&found).is_some_and(|at| at > heard);
        if lease::holder(&found).is_empty() || !here.heard.is_none_or(is_new) {
            return Err(anyhow!("nobody holds the Lease {name} yet"));
        }
    }
    Ok(())
}

/// Whether Service default/kubernetes leads to `address`.
pub(super) fn is_announced(loopback: &Client, address: &str) -> Result<()> {
    let slices = loopback.list("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name%3Dkubernetes")?;
    if !slices.items.iter().any(|slice| announces(slice, address)) {
        return Err(anyhow!(
            "EndpointSlice default/kubernetes does not hold {address} yet"
        ));
    }
    Ok(())
}

fn announces(slice: &Value, address: &str) -> bool {
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    endpoints
        .flat_map(|endpoint| endpoint["addresses"].as_array())
        .flatten()
        .any(|found| found == address)
}
