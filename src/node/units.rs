//! Telling systemd about this node's units.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// The kubelet's unit.
pub const KUBELET: &str = "kubelet.service";
/// The unit that keeps checkpoints.
pub const CHECKPOINT: &str = "slipway-checkpoint.service";

/// Runs `systemctl VERB UNIT`.
///
/// # Errors
/// If it cannot be run, or with what it says.
pub fn systemctl(verb: &str, unit: &str) -> Result<()> {
    let output = Command::new("systemctl")
        .args([verb, unit])
        .output()
        .with_context(|| {
            format!("cannot run systemctl; {verb} {unit} yourself, then run this again")
        })?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("`systemctl {verb} {unit}` failed: {}", why.trim());
    }
    Ok(())
}
