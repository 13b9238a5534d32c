//! What the control plane's own door says of who leads, and of who was heard.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use qemu_tests::probe::seconds;
use serde_json::Value;

use super::seen;
use crate::scenarios::cluster::Inside;
use crate::scenarios::{Kubectl as _, cluster};
use crate::wait;

/// A leader that ends for want of an API has its Lease for a minute, and nobody follows it for some more.
const PATIENCE: Duration = Duration::from_secs(180);
const MANAGER: &str =
    "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager";
const HEARTBEATS: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

impl Inside<'_> {
    /// Since when somebody leads who took the controller-manager's Lease after `moment`.
    pub fn leads_since(&self, moment: f64) -> Result<f64> {
        wait::until("leader", PATIENCE, || {
            let spec = &self.get(MANAGER)?["spec"];
            let since = time(&spec["acquireTime"])?;
            let holder = spec["holderIdentity"].as_str().unwrap_or_default();
            ensure!(
                since >= moment && !holder.is_empty(),
                "{holder:?} leads since {since}"
            );
            Ok(since)
        })
    }

    /// When each worker was heard last.
    pub fn reports(&self) -> Result<Vec<f64>> {
        let leases = self.list(HEARTBEATS)?;
        let theirs = leases
            .iter()
            .filter(|lease| cluster::name(lease).starts_with(seen::WORKERS));
        let reports = theirs.map(|lease| time(&lease["spec"]["renewTime"]));
        reports.collect()
    }

    /// Waits until every worker was heard at `moment` or later.
    pub fn reported_since(&self, moment: f64) -> Result<Vec<f64>> {
        wait::until("reports of the workers", PATIENCE, || {
            let reports = self.reports()?;
            let silent = reports.iter().find(|&&at| at < moment);
            ensure!(
                reports.len() == 2 && silent.is_none(),
                "they were heard at {reports:?}, not since {moment}"
            );
            Ok(reports)
        })
    }

    /// When each worker that is called dead was called so.
    pub fn called_dead(&self) -> Result<Vec<f64>> {
        let nodes = self.list("/api/v1/nodes")?;
        let conditions = nodes
            .iter()
            .flat_map(|node| node["status"]["conditions"].as_array());
        let dead = conditions
            .flatten()
            .filter(|one| one["type"] == "Ready" && one["status"] == "Unknown");
        dead.map(|one| time(&one["lastTransitionTime"])).collect()
    }
}

/// A time of the API in seconds since 1970.
fn time(value: &Value) -> Result<f64> {
    let seconds = value.as_str().and_then(seconds);
    seconds.with_context(|| format!("{value} is no time"))
}
