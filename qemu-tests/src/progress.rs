//! Long steps, shown as they run: what, how long already, and the last thing it logged.
//!
//! On a terminal a step is one live line; elsewhere (CI) it is a line when it starts, one when it
//! ends, and a heartbeat in between, so that a silent quarter of an hour never looks like a hang.
//! Everything goes to stderr: stdout belongs to results. Steps do not nest.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How many log lines a failure shows.
const SHOWN_LINES: usize = 30;
/// What is read from a log's end: enough for [`SHOWN_LINES`] long lines.
const TAIL_BYTES: u64 = 16 * 1024;

/// The log of one step, `target/log/NAME.log`.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    fn create(name: &str) -> Result<Log> {
        let folder = crate::repo().join("target/log");
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join(format!("{}.log", name.replace([' ', '/'], "-")));
        let file = File::create(&path)
            .with_context(|| format!("cannot create the log {}", path.display()))?;
        Ok(Log { path, file })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line. A log that cannot be written must not fail the step it describes.
    pub fn line(&self, text: &str) {
        let _ = (&self.file).write_all(format!("{text}\n").as_bytes());
    }

    /// Another handle on the log, for a child's stdout or stderr.
    pub fn handle(&self) -> Result<File> {
        self.file
            .try_clone()
            .context("cannot duplicate the log's file descriptor")
    }
}

/// Runs one long step under `name`, which also names its log.
pub fn step<T>(name: &str, work: impl FnOnce(&Log) -> Result<T>) -> Result<T> {
    let log = Log::create(name)?;
    let started = Instant::now();
    let live = std::io::stderr().is_terminal();
    if !live {
        eprintln!("      …  {name}");
    }
    let (running, stopped) = mpsc::channel::<()>();
    let result = thread::scope(|scope| {
        let path = log.path();
        scope.spawn(move || beat(name, started, path, live, &stopped));
        let result = work(&log);
        drop(running);
        result
    });
    let clear = if live { "\r\x1b[K" } else { "" };
    let seconds = started.elapsed().as_secs_f64();
    match &result {
        Ok(_) => eprintln!("{clear}{seconds:6.1}s  {name}"),
        Err(_) => {
            eprintln!(
                "{clear}{seconds:6.1}s  {name}: FAILED; the end of {}:",
                log.path().display()
            );
            eprintln!("{}", tail(log.path(), SHOWN_LINES).join("\n"));
        }
    }
    result
}

/// Shows that the step is alive until `stopped` closes.
fn beat(name: &str, started: Instant, log: &Path, live: bool, stopped: &Receiver<()>) {
    let period = Duration::from_secs(if live { 1 } else { 30 });
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(period) {
        let last = tail(log, 1).pop().unwrap_or_default();
        let last = last.chars().take(60).collect::<String>();
        let seconds = started.elapsed().as_secs();
        if live {
            eprint!("\r\x1b[K{seconds:5}s   {name} · {last}");
        } else {
            eprintln!("{seconds:5}s …  {name} · {last}");
        }
    }
}

/// The last `count` lines of a file that are not empty; nothing if it cannot be read.
fn tail(path: &Path, count: usize) -> Vec<String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        file.read_to_end(&mut bytes)
    });
    if read.is_err() {
        return Vec::new();
    }
    last_lines(&String::from_utf8_lossy(&bytes), count)
}

fn last_lines(text: &str, count: usize) -> Vec<String> {
    let lines: Vec<&str> = text
        .split(['\n', '\r'])
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_last_lines_and_what_overwrote_them() {
        assert_eq!(last_lines("a\nb\n\n", 1), ["b"]);
        assert_eq!(last_lines("10%\r20%\r", 1), ["20%"]);
        assert_eq!(last_lines("a\nb\nc", 2), ["b", "c"]);
        assert!(last_lines("", 3).is_empty());
    }

    #[test]
    fn a_step_passes_its_result_on() {
        assert_eq!(
            step("test-step", |log| {
                log.line("hello");
                Ok(fs::read_to_string(log.path())?)
            })
            .unwrap(),
            "hello\n"
        );
        let error = step("test-step-fails", |_| -> Result<()> {
            anyhow::bail!("no disk")
        });
        assert_eq!(error.unwrap_err().to_string(), "no disk");
    }
}
