//! The pods that this kubelet knows, by its PodResources service. What it says and when was read in
//! Kubernetes 1.37.2 (pkg/kubelet: kubelet.go, kubelet_pods.go, kubelet_getters.go, config/apiserver.go,
//! apis/podresources, apis/grpc/ratelimit.go; cmd/kubelet/app/server.go):
//!
//! * The service is started with the kubelet's own loop and waits for nothing: neither for the API nor for
//!   the node's registration. Its feature gate is locked on since 1.36; in 1.34 and 1.35 it is on unless it
//!   was turned off. The socket is root's, made anew at every start.
//! * `List` gives the pod manager's pods: those that a source of configuration has told this process of.
//!   Nothing is kept on disk, so a kubelet that was restarted lists only what it has read since. As long as
//!   the container runtime has not answered it, it takes in no source at all, and the list is empty.
//! * Static pods come from their folder at once; API pods only after the node itself was read from the
//!   API (`nodeHasSynced`) and the first list of pods arrived. Mirror pods are left out: a static pod is
//!   listed once, as `NAME-NODE`. So a listed pod that is not static proves that this kubelet has read the
//!   API since it started, and wants that pod. None listed proves nothing.
//! * Pods that ended are left out (1.34 and later): phase Succeeded or Failed, refused on admission, or
//!   known to be fully terminated. A pod that is being deleted stays until its containers have ended; one
//!   deleted without grace, or whose static manifest is gone, leaves the list while its containers may
//!   still run. The runtime knows better.
//! * Requests are limited to 100 a second in bursts of 10, over all who ask: beyond that the answer is
//!   ResourceExhausted.
//!
//! `List` also gathers the pods' devices, CPUs and memory, under the device manager's lock: nothing to ask
//! for every second.

use std::path::Path;

use anyhow::Result;

use super::LIST;
use super::call::{Caller, Server};
use super::messages::ListPodResourcesRequest;

const KUBELET: Server = Server {
    name: "the kubelet",
    next_step: "does it run? see `journalctl -u kubelet`",
};

/// Namespace and name of every pod that the kubelet behind this socket knows and has not seen end. Asked
/// seldom, over a connection of its own.
///
/// # Errors
/// If it does not answer: what it knows is unknown then.
pub fn kubelet_pods(socket: &Path) -> Result<Vec<(String, String)>> {
    let known = Caller::new(&KUBELET, socket).call(ListPodResourcesRequest {}, LIST)?;
    let pods = known.pod_resources.into_iter();
    Ok(pods.map(|pod| (pod.namespace, pod.name)).collect())
}
