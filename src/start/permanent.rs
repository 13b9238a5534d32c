//! A control plane of static pods that stay (`controlPlane: static`): nothing temporary, no handover.
//!
//! `render` has put the pods in place and the kubelet runs them, with or without slipway. What is left is
//! to load the API and to see that they work. That is judged by what they do, the door of the one and the
//! Leases of the others, and never by their mirror pods, which may come a minute late (docs/design.md §5).

use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use serde_json::Value;

use super::bring_up::with_last_words;
use super::converge::{pods_of, reason, verdicts};
use super::handover::is_announced;
use super::lease::{self, LEASES};
use super::plane::{Plane, StaticPod};
use super::ready::{Here, Workload};
use super::wait::{Look, Wait, until};
use super::watcher::Changes;
use super::waves::is_control_plane;
use super::{Launch, is_serving};
use crate::kube::Client;
use crate::node::static_pods;

/// The pause between two looks at what tells nobody when it changes.
const EVERY: Duration = Duration::from_millis(200);

impl Launch<'_> {
    pub(super) fn await_static_pods(&mut self) -> Result<()> {
        self.enter("static-pods", &Value::Null)?;
        let folder = &self.options.pod_manifest_path;
        // A directory that was rendered elsewhere is not installed yet; who removed a pod wants it back.
        if !static_pods::are_installed(self.assets, folder) {
            static_pods::install(self.assets, &self.options.root, folder)?;
        }
        self.await_apiserver("the apiserver")?;
        self.note_what_was_before()
    }

    /// Waits until the control plane works and all else that is required is Ready.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.reporter.stage("wait");
        self.enter("wait", &Value::Null)?;
        self.clear_former()?;
        let required = others(&self.options.required_pods);
        self.hopeless(&required)?;
        let changes = Changes::watch(&self.loopback, &pods_of(&required));
        let wait = Wait {
            what: "the control plane works and every other required workload is Ready",
            deadline: Instant::now() + self.options.timeouts.pods,
            every: EVERY,
            changes: Some(&changes),
            next_step: "see what the static pods write to /var/log/pods, then run `slipway start` again",
        };
        let (here, root, plane) = (self.here, &self.options.root, self.plane);
        let (loopback, node) = (&self.loopback, &self.node);
        until(self.reporter, wait, |_| {
            if let Err((pod, why)) = work(plane, loopback, node, here) {
                return Ok(Look::NotYet(with_last_words(root, pod, why)));
            }
            Ok(match verdicts(loopback, &required, here) {
                Err(error) => Look::NotYet(error.to_string()),
                Ok(all) if all.iter().all(|(_, verdict)| verdict.is_ready()) => Look::There(()),
                Ok(all) => Look::NotYet(reason(&all, &Ok(()), root)),
            })
        })?;
        self.forget_nodes()?;
        self.name_silent_nodes();
        self.done("launched: the control plane serves from static pods")
    }
}

/// What is required beside the control plane itself, which is no workload of the API here.
fn others(required: &[Workload]) -> Vec<Workload> {
    let others = required.iter().filter(|one| !is_control_plane(one));
    others.cloned().collect()
}

/// Whether all three do their work; otherwise which does not, and why.
fn work<'a>(
    plane: &'a Plane,
    loopback: &Client,
    node: &Client,
    here: Here,
) -> Result<(), (Option<&'a StaticPod>, String)> {
    let address = here.address.to_string();
    is_serving(node)
        .and_then(|()| is_announced(loopback, &address).map_err(|error| format!("{error:#}")))
        .map_err(|why| (Some(&plane.apiserver), why))?;
    for name in LEASES {
        let is_led = loopback
            .get(&lease::path(name))
            .map(|found| lease::is_live(&found, here.since, SystemTime::now()));
        let why = match is_led {
            Ok(true) => continue,
            Ok(false) => format!("nobody who lives holds the Lease {name} yet"),
            Err(error) => error.to_string(),
        };
        let pod = plane.controllers.iter().find(|pod| pod.name == name);
        return Err((pod, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_plane_is_no_workload_of_the_api() {
        let list = format!(
            "{},kube-system/coredns,apps/kube-scheduler",
            super::super::REQUIRED
        );
        let required: Vec<Workload> = list.split(',').map(|one| one.parse().unwrap()).collect();
        let others: Vec<_> = others(&required).iter().map(ToString::to_string).collect();
        assert_eq!(others, ["kube-system/coredns", "apps/kube-scheduler"]);
    }
}
