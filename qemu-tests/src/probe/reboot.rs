//! How long a machine took to be itself again.

use serde::{Deserialize, Serialize};

use super::{Report, Series};

/// How this machine's own door begins; the other one is the node's address.
const LOOPBACK: &str = "127.0.0.1:";
/// The workload that the cluster waits for.
const APISERVER: &str = "kube-apiserver";

/// Seconds since the kubelet was started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reboot {
    /// Until every user who asks was answered at the loopback door: by a checkpoint, if there is one.
    pub api_s: f64,
    /// Until they were at the node's address, that is, by the self-hosted API server.
    pub node_address_s: f64,
    /// Until the self-hosted API server's pod was Ready.
    pub apiserver_ready_s: f64,
    /// Until somebody had taken the last of the Leases.
    pub leaders_s: f64,
    /// How long static pods stood that are there no more, by their files' names.
    pub temporary_pods: Vec<Temporary>,
}

/// A static pod's file that came and went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Temporary {
    /// Its name in the folder.
    pub file: String,
    /// When it was noticed, since the kubelet's start.
    pub from_s: f64,
    /// When it was gone.
    pub to_s: f64,
}

impl Reboot {
    /// What a prober saw that began no later than the kubelet, which was started at `since`; or what it
    /// did not see.
    pub fn of(report: &Report, since: f64) -> Result<Self, &'static str> {
        let after = |at: Option<f64>, what| at.map(|at| hundredths(at - since)).ok_or(what);
        let is_loopback = |series: &Series| series.door.starts_with(LOOPBACK);
        let door = |loopback| {
            report
                .series
                .iter()
                .filter(move |one| is_loopback(one) == loopback)
        };
        Ok(Self {
            api_s: after(answered(door(true)), "an answer at the loopback door")?,
            node_address_s: after(answered(door(false)), "an answer at the node's address")?,
            apiserver_ready_s: after(apiserver_ready(report, since), "the API server's pod Ready")?,
            leaders_s: after(last_leader(report, since), "new holders of all Leases")?,
            temporary_pods: temporary(report, since),
        })
    }
}

/// When the last of several users was answered; `None` while one of them was not.
fn answered<'a>(series: impl Iterator<Item = &'a Series>) -> Option<f64> {
    last(series.map(|one| one.first_success))
}

fn last_leader(report: &Report, since: f64) -> Option<f64> {
    last(report.leases.iter().map(|lease| lease.taken_after(since)))
}

/// The latest moment of all; `None` if there is none, or one has not come.
fn last(mut moments: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let first = moments.next()??;
    moments.try_fold(first, |latest, one| Some(latest.max(one?)))
}

/// A container's start is known to the second, so it is compared with the second of the kubelet's.
fn apiserver_ready(report: &Report, since: f64) -> Option<f64> {
    let pods = report.ready_pods.iter();
    pods.filter(|pod| pod.workload == APISERVER && pod.started >= since.floor())
        .map(|pod| pod.ready)
        .reduce(f64::min)
}

fn temporary(report: &Report, since: f64) -> Vec<Temporary> {
    let gone = report.manifests.iter().filter_map(|manifest| {
        Some(Temporary {
            file: manifest.name.clone(),
            from_s: hundredths(manifest.seen - since),
            to_s: hundredths(manifest.removed? - since),
        })
    });
    gone.collect()
}

/// No moment is known better.
fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Lease, Manifest, ReadyPod};

    fn series(door: &str, first_success: Option<f64>) -> Series {
        Series {
            first_success,
            ..Series::new("admin", door)
        }
    }

    fn pod(started: f64, ready: f64) -> ReadyPod {
        ReadyPod {
            workload: APISERVER.into(),
            uid: "u".into(),
            started,
            ready,
        }
    }

    fn seen() -> Report {
        let mut lease = Lease::new("kube-scheduler");
        lease.see(107.5, "old", Some(50.0), 120.0);
        lease.see(112.0, "new", Some(111.5), 120.0);
        Report {
            series: vec![
                series("127.0.0.1:6443", Some(106.0)),
                series("127.0.0.1:6443", Some(107.5)),
                series("10.0.2.15:6443", Some(109.0)),
            ],
            leases: vec![lease],
            ready_pods: vec![pod(60.0, 107.5), pod(108.0, 111.0)],
            manifests: vec![
                Manifest {
                    name: "etcd.yaml".into(),
                    seen: 100.0,
                    removed: None,
                },
                Manifest {
                    name: "kube-system-kube-apiserver-x.json".into(),
                    seen: 101.5,
                    removed: Some(115.5),
                },
            ],
            ..Report::default()
        }
    }

    #[test]
    fn what_is_left_from_before_does_not_count() {
        let reboot = Reboot::of(&seen(), 100.5).unwrap();
        assert_eq!((reboot.api_s, reboot.node_address_s), (7.0, 8.5));
        assert_eq!((reboot.apiserver_ready_s, reboot.leaders_s), (10.5, 11.0));
        let [temporary] = &reboot.temporary_pods[..] else {
            panic!("{:?}", reboot.temporary_pods)
        };
        assert_eq!((temporary.from_s, temporary.to_s), (1.0, 15.0));
    }

    #[test]
    fn what_was_not_seen_is_named() {
        let mut report = seen();
        report.leases.push(Lease::new("kube-controller-manager"));
        assert_eq!(Reboot::of(&report, 100.5), Err("new holders of all Leases"));
        report.series[1].first_success = None;
        let error = Reboot::of(&report, 100.5).unwrap_err();
        assert_eq!(error, "an answer at the loopback door");
    }
}
