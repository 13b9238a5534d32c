//! Killing a program at an exact point of its life.
//!
//! A harness that polls comes too late for steps that take less than a millisecond. A tracer stops
//! the program around each of its system calls, looks whether the moment has come, and only then
//! lets it go on: whatever the program has just written, it has done nothing after it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use anyhow::{Context, Result, bail, ensure};
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How a traced program ended.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// By itself, before its time.
    Itself(WaitStatus),
    /// By SIGKILL, when it was time.
    Killed,
}

/// Begins to trace a program that runs.
pub fn seize(pid: Pid) -> Result<()> {
    ptrace::seize(
        pid,
        Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL,
    )
    .context("cannot trace the program")?;
    ptrace::interrupt(pid)?;
    Ok(())
}

/// Lets a traced program run on until `is_time` says so at one of its stops, then kills it with SIGKILL. Only its
/// first thread is stopped to look; `is_time` is asked often.
pub fn run(pid: Pid, mut is_time: impl FnMut() -> Result<bool>) -> Result<End> {
    loop {
        let stopped = wait(pid)?;
        if is_end(stopped) {
            return Ok(End::Itself(stopped));
        }
        if is_time()? {
            kill(pid, Signal::SIGKILL)?;
            // A tracer, too, has to take note of the end before the parent can.
            while !is_end(wait(pid)?) {}
            return Ok(End::Killed);
        }
        // A signal on its way to the program is handed on; every other stop is ours.
        let signal = match stopped {
            WaitStatus::Stopped(_, signal) => Some(signal),
            _ => None,
        };
        ptrace::syscall(pid, signal)?;
    }
}

fn wait(pid: Pid) -> Result<WaitStatus> {
    Ok(waitpid(pid, Some(WaitPidFlag::__WALL))?)
}

fn is_end(status: WaitStatus) -> bool {
    matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..))
}

/// Runs a command of one thread until it has changed the file system `last` times, and kills it before it does anything
/// more. Returns how it ended and how many changes it made.
pub fn kill_after(command: &mut Command, last: usize) -> Result<(End, usize)> {
    let child = start(command)?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let mut changes = 0;
    let end = run(pid, || {
        changes += usize::from(has_changed(pid)?);
        Ok(changes == last)
    })?;
    Ok((end, changes))
}

/// Starts a command that stops before its first instruction. Who traces it is told of its end; there is nothing left to wait for.
fn start(command: &mut Command) -> Result<Child> {
    // SAFETY: between fork and exec only ptrace is called, which is async-signal-safe.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    let child = command.spawn().context("cannot start what is traced")?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let stopped = wait(pid)?;
    ensure!(
        matches!(stopped, WaitStatus::Stopped(_, Signal::SIGTRAP)),
        "{stopped:?} instead of the start of a program"
    );
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(pid, options)?;
    ptrace::syscall(pid, None)?;
    Ok(child)
}

/// Whether the program stands at the end of a system call that changed a file, a folder or what is known of one, or
/// that made such changes durable.
fn has_changed(pid: Pid) -> Result<bool> {
    let registers = ptrace::getregs(pid)?;
    // Before the call it holds -ENOSYS, after one that failed another error.
    if registers.rax.cast_signed() < 0 {
        return Ok(false);
    }
    let number = registers.orig_rax.cast_signed();
    let creates = |flags: u64| flags & (libc::O_CREAT | libc::O_TRUNC) as u64 != 0;
    Ok(match number {
        libc::SYS_open => creates(registers.rsi),
        libc::SYS_openat => creates(registers.rdx),
        _ if BY_FILE.contains(&number) => is_file(pid, registers.rdi),
        libc::SYS_clone | libc::SYS_clone3 | libc::SYS_fork | libc::SYS_vfork => {
            bail!("it started a thread or a process, whose calls nobody counts")
        }
        _ => BY_PATH.contains(&number),
    })
}

/// Whether a descriptor is of something in a file system, and not of a socket or a pipe.
fn is_file(pid: Pid, descriptor: u64) -> bool {
    let link = fs::read_link(format!("/proc/{pid}/fd/{descriptor}"));
    link.is_ok_and(|path| path.is_absolute() && !path.starts_with("/dev"))
}

/// Calls whose first argument is a descriptor.
const BY_FILE: [i64; 15] = [
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_writev,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_sendfile,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_fsetxattr,
    libc::SYS_fremovexattr,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_syncfs,
];

/// Calls that change something by its path, or that always change a file.
const BY_PATH: [i64; 32] = [
    libc::SYS_creat,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_mknod,
    libc::SYS_mknodat,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_symlink,
    libc::SYS_symlinkat,
    libc::SYS_chmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_fchownat,
    libc::SYS_truncate,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_copy_file_range,
    libc::SYS_splice,
    libc::SYS_sync,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// `mkdir a b c` changes three times; nobody sees a change that it did not come to.
    #[test]
    fn a_program_ends_after_the_change_that_was_named() {
        for (last, made) in [(1, 1), (2, 2), (3, 3), (4, 3)] {
            let folder = tempfile::tempdir().unwrap();
            let mut mkdir = Command::new("mkdir");
            mkdir.args(["a", "b", "c"]).current_dir(folder.path());
            let (end, changes) = kill_after(&mut mkdir, last).unwrap();
            let is_killed = matches!(end, End::Killed);
            assert_eq!((is_killed, changes), (last <= made, made), "{end:?}");
            let there = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(there, made, "after {last}");
        }
    }
}
