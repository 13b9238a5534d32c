//! What a prober saw: the report, and the arithmetic that makes it from single observations.
//!
//! The prober is a program apart from slipway, because what is judged must not judge itself. It
//! writes down what happened and leaves the verdict to whoever reads the report. Times are seconds
//! since 1970 with fractions, as in slipway's journal, so that both can be laid side by side.

mod lease;
mod moment;
mod reboot;
mod series;

use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

pub use lease::{Holding, Lease};
pub use moment::seconds;
pub use reboot::Reboot;
pub use series::{Failure, Kind, Request, Series};

/// Everything that one prober saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// One for each user and door.
    pub series: Vec<Series>,
    /// The Leases of the controller-manager and the scheduler.
    pub leases: Vec<Lease>,
    /// EndpointSlice default/kubernetes.
    pub endpoints: Endpoints,
    /// Moments at which the last of the self-hosted control plane's workloads became Ready.
    pub ready: Vec<f64>,
    /// Their pods that were seen Ready, one entry a start of a pod's container.
    #[serde(default)]
    pub ready_pods: Vec<ReadyPod>,
    /// Control-plane processes of this machine.
    pub processes: Vec<Process>,
    /// Files of the manifest folder.
    pub manifests: Vec<Manifest>,
}

/// What became of EndpointSlice default/kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Endpoints {
    /// When it first held an address.
    pub filled: Option<f64>,
    /// When it held none after it had held one.
    pub emptied: Vec<f64>,
    /// Whether it holds one now.
    pub full: bool,
}

impl Endpoints {
    /// Notes how many addresses it holds.
    pub fn see(&mut self, at: f64, addresses: usize) {
        let full = addresses > 0;
        if full && self.filled.is_none() {
            self.filled = Some(at);
        }
        if !full && self.full {
            self.emptied.push(at);
        }
        self.full = full;
    }
}

/// A pod of the self-hosted control plane that was seen Ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadyPod {
    /// Its workload, e.g. `kube-apiserver`.
    pub workload: String,
    /// `metadata.uid`.
    pub uid: String,
    /// When its container was started, to the second: after a reboot the API has the old word at first.
    pub started: f64,
    /// When the prober first saw it Ready with that container.
    pub ready: f64,
}

/// A control-plane process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// The program, e.g. `kube-apiserver`.
    pub name: String,
    /// Process id.
    pub pid: i32,
    /// The value of `--bind-address`, if it was given one.
    pub bind_address: Option<String>,
    /// When the prober noticed it.
    pub seen: f64,
    /// When it was gone.
    pub ended: Option<f64>,
}

/// A static pod's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name in the folder.
    pub name: String,
    /// When the prober noticed it.
    pub seen: f64,
    /// When it was gone.
    pub removed: Option<f64>,
}

impl Report {
    /// The longest gap between two successes on any one series, in milliseconds.
    pub fn longest_gap_ms(&self) -> f64 {
        self.series
            .iter()
            .map(|series| series.longest_gap_ms)
            .fold(0.0, f64::max)
    }

    /// Failed requests of all series.
    pub fn failures(&self) -> impl Iterator<Item = (&Series, &Failure)> {
        self.series
            .iter()
            .flat_map(|series| series.failures.iter().map(move |one| (series, one)))
    }

    /// The longest time without a holder of any one Lease, in milliseconds.
    pub fn longest_vacancy_ms(&self) -> f64 {
        self.leases
            .iter()
            .map(|lease| lease.longest_vacancy_ms)
            .fold(0.0, f64::max)
    }

    /// From the removal of the bootstrap apiserver's manifest to its exit, in seconds; `None` until
    /// both have been seen. It is the one of its kind that binds loopback only.
    pub fn bootstrap_exit_s(&self) -> Option<f64> {
        let process = self.processes.iter().find(|process| {
            process.name == "kube-apiserver" && process.bind_address.as_deref() == Some("127.0.0.1")
        })?;
        Some(process.ended? - self.bootstrap_removed()?)
    }

    /// When the bootstrap apiserver's manifest was removed.
    pub fn bootstrap_removed(&self) -> Option<f64> {
        let is_it = |manifest: &&Manifest| manifest.name.starts_with("bootstrap-apiserver");
        self.manifests.iter().find(is_it)?.removed
    }

    /// When the last required workload became Ready for good: the last such moment before the
    /// bootstrap apiserver's manifest was removed.
    pub fn all_ready(&self) -> Option<f64> {
        let removed = self.bootstrap_removed()?;
        self.ready
            .iter()
            .copied()
            .filter(|&at| at <= removed)
            .reduce(f64::max)
    }
}

/// Now, in seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_empty_only_after_they_were_filled() {
        let mut endpoints = Endpoints::default();
        for (at, addresses) in [(1.0, 0), (2.0, 1), (3.0, 0), (4.0, 0), (5.0, 1)] {
            endpoints.see(at, addresses);
        }
        assert_eq!(endpoints.filled, Some(2.0));
        assert_eq!(endpoints.emptied, [3.0]);
        assert!(endpoints.full);
    }

    #[test]
    fn the_bootstrap_apiserver_is_the_one_on_loopback() {
        let process = |bind: &str, ended| Process {
            name: "kube-apiserver".into(),
            pid: 1,
            bind_address: Some(bind.into()),
            seen: 0.0,
            ended,
        };
        let removed = Some(10.0);
        let report = Report {
            processes: vec![process("0.0.0.0", None), process("127.0.0.1", Some(16.5))],
            manifests: vec![Manifest {
                name: "bootstrap-apiserver.yaml".into(),
                seen: 1.0,
                removed,
            }],
            ready: vec![7.0, 9.0, 12.0],
            ..Report::default()
        };
        assert_eq!(report.bootstrap_exit_s(), Some(6.5));
        assert_eq!(report.all_ready(), Some(9.0));
    }
}
