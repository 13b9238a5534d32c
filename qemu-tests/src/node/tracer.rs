//! Killing a program of a node at an exact point of its life ([`crate::tracer`]).

use std::fs;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::tracer::{self, End};

/// Lets the program `inner` of the node whose first process is `init` run until `is_time` says so,
/// then kills it with SIGKILL. Only its first thread is stopped to look; `is_time` is asked often.
///
/// # Errors
/// If it ends by itself before.
pub fn kill_when(init: i32, inner: i32, mut is_time: impl FnMut() -> bool) -> Result<()> {
    let pid = host_pid(init, inner)?;
    tracer::seize(pid)?;
    // It may have stopped itself until now.
    kill(pid, Signal::SIGCONT)?;
    match tracer::run(pid, || Ok(is_time()))? {
        End::Killed => Ok(()),
        End::Itself(status) => bail!("it ended before it was killed: {status:?}"),
    }
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
