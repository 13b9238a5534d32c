//! This node's kubelet: whether it has to be told, and telling it.
//!
//! It renews its own certificates and reads its clients' authority anew when the file changes
//! (pkg/kubelet/certificate, dynamiccertificates). The certificate that `render` made for it is where it
//! starts from: it is read again only at a start, and only if the kubelet's own has expired.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Options;
use crate::kube::Client;
use crate::report::Reporter;
use crate::start::ready::seconds;
use crate::start::wait::{Look, Wait, until};

/// A kubelet renews its Lease every 10 s; the node counts as lost after 40.
const SILENT: i64 = 40;

/// Restarts the kubelet if it has lost the API server, as one does whose certificate expired, and waits
/// until it is back.
pub fn revive(options: &Options<'_>, client: &Client, reporter: &mut Reporter) -> Result<()> {
    let since = SystemTime::now();
    if renewed(client, options)?.is_some_and(|at| epoch(since) - at < SILENT) {
        return Ok(());
    }
    restart(&options.root, reporter)?;
    await_lease(options, client, since, reporter)
}

/// Restarts the kubelet.
pub fn restart(root: &Path, reporter: &mut Reporter) -> Result<()> {
    if root != Path::new("/") {
        reporter.line("the kubelet of another root is not ours to restart: run `systemctl restart kubelet` there");
        return Ok(());
    }
    reporter.line("the kubelet restarts");
    let mut command = Command::new("systemctl");
    let output = command.args(["restart", "kubelet.service"]).output();
    let output =
        output.context("cannot run systemctl; restart the kubelet, then run this again")?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("`systemctl restart kubelet.service` failed: {}", why.trim());
    }
    Ok(())
}

/// Waits until the kubelet has renewed its Lease after `since`: it runs, trusts and is trusted.
pub fn await_lease(
    options: &Options<'_>,
    client: &Client,
    since: SystemTime,
    reporter: &mut Reporter,
) -> Result<()> {
    let wait = Wait {
        what: "the kubelet renews its Lease",
        deadline: Instant::now() + options.machine.timeouts.handover,
        every: Duration::from_millis(500),
        changes: None,
        next_step: "see journalctl -u kubelet, then run this again",
    };
    until(reporter, wait, |_| {
        Ok(match renewed(client, options) {
            Ok(Some(at)) if at > epoch(since) => Look::There(()),
            Ok(_) => Look::NotYet("not since its restart".to_owned()),
            Err(error) => Look::NotYet(format!("{error:#}")),
        })
    })
}

/// When the kubelet last renewed its Lease, in seconds since 1970; `None` for a node that has none.
fn renewed(client: &Client, options: &Options<'_>) -> Result<Option<i64>> {
    let name = &options.machine.node.name;
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}");
    match client.get(&path) {
        Ok(lease) => Ok(renew_time(&lease)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error).context("cannot read the kubelet's Lease"),
    }
}

fn renew_time(lease: &Value) -> Option<i64> {
    seconds(&lease["spec"]["renewTime"])
}

fn epoch(at: SystemTime) -> i64 {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    since.as_secs().try_into().unwrap_or(i64::MAX)
}
