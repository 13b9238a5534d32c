//! Where Debian packages come from: the archives that this machine's own apt is configured for.

use crate::process;
use anyhow::{Context, Result};
use std::process::Command;

/// Debian's archive keys, on every Debian machine.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One-line apt sources for `release`, its updates and its security updates. All three: the release
/// alone carries the kernel of the last point release, without later security fixes.
pub fn sources(release: &str) -> Result<[String; 3]> {
    let archive = site("Debian")?;
    let security = site("Debian-Security")?;
    let line = |site: &str, suite: &str| format!("deb [signed-by={KEYRING}] {site} {suite} main");
    Ok([
        line(&archive, release),
        line(&archive, &format!("{release}-updates")),
        line(&security, &format!("{release}-security")),
    ])
}

/// The address of the archive that calls itself `label` in its Release file.
fn site(label: &str) -> Result<String> {
    let listed = process::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(SITE)",
        "Origin: Debian",
        &format!("Label: {label}"),
    ]))?;
    let site = listed.lines().next().with_context(|| {
        format!("apt knows no archive labelled {label}: add Debian's archives to /etc/apt/sources.list.d and run apt-get update")
    })?;
    Ok(site.to_owned())
}
