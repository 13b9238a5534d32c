//! A launched node comes back after a power cut, watched from the moment its kubelet is started.

use anyhow::{Result, anyhow};
use qemu_tests::probe::{self, Reboot};

use super::launch;
use super::native::Node;
use super::process::Program;
use super::services;
use crate::scenarios::reboot::{self, Host};

/// Cuts the power, starts everything as the image's units do, waits until the cluster is what it was, and
/// says how long that took. What a "reboot" of this tier leaves behind that a real one does not, control
/// groups, goes with the power cut.
pub fn after_power_cut(node: &mut Node) -> Result<Reboot> {
    let before = reboot::identities(node)?;
    boot_again(node)?;
    services::start_before_kubelet(node)?;
    let prober = launch::probe(node)?;
    let since = probe::now();
    services::start_kubelet(node)?;
    let back = reboot::is_back(node, &before, since);
    // Its report is kept beside the logs, so it is asked for in any case.
    let report = launch::end_probe(node, prober);
    back?;
    Reboot::of(&report?, since).map_err(|unseen| anyhow!("the prober did not see {unseen}"))
}

/// Cuts the power and boots, up to where the image's units start containerd and the rest.
pub fn boot_again(node: &mut Node) -> Result<()> {
    node.power_cut()?;
    node.boot()?;
    node.run(&Program::new(["slipway", "render"]))?.success()?;
    Ok(())
}

impl Host for Node {
    fn shell(&mut self, line: &str) -> Result<String> {
        self.run(&Program::new(["sh", "-c", line]))?.success()
    }
}
