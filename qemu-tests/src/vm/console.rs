//! A guest's serial console: its lines as they come, each with the time since QEMU was started.

use super::fault;
use anyhow::{Result, bail};
use std::fs::File;
use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What no line of a healthy guest contains; waiting ends at once where one does.
const FATAL: &[&str] = &["Kernel panic", "Oops:", "emergency mode:", fault::TIMER];
/// How many of the last lines an error shows.
const SHOWN: usize = 12;

/// A line of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Since QEMU was started.
    pub at: Duration,
    /// Without control sequences and the end of the line.
    pub text: String,
}

#[derive(Debug, Default)]
struct Seen {
    lines: Vec<Line>,
    /// QEMU closed it: the guest is off.
    ended: bool,
}

/// A console that a thread reads; clones share it.
#[derive(Clone, Debug)]
pub struct Console(Arc<(Mutex<Seen>, Condvar)>);

impl Console {
    /// Starts reading `from`; every line also goes to `log`.
    pub fn read(from: impl Read + Send + 'static, log: Option<File>) -> Self {
        let console = Self(Arc::default());
        let reader = console.clone();
        let started = Instant::now();
        thread::spawn(move || reader.fill(from, log, started));
        console
    }

    fn fill(&self, mut from: impl Read, mut log: Option<File>, started: Instant) {
        let (mut buffer, mut pending) = ([0; 4096], Vec::new());
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            pending.extend_from_slice(&buffer[..count]);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let bytes: Vec<u8> = pending.drain(..=end).collect();
                let line = Line {
                    at: started.elapsed(),
                    text: plain(&bytes),
                };
                if let Some(log) = &mut log {
                    // The log is for people; a full disk must not end the test.
                    let _ = writeln!(log, "{:7.1}s  {}", line.at.as_secs_f64(), line.text);
                }
                self.lock().lines.push(line);
                self.0.1.notify_all();
            }
        }
        self.lock().ended = true;
        self.0.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first line, past or future, for which `wanted` holds. An error if the guest panics, ends in
    /// emergency mode or is switched off before, or the deadline passes.
    pub fn wait(&self, wanted: impl Fn(&str) -> bool, deadline: Duration) -> Result<Line> {
        let mut found = None;
        self.follow(deadline, |line| {
            let is = wanted(&line.text);
            if is {
                found = Some(line.clone());
            }
            is
        })?;
        match found {
            Some(line) => Ok(line),
            None => bail!("the wait ended without a line"),
        }
    }

    /// Hands every line, from the first on, to `line` until that returns true; ends as [`Self::wait`].
    pub fn follow(&self, deadline: Duration, mut line: impl FnMut(&Line) -> bool) -> Result<()> {
        let until = Instant::now() + deadline;
        let mut next = 0;
        let mut seen = self.lock();
        loop {
            while let Some(one) = seen.lines.get(next) {
                next += 1;
                if line(one) {
                    return Ok(());
                }
                if FATAL.iter().any(|fatal| one.text.contains(fatal)) {
                    bail!(
                        "the guest cannot go on: {}\n{}",
                        one.text,
                        last(&seen.lines)
                    );
                }
            }
            if seen.ended {
                bail!(
                    "QEMU ended; the console's last lines:\n{}",
                    last(&seen.lines)
                );
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let seconds = deadline.as_secs();
                bail!(
                    "nothing within {seconds} s; the console's last lines:\n{}",
                    last(&seen.lines)
                );
            }
            seen = self
                .0
                .1
                .wait_timeout(seen, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until the guest is off.
    pub fn wait_off(&self, deadline: Duration) -> Result<()> {
        let until = Instant::now() + deadline;
        let mut seen = self.lock();
        while !seen.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!(
                    "still on after {} s:\n{}",
                    deadline.as_secs(),
                    last(&seen.lines)
                );
            }
            seen = self
                .0
                .1
                .wait_timeout(seen, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Ok(())
    }

    /// Everything so far, for assertions about a boot that is over.
    pub fn text(&self) -> String {
        self.lock()
            .lines
            .iter()
            .map(|line| line.text.clone() + "\n")
            .collect()
    }
}

/// Whether a line contains `text`.
pub fn has(text: &str) -> impl Fn(&str) -> bool {
    move |line: &str| line.contains(text)
}

/// What slipway printed, of a line as journald forwards it to the console:
/// `[   39.163688] slipway[265]: text`. `None` for everybody else's lines.
pub fn by_slipway(line: &str) -> Option<&str> {
    let line = match line.strip_prefix('[') {
        Some(stamped) => stamped.split_once("] ")?.1,
        None => line,
    };
    let (pid, text) = line.strip_prefix("slipway[")?.split_once("]: ")?;
    pid.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(text)
}

fn last(lines: &[Line]) -> String {
    let shown = &lines[lines.len().saturating_sub(SHOWN)..];
    shown
        .iter()
        .map(|line| format!("  {:6.1}s {}\n", line.at.as_secs_f64(), line.text))
        .collect()
}

/// A line as text: without what moves a terminal's cursor or colours it (ECMA-48 control sequences).
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut chars),
            c if c.is_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
    out.trim_end().to_owned()
}

/// `ESC [`, parameters, one final byte from `@` to `~`; `ESC` and one byte otherwise.
fn skip_sequence(chars: &mut std::str::Chars<'_>) {
    if chars.next() == Some('[') {
        let _ = chars.find(|c| ('@'..='~').contains(c));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn finds_a_line_and_strips_colours() {
        let console = Console::read(Cursor::new("a\r\n\u{1b}[0;32m  OK  \u{1b}[0m b\r\n"), None);
        assert_eq!(console.wait(has("OK"), SOON).unwrap().text, "  OK   b");
        assert_eq!(console.wait(has("a"), SOON).unwrap().text, "a");
    }

    #[test]
    fn tells_slipways_lines_from_others() {
        let line = "[   39.163688] slipway[265]:   1.4s  render     76 files";
        assert_eq!(by_slipway(line), Some("  1.4s  render     76 files"));
        assert_eq!(by_slipway("slipway[2]: a ]: b"), Some("a ]: b"));
        assert_eq!(by_slipway("[    0.000000] Linux version 6.12"), None);
        assert_eq!(by_slipway("slipway says"), None);
    }

    #[test]
    fn a_panic_or_the_end_ends_the_wait() {
        let panic = Console::read(Cursor::new("Kernel panic - not syncing: x\nlate\n"), None);
        let error = panic.wait(has("late"), SOON).unwrap_err().to_string();
        assert!(error.contains("not syncing"), "{error}");
        let off = Console::read(Cursor::new("a\n"), None);
        assert!(
            off.wait(has("b"), SOON)
                .unwrap_err()
                .to_string()
                .contains("QEMU ended")
        );
        off.wait_off(SOON).unwrap();
    }

    #[test]
    fn a_deadline_shows_the_last_lines() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"first\n").unwrap();
        let console = Console::read(reader, None);
        console.wait(has("first"), SOON).unwrap();
        let error = console
            .wait(has("b"), Duration::from_millis(10))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("nothing within") && error.contains("first"),
            "{error}"
        );
    }
}
