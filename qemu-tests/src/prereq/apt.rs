//! Debian packages. What is installed is read from dpkg, without network; only a missing package
//! makes apt refresh its lists.

use crate::process;
use crate::progress::{self, Log};
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::Command;

/// QEMU 7.2, bookworm's, corrupts flags after cmpxchg16b: Linux 6.12 guests crash at random.
const OLDEST_QEMU: u32 = 10;
const QEMU: &str = "qemu-system-x86";
/// Debian's archive keys, on every Debian machine.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// The sources file that [`emulator`] may write.
const BACKPORTS: &str = "/etc/apt/sources.list.d/slipway-backports.sources";

/// Installs those of `packages` that are missing.
pub fn ensure(packages: &[&str]) -> Result<()> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    progress::step("install packages", |log| {
        log.line(&format!("missing: {}", missing.join(" ")));
        update(log)?;
        install(&missing, None, log)
    })
    .with_context(|| format!("cannot install {}", missing.join(", ")))
}

/// Makes sure that apt has read its archives once; where packages come from is told by their lists.
pub fn lists() -> Result<()> {
    if !targets()?.is_empty() {
        return Ok(());
    }
    progress::step("read package lists", update)
}

/// Installs QEMU if it is missing or too old, from backports where the release's own is too old.
pub fn emulator() -> Result<()> {
    let present = process::output(Command::new("qemu-system-x86_64").arg("--version"));
    if present.is_ok_and(|text| qemu_major(&text).is_some_and(|major| major >= OLDEST_QEMU)) {
        return Ok(());
    }
    progress::step("install QEMU", |log| {
        update(log)?;
        if candidate_major(QEMU)?.is_some_and(|major| major >= OLDEST_QEMU) {
            return install(&[QEMU], None, log);
        }
        let suite = add_backports()?;
        update(log)?;
        install(&[QEMU], Some(&suite), log)
    })
    .with_context(|| format!("cannot install QEMU {OLDEST_QEMU} or later"))
}

fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    // dpkg-query fails when it does not know one of the names, yet prints the others.
    let listed = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(packages)
        .output()
        .context("cannot start dpkg-query: this needs a Debian machine")?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let installed = |name: &str| {
        listed
            .lines()
            .any(|line| line == format!("{name} installed"))
    };
    Ok(packages
        .iter()
        .copied()
        .filter(|name| !installed(name))
        .collect())
}

fn update(log: &Log) -> Result<()> {
    process::run(apt().args(["update", "-q"]), log)
}

fn install(packages: &[&str], suite: Option<&str>, log: &Log) -> Result<()> {
    let mut command = apt();
    command.args(["install", "-y", "-q", "--no-install-recommends"]);
    if let Some(suite) = suite {
        command.args(["-t", suite]);
    }
    process::run(command.args(packages), log)
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// (codename, address) of each archive that this machine's apt has read.
fn targets() -> Result<Vec<(String, String)>> {
    let text = process::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(CODENAME) $(REPO_URI)",
        "Created-By: Packages",
        "Origin: Debian",
    ]))?;
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    Ok(lines
        .map(|(codename, address)| (codename.to_owned(), address.to_owned()))
        .collect())
}

/// Makes the release's backports known to apt, from the archive its packages already come from,
/// and returns the suite's name.
fn add_backports() -> Result<String> {
    let codename = codename(&fs::read_to_string("/etc/os-release")?)
        .context("/etc/os-release has no VERSION_CODENAME")?;
    let suite = format!("{codename}-backports");
    let known = targets()?;
    if known.iter().any(|(name, _)| *name == suite) {
        return Ok(suite);
    }
    let Some((_, address)) = known.iter().find(|(name, _)| *name == codename) else {
        bail!("apt has no source for {codename}: add Debian's archive to its sources");
    };
    let text = format!(
        "Types: deb\nURIs: {address}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n"
    );
    fs::write(BACKPORTS, text).with_context(|| format!("cannot write {BACKPORTS}"))?;
    Ok(suite)
}

fn codename(os_release: &str) -> Option<String> {
    let value = os_release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(value.trim_matches('"').to_owned())
}

/// The upstream major version of what apt would install.
fn candidate_major(package: &str) -> Result<Option<u32>> {
    Ok(policy_major(&process::output(
        Command::new("apt-cache").args(["policy", package]),
    )?))
}

/// 10 of `  Candidate: 1:10.0.2+ds-2`, in what `apt-cache policy` prints.
fn policy_major(policy: &str) -> Option<u32> {
    let version = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    let upstream = version
        .split_once(':')
        .map_or(version, |(_epoch, upstream)| upstream);
    upstream.split('.').next()?.parse().ok()
}

/// 10 of `QEMU emulator version 10.0.2 (Debian …)`.
fn qemu_major(text: &str) -> Option<u32> {
    text.split("version ")
        .nth(1)?
        .split('.')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_qemu_versions() {
        assert_eq!(
            qemu_major("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)"),
            Some(10)
        );
        assert_eq!(qemu_major("QEMU emulator version 7.2.22"), Some(7));
        assert_eq!(qemu_major(""), None);
    }

    #[test]
    fn reads_candidates() {
        let policy = "qemu-system-x86:\n  Installed: (none)\n  Candidate: 1:7.2+dfsg-7\n";
        assert_eq!(policy_major(policy), Some(7));
        assert_eq!(policy_major("x:\n  Candidate: 10.0.2+ds\n"), Some(10));
        assert_eq!(policy_major("x:\n  Candidate: (none)\n"), None);
    }

    #[test]
    fn reads_the_codename() {
        let text = "ID=debian\nVERSION_CODENAME=bookworm\n";
        assert_eq!(codename(text).as_deref(), Some("bookworm"));
        assert_eq!(codename("ID=x\n"), None);
    }

    #[test]
    fn finds_what_is_missing() {
        assert_eq!(
            missing(&["dpkg", "no-such-package"]).unwrap(),
            ["no-such-package"]
        );
    }
}
