//! What the API says about itself: Leases, endpoints, Ready workloads.
//!
//! Polled rather than watched: a watch breaks in the handover, and what happens while it is set up
//! again is what matters here.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use qemu_tests::probe::{Lease, ReadyPod, Report, now, seconds};
use serde_json::Value;
use slipway::kube::{Client, Error, Options, kubeconfig};

use crate::Notes;

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
const SLICE: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
const PODS: &str = "/api/v1/namespaces/kube-system/pods";

/// The Leases that are watched, named like the programs that hold them.
const LEADERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];
/// Owners of the workloads that have to be Ready: kind, and name or the start of it.
const REQUIRED: [(&str, &str); 3] = [
    ("DaemonSet", "kube-apiserver"),
    ("ReplicaSet", "kube-controller-manager-"),
    ("ReplicaSet", "kube-scheduler-"),
];

/// Starts watching, a look every `pause`.
pub fn start(
    config: &Path,
    door: Option<SocketAddr>,
    pause: Duration,
    notes: &Notes,
) -> Result<()> {
    let options = Options {
        connect_to: door,
        timeout: Duration::from_secs(5),
        user_agent: "prober-observer".into(),
        retry: false,
        ..Options::default()
    };
    let client = Client::new(&kubeconfig::load(config)?, options)?;
    notes.lock().leases = LEADERS.map(Lease::new).to_vec();
    let notes = notes.clone();
    std::thread::spawn(move || {
        let mut ready = false;
        loop {
            // A request that fails says nothing about what it asked for; the series count failures.
            let _ = leases(&client, &notes);
            let _ = endpoints(&client, &notes);
            if let Ok(pods) = client.list(PODS) {
                ready = see_pods(&mut notes.lock(), &pods.items, ready);
            }
            std::thread::sleep(pause);
        }
    });
    Ok(())
}

fn leases(client: &Client, notes: &Notes) -> Result<(), Error> {
    let list = client.list(LEASES)?;
    let mut report = notes.lock();
    for object in &list.items {
        let Report { leases, .. } = &mut *report;
        if let Some(lease) = leases
            .iter_mut()
            .find(|lease| object["metadata"]["name"] == lease.name)
        {
            let spec = &object["spec"];
            lease.see(
                now(),
                spec["holderIdentity"].as_str().unwrap_or_default(),
                spec["acquireTime"].as_str().and_then(seconds),
                expires(spec),
            );
        }
    }
    Ok(())
}

/// When a Lease ends unless it is renewed; one without times never does.
fn expires(spec: &Value) -> f64 {
    let renewed = spec["renewTime"].as_str().and_then(seconds);
    let duration = spec["leaseDurationSeconds"].as_f64();
    renewed
        .zip(duration)
        .map_or(f64::INFINITY, |(renewed, duration)| renewed + duration)
}

fn endpoints(client: &Client, notes: &Notes) -> Result<(), Error> {
    let addresses = match client.get(SLICE) {
        Ok(slice) => slice["endpoints"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|endpoint| {
                endpoint["conditions"]["ready"] != false
                    && endpoint["addresses"]
                        .as_array()
                        .is_some_and(|all| !all.is_empty())
            })
            .count(),
        Err(error) if error.is_not_found() => 0,
        Err(error) => return Err(error),
    };
    notes.lock().endpoints.see(now(), addresses);
    Ok(())
}

/// Notes which pods of the control plane are Ready, and whether all workloads are, as they were before.
fn see_pods(report: &mut Report, pods: &[Value], were_ready: bool) -> bool {
    let at = now();
    let found = REQUIRED.map(|owner| {
        let ready = pods
            .iter()
            .filter(|pod| is_owned(pod, owner) && is_ready(pod));
        let ready: Vec<_> = ready.map(|pod| ready_pod(pod, owner.1, at)).collect();
        let is_one = !ready.is_empty();
        for pod in ready.into_iter().flatten() {
            let known = &mut report.ready_pods;
            if !known
                .iter()
                .any(|one| (&one.uid, one.started) == (&pod.uid, pod.started))
            {
                known.push(pod);
            }
        }
        is_one
    });
    let are_ready = found.into_iter().all(|is_one| is_one);
    if are_ready && !were_ready {
        report.ready.push(at);
    }
    are_ready
}

/// A Ready pod whose container runs by the API's word.
fn ready_pod(pod: &Value, owner: &str, ready: f64) -> Option<ReadyPod> {
    let started = &pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"];
    Some(ReadyPod {
        workload: owner.trim_end_matches('-').to_owned(),
        uid: pod["metadata"]["uid"].as_str()?.to_owned(),
        started: started.as_str().and_then(seconds)?,
        ready,
    })
}

fn is_owned(pod: &Value, (kind, name): (&str, &str)) -> bool {
    let owner = &pod["metadata"]["ownerReferences"][0];
    owner["kind"] == kind
        && owner["name"]
            .as_str()
            .is_some_and(|owner| owner.starts_with(name))
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    pod["metadata"]["deletionTimestamp"].is_null()
        && conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_noted_once_for_every_start_of_its_container() {
        let pod = |owner: (&str, &str), started: &str| {
            serde_json::json!({
                "metadata": {"uid": owner.1, "ownerReferences": [{"kind": owner.0, "name": owner.1}]},
                "status": {
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "containerStatuses": [{"state": {"running": {"startedAt": started}}}]
                }
            })
        };
        let mut report = Report::default();
        let first = REQUIRED.map(|owner| pod(owner, "1970-01-01T00:00:05Z"));
        let ready = see_pods(&mut report, &first[..2], false);
        assert!(!ready);
        assert!(see_pods(&mut report, &first, false) && see_pods(&mut report, &first, true));
        assert_eq!((report.ready.len(), report.ready_pods.len()), (1, 3));
        see_pods(
            &mut report,
            &[pod(REQUIRED[0], "1970-01-01T00:00:09Z")],
            true,
        );
        let last = report.ready_pods.last().unwrap();
        assert_eq!((&*last.workload, last.started), ("kube-apiserver", 9.0));
    }

    #[test]
    fn a_pod_that_is_going_is_not_ready() {
        let mut pod = serde_json::json!({
            "metadata": {"ownerReferences": [{"kind": "ReplicaSet", "name": "kube-scheduler-7d"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}
        });
        assert!(is_ready(&pod) && is_owned(&pod, REQUIRED[2]) && !is_owned(&pod, REQUIRED[0]));
        pod["metadata"]["deletionTimestamp"] = "2026-11-23T06:48:22Z".into();
        assert!(!is_ready(&pod));
    }
}
