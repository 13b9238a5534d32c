//! What a process cost, as the kernel counts it.
//!
//! The peak memory of a process also covers the moment before it replaced its parent's program, so a
//! process that is to be measured needs a small parent: this program, freshly started in a role.

use super::wire::Ended;
use anyhow::{Context, Result};
use nix::unistd::Pid;
use std::process::Command;
use std::time::Instant;

/// Runs the command line and prints its [`Ended`] as JSON.
pub fn measure(line: &[String]) -> Result<()> {
    let (program, arguments) = line.split_first().context("there is no command")?;
    let begun = Instant::now();
    let child = Command::new(program)
        .args(arguments)
        .stdout(std::io::stderr())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let pid = Pid::from_raw(
        child
            .id()
            .try_into()
            .context("no process has such a number")?,
    );
    let ended = wait(pid, 0).context("the process cannot be waited for")?;
    let wall_ms = begun.elapsed().as_secs_f64() * 1e3;
    println!("{}", serde_json::to_string(&Ended { wall_ms, ..ended })?);
    Ok(())
}

/// Waits for a process of ours; `None` if it has not ended and `flags` say not to wait.
pub fn wait(pid: Pid, flags: i32) -> Option<Ended> {
    let mut status = 0;
    // SAFETY: rusage is a plain C struct of integers, for which all zeroes is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals of the types that wait4 writes.
    let waited = unsafe { libc::wait4(pid.as_raw(), &mut status, flags, &mut usage) };
    let milliseconds = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    (waited == pid.as_raw()).then(|| Ended {
        status,
        cpu_ms: milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime),
        peak_rss_kib: usage.ru_maxrss,
        wall_ms: 0.0,
    })
}
