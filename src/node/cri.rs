//! What runs on this node, on the word of those who know with the API down: the container runtime, by CRI
//! v1, and the kubelet, by PodResources v1. Both are gRPC on a Unix socket.
//!
//! Whether a pod runs decides whether another may start in its place, so a failed read is an error, which
//! means "unknown"; there is no empty answer that stands for it. Everything here blocks, and every call has
//! a deadline.
//!
//! Roads not taken: the kubelet's read-only port is off, its HTTPS port wants a certificate of the cluster's
//! authority and an API server that reviews access; pods' folders below /var/lib/kubelet outlive the pods;
//! cgroups (`processes.rs`) know a pod's UID but neither its name nor its containers'; crictl is not in the
//! image.

mod call;
mod kubelet;
mod messages;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use call::{Caller, Server};
use messages::{
    CONTAINER_EXITED, CONTAINER_RUNNING, CONTAINER_UNKNOWN, ContainerFilter,
    ContainerStatusRequest, ListContainersRequest, ListPodSandboxRequest, PodSandbox,
    SANDBOX_READY, StopContainerRequest, StopPodSandboxRequest,
};

pub use kubelet::kubelet_pods;

/// Where containerd listens.
pub const CONTAINERD: &str = "/run/containerd/containerd.sock";
/// Where the kubelet answers [`kubelet_pods`].
pub const KUBELET: &str = "/var/lib/kubelet/pod-resources/kubelet.sock";

/// How long a list may take.
const LIST: Duration = Duration::from_secs(5);
/// What ending something may take beyond its grace: the kill itself, and taking its network down.
const END: Duration = Duration::from_secs(30);

const RUNTIME: Server = Server {
    name: "the container runtime",
    next_step: "does containerd run? see `journalctl -u containerd`",
};

/// A pod's sandbox: the pod as the runtime knows it. One pod may have several, of which at most one is
/// ready: a sandbox that ended stays listed until it is collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The runtime's name for it.
    pub id: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's UID, as the kubelet has it: a static pod's is not its mirror pod's.
    pub uid: String,
    /// The pod's annotations, as the kubelet passed them on.
    pub annotations: BTreeMap<String, String>,
    /// Whether its namespaces stand. Not the pod's condition Ready.
    pub ready: bool,
    /// Its containers, the newest last; those that ended are among them until they are collected.
    pub containers: Vec<Container>,
}

/// A container of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The runtime's name for it.
    pub id: String,
    /// Its name in the pod.
    pub name: String,
    /// Whether its process runs. One that the runtime has lost track of counts: it may run.
    pub running: bool,
    /// How many came before it under that name, in this sandbox's pod.
    pub attempt: u32,
    /// When it was made, nanoseconds since 1970.
    pub created_at: i64,
}

impl Sandbox {
    /// Whether any of its containers runs.
    pub fn runs(&self) -> bool {
        self.containers.iter().any(|container| container.running)
    }

    /// Whether one of these containers of it runs.
    pub fn runs_one_of(&self, names: &BTreeSet<String>) -> bool {
        let mut running = self.containers.iter().filter(|container| container.running);
        running.any(|container| names.contains(&container.name))
    }
}

/// The container runtime.
#[derive(Debug)]
pub struct Runtime(Caller);

impl Runtime {
    /// Connects with the first call, and again with the next one after a failure.
    pub fn new(socket: &Path) -> Self {
        Self(Caller::new(&RUNTIME, socket))
    }

    /// Everything that the runtime has, running or not.
    ///
    /// # Errors
    /// If either list could not be read: what runs is unknown then.
    pub fn sandboxes(&mut self) -> Result<Vec<Sandbox>> {
        // In this order: a listed container that has no sandbox afterwards was removed with it, whereas
        // a sandbox without its containers is only a moment old.
        let containers = self.0.call(ListContainersRequest { filter: None }, LIST)?;
        let sandboxes = self.0.call(ListPodSandboxRequest {}, LIST)?;
        Ok(join(sandboxes.items, containers.containers))
    }

    /// The exit code of a container that has ended; `None` while it has not.
    ///
    /// # Errors
    /// If the runtime does not say, or does not know the container.
    pub fn exit_code(&mut self, container: &str) -> Result<Option<i32>> {
        let container_id = container.to_owned();
        let answer = self.0.call(ContainerStatusRequest { container_id }, LIST)?;
        let status = answer
            .status
            .context("the container runtime tells no status")?;
        Ok((status.state == CONTAINER_EXITED).then_some(status.exit_code))
    }

    /// Ends a sandbox: its containers get SIGTERM, after `grace` SIGKILL, all at the same time; then the
    /// sandbox itself goes. One that has ended already, or is not there, is fine.
    ///
    /// The kubelet, where it wants the pod, starts it again: this is for pods that it has forgotten.
    ///
    /// # Errors
    /// If the runtime refuses or takes too long; the sandbox may run then.
    pub fn end(&mut self, sandbox: &str, grace: Duration) -> Result<()> {
        let cannot = || format!("cannot end the sandbox {sandbox}");
        let filter = Some(ContainerFilter {
            pod_sandbox_id: sandbox.to_owned(),
        });
        let listed = self.0.call(ListContainersRequest { filter }, LIST);
        let containers = listed.with_context(cannot)?.containers;
        let orders = orders_to_stop(containers, grace);
        match self.0.calls(&orders, grace + END) {
            Err(failure) if !failure.is_not_found() => return Err(failure).with_context(cannot),
            _ => {}
        }
        let pod_sandbox_id = sandbox.to_owned();
        match self.0.call(StopPodSandboxRequest { pod_sandbox_id }, END) {
            Err(failure) if !failure.is_not_found() => Err(failure).with_context(cannot),
            _ => Ok(()),
        }
    }
}

fn may_run(state: i32) -> bool {
    matches!(state, CONTAINER_RUNNING | CONTAINER_UNKNOWN)
}

fn orders_to_stop(
    containers: Vec<messages::Container>,
    grace: Duration,
) -> Vec<StopContainerRequest> {
    let seconds = grace.as_millis().div_ceil(1000);
    let timeout = i64::try_from(seconds).unwrap_or(i64::MAX);
    let running = containers.into_iter().filter(|one| may_run(one.state));
    running
        .map(|container| StopContainerRequest {
            container_id: container.id,
            timeout,
        })
        .collect()
}

/// Gives every sandbox its containers.
fn join(sandboxes: Vec<PodSandbox>, containers: Vec<messages::Container>) -> Vec<Sandbox> {
    let mut of: BTreeMap<String, Vec<Container>> = BTreeMap::new();
    for container in containers {
        let metadata = container.metadata.unwrap_or_default();
        of.entry(container.pod_sandbox_id)
            .or_default()
            .push(Container {
                id: container.id,
                name: metadata.name,
                running: may_run(container.state),
                attempt: metadata.attempt,
                created_at: container.created_at,
            });
    }
    let joined = sandboxes.into_iter().map(|sandbox| {
        let metadata = sandbox.metadata.unwrap_or_default();
        let mut containers = of.remove(&sandbox.id).unwrap_or_default();
        containers.sort_by_key(|container| container.created_at);
        Sandbox {
            id: sandbox.id,
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            annotations: sandbox.annotations,
            ready: sandbox.state == SANDBOX_READY,
            containers,
        }
    });
    joined.collect()
}

#[cfg(test)]
mod tests;
