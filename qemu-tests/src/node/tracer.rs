//! Killing a program at an exact point of its life.
//!
//! A harness that polls comes too late for steps that take less than a millisecond. A tracer stops
//! the program around each of its system calls, looks whether the moment has come, and only then
//! lets it go on: whatever the program has just written, it has done nothing after it.

use std::fs;

use anyhow::{Context, Result, bail};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Lets the program `inner` of the node whose first process is `init` run until `is_time` says so,
/// then kills it with SIGKILL. Only its first thread is stopped to look; `is_time` is asked often.
///
/// # Errors
/// If it ends by itself before.
pub fn kill_when(init: i32, inner: i32, mut is_time: impl FnMut() -> bool) -> Result<()> {
    let pid = host_pid(init, inner)?;
    ptrace::seize(
        pid,
        Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL,
    )
    .context("cannot trace the program")?;
    ptrace::interrupt(pid)?;
    // It may have stopped itself until now.
    kill(pid, Signal::SIGCONT)?;
    loop {
        let stopped = waitpid(pid, Some(WaitPidFlag::__WALL))?;
        if matches!(stopped, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
            bail!("it ended before it was killed: {stopped:?}");
        }
        if is_time() {
            kill(pid, Signal::SIGKILL)?;
            return reap(pid);
        }
        // A signal on its way to the program is handed on; every other stop is ours.
        let signal = match stopped {
            WaitStatus::Stopped(_, signal) => Some(signal),
            _ => None,
        };
        ptrace::syscall(pid, signal)?;
    }
}

/// A tracer, too, has to take note of the end before the parent can.
fn reap(pid: Pid) -> Result<()> {
    while !matches!(
        waitpid(pid, Some(WaitPidFlag::__WALL))?,
        WaitStatus::Exited(..) | WaitStatus::Signaled(..)
    ) {}
    Ok(())
}

/// The process id on the host of a process of a node, by what it is called inside.
fn host_pid(init: i32, inner: i32) -> Result<Pid> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let node = namespace(&init.to_string()).context("the node is down")?;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(name) = name
            .to_str()
            .filter(|name| name.starts_with(|c: char| c.is_ascii_digit()))
        else {
            continue;
        };
        // One that ended in the meantime has neither.
        let status = fs::read_to_string(format!("/proc/{name}/status")).unwrap_or_default();
        if pid_inside(&status) == Some(inner) && namespace(name).as_ref() == Some(&node) {
            return Ok(Pid::from_raw(name.parse()?));
        }
    }
    bail!("the node has no process {inner}")
}

/// The innermost process id in /proc/PID/status (proc(5), `NSpid`).
fn pid_inside(status: &str) -> Option<i32> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_innermost_process_id_counts() {
        let status = "Name:\tslipway\nPid:\t4711\nNSpid:\t4711\t28\nVmRSS:\t1 kB\n";
        assert_eq!(super::pid_inside(status), Some(28));
        assert_eq!(super::pid_inside("Name:\tkthreadd\n"), None);
    }
}
