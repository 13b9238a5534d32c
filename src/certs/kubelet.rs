//! This node's kubelet: whether it has to be told, and telling it.
//!
//! It renews its own certificates and reads its clients' authority anew when the file changes
//! (pkg/kubelet/certificate, dynamiccertificates). The certificate that `render` made for it is where it
//! starts from: it is read again only at a start, and only if the kubelet's own has expired.
//! Where somebody else signs it has none of its own, and reads the rendered ones again while it runs.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};

use super::Options;
use crate::kube::Client;
use crate::node::{files, units};
use crate::report::Reporter;
use crate::start::nodes::{LEASES, SILENT};
use crate::start::ready::{epoch, seconds};
use crate::start::wait::{Look, Wait, until};

/// Where the kubelet keeps what it was issued, and how those files begin.
pub const OWN: &str = "/var/lib/kubelet/pki";
const OWN_FILES: [&str; 2] = ["kubelet-client-", "kubelet-server-"];

/// Restarts the kubelet if it has lost the API server, as one does whose certificate expired, and waits
/// until it is back.
pub fn revive(options: &Options<'_>, client: &Client, reporter: &mut Reporter) -> Result<()> {
    match is_lost(options, client)? {
        true => restart(options, client, false, reporter),
        false => Ok(()),
    }
}

/// Whether the kubelet has stopped renewing its Lease.
pub fn is_lost(options: &Options<'_>, client: &Client) -> Result<bool> {
    let silent = |at| epoch(SystemTime::now()) - at >= SILENT.as_secs().cast_signed();
    Ok(renewed(client, options)?.is_none_or(silent))
}

/// Restarts the kubelet and waits until it is back: it runs, trusts and is trusted. A `fresh` one has lost
/// what it was issued, so it begins with what was rendered for it and asks for the rest anew.
pub fn restart(
    options: &Options<'_>,
    client: &Client,
    fresh: bool,
    reporter: &mut Reporter,
) -> Result<()> {
    if options.root != Path::new("/") {
        reporter.line("the kubelet of another root is not ours to restart: do it there");
        return Ok(());
    }
    if fresh {
        forget(Path::new(OWN))?;
    }
    reporter.line("the kubelet restarts");
    units::systemctl("restart", units::KUBELET)?;
    await_lease(options, client, epoch(SystemTime::now()), reporter)
}

/// Removes what the kubelet was issued; what goes on running has it in memory.
fn forget(folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("cannot read {}", folder.display()))?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if OWN_FILES.iter().any(|start| text.starts_with(start)) {
            files::remove(&folder.join(name))?;
        }
    }
    Ok(())
}

/// Waits until the kubelet has renewed its Lease after `since`.
fn await_lease(
    options: &Options<'_>,
    client: &Client,
    since: i64,
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
            Ok(Some(at)) if at >= since => Look::There(()),
            Ok(_) => Look::NotYet("not since its restart".to_owned()),
            Err(error) => Look::NotYet(format!("{error:#}")),
        })
    })
}

/// When the kubelet last renewed its Lease, in seconds since 1970; `None` for a node that has none.
fn renewed(client: &Client, options: &Options<'_>) -> Result<Option<i64>> {
    let name = &options.machine.node.name;
    let lease = client
        .find(&format!("{LEASES}/{name}"))
        .context("cannot read the kubelet's Lease")?;
    Ok(lease.and_then(|lease| seconds(&lease["spec"]["renewTime"])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_kubelet_has_lost_what_it_was_issued_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        for name in ["kubelet-client-2026-11-25-10-00-00.pem", "kubelet.key"] {
            fs::write(file(name), "x").unwrap();
        }
        let current = file("kubelet-client-current.pem");
        std::os::unix::fs::symlink(file("kubelet-client-2026-11-25-10-00-00.pem"), current)
            .unwrap();
        forget(dir.path()).unwrap();
        forget(&file("nowhere")).unwrap();
        let left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["kubelet.key"]);
    }
}
