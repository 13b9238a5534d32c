//! Running other programs: to a step's log, or for what they print.

use crate::progress::Log;
use anyhow::{Context, Result, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use std::io::{Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Runs a command to its end, with its output in `log`; an exit status other than 0 is an error.
pub fn run(command: &mut Command, log: &Log) -> Result<()> {
    let shown = describe(command);
    log.line(&format!("$ {shown}"));
    let status = command
        .stdin(Stdio::null())
        .stdout(log.handle()?)
        .stderr(log.handle()?)
        .status()
        .with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Runs a command and returns what it prints to stdout; its stderr is part of the error.
pub fn output(command: &mut Command) -> Result<String> {
    finish(command.stdin(Stdio::null()))
}

/// As [`output`], with `input` on its stdin.
pub fn output_with(command: &mut Command, input: &str) -> Result<String> {
    let mut file = tempfile::tempfile().context("cannot make a temporary file")?;
    file.write_all(input.as_bytes())
        .and_then(|()| file.rewind())
        .context("cannot write a temporary file")?;
    finish(command.stdin(file))
}

/// Has the child killed when the thread that starts it ends, so that an interrupted run leaves no
/// servers behind.
pub fn die_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec only prctl is called, which is async-signal-safe.
    unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) }
}

fn finish(command: &mut Command) -> Result<String> {
    let out = command.output().with_context(|| cannot_start(command))?;
    if !out.status.success() {
        let stderr = String::from_utf8_lossy(&out.stderr);
        bail!(
            "`{}` failed ({}): {}",
            describe(command),
            out.status,
            stderr.trim()
        );
    }
    String::from_utf8(out.stdout).with_context(|| {
        format!(
            "`{}` printed something that is not UTF-8",
            describe(command)
        )
    })
}

fn cannot_start(command: &Command) -> String {
    format!(
        "cannot start {}: is it installed?",
        command.get_program().display()
    )
}

/// The command as a person would type it, cut to a length that fits an error.
fn describe(command: &Command) -> String {
    const LIMIT: usize = 200;
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    if line.chars().count() <= LIMIT {
        return line;
    }
    format!("{}…", line.chars().take(LIMIT).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error =
            output(Command::new("sh").args(["-c", "echo no disk >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("sh -c") && text.contains("no disk") && text.contains('3'),
            "{text}"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = output(&mut Command::new("/nowhere/tool")).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot start /nowhere/tool"));
    }
}
