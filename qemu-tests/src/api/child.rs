//! A server as a child process that does not outlive the test, whatever ends it.

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{process, wait};

/// A running server; killed when dropped, and by the kernel if the harness dies first.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    name: String,
    log: PathBuf,
}

/// How many lines of its log an error shows.
const TAIL: usize = 5;

impl Child {
    /// Starts `binary` with its output in `log`, which is appended to.
    pub fn start(binary: &Path, arguments: &[String], log: &Path) -> Result<Child> {
        let name = binary
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(binary);
        command.args(arguments).stdin(Stdio::null());
        command.stdout(output.try_clone()?).stderr(output);
        let process = process::die_with_parent(&mut command)
            .spawn()
            .with_context(|| {
                format!(
                    "cannot start {}; ./x build payload makes it",
                    binary.display()
                )
            })?;
        Ok(Child {
            process,
            name,
            log: log.to_owned(),
        })
    }

    /// An error with the end of its log if it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}): {}", self.name, self.log_tail()),
        }
    }

    /// Sends SIGTERM and waits until it ended.
    pub fn terminate(mut self, limit: Duration) -> Result<()> {
        kill(
            Pid::from_raw(i32::try_from(self.process.id())?),
            Signal::SIGTERM,
        )?;
        wait::until(&format!("end of {}", self.name), limit, || {
            self.process
                .try_wait()?
                .map(|_| ())
                .context("it still runs")
        })
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(TAIL).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
