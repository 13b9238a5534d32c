//! Programs that run inside a node.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, PipeReader, Read, Seek, Write, pipe};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::wire::{self, Answer, Ended, Order, Run};

/// A program to run inside a node.
#[derive(Clone, Debug)]
pub struct Program {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    input: Vec<u8>,
    log: Option<String>,
}

impl Program {
    /// A command line; the program is looked up in the node's PATH.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        let argv = argv.into_iter().map(Into::into).collect();
        Self {
            argv,
            env: Vec::new(),
            input: Vec::new(),
            log: None,
        }
    }

    /// Adds a variable to its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Gives it a standard input; without, there is none.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Appends what it prints to `/var/log/NAME.log` instead of capturing it.
    pub fn log(mut self, name: &str) -> Self {
        self.log = Some(name.into());
        self
    }

    fn streams(&self, logs: &Path) -> Result<[File; 3]> {
        let mut input = tempfile::tempfile()?;
        input.write_all(&self.input)?;
        input.rewind()?;
        let Some(name) = &self.log else {
            return Ok([input, tempfile::tempfile()?, tempfile::tempfile()?]);
        };
        let path = logs.join(format!("{name}.log"));
        // Readable, because the error of a program that fails quotes the end of its log.
        let log = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        Ok([input, log.try_clone()?, log])
    }
}

/// A program that was started inside a node.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: i32,
    answers: BufReader<PipeReader>,
    orders: Arc<OwnedFd>,
    stdout: File,
    stderr: File,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The command line, for errors.
    pub name: String,
    /// How it ended and what it used.
    pub ended: Ended,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Finished {
    /// Its standard output if it ended with exit code 0, else an error with what it said.
    pub fn success(self) -> Result<String> {
        Ok(self.check()?.stdout)
    }

    /// Itself if it ended with exit code 0, else an error with what it said.
    pub fn check(self) -> Result<Self> {
        let how = match self.ended.code() {
            Some(0) => return Ok(self),
            Some(code) => format!("exit code {code}"),
            None => format!("signal {}", libc::WTERMSIG(self.ended.status)),
        };
        bail!("`{}` ended with {how}: {}", self.name, tail(&self.stderr))
    }
}

impl Process {
    pub(super) fn start(program: &Program, orders: &Arc<OwnedFd>, logs: &Path) -> Result<Self> {
        let [stdin, stdout, stderr] = program.streams(logs)?;
        let (answers, theirs) = pipe()?;
        let order = Order::Run(Run {
            argv: program.argv.clone(),
            env: program.env.clone(),
        });
        let descriptors = [
            stdin.as_raw_fd(),
            stdout.as_raw_fd(),
            stderr.as_raw_fd(),
            theirs.as_raw_fd(),
        ];
        wire::send(orders.as_fd(), &order, &descriptors)?;
        drop(theirs);
        let name = program.argv.join(" ");
        let orders = Arc::clone(orders);
        let answers = BufReader::new(answers);
        let mut process = Self {
            name,
            pid: 0,
            answers,
            orders,
            stdout,
            stderr,
        };
        match process.answer()? {
            Answer::Started(pid) => process.pid = pid,
            Answer::Failed(why) => bail!("cannot start {why}"),
            Answer::Ended(_) => bail!("`{}` ended before it started", process.name),
        }
        Ok(process)
    }

    /// Its process id inside the node.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Result<Finished> {
        let Answer::Ended(ended) = self.answer()? else {
            bail!("`{}` started twice", self.name);
        };
        let stdout = text(&mut self.stdout)?;
        let stderr = text(&mut self.stderr)?;
        Ok(Finished {
            name: self.name,
            ended,
            stdout,
            stderr,
        })
    }

    /// Waits for its end, at most `limit`; then kills it, and that is an error.
    pub fn wait_within(mut self, limit: Duration) -> Result<Finished> {
        if self.ends_within(limit)? {
            return self.wait();
        }
        self.signal(libc::SIGKILL)?;
        let finished = self.wait()?;
        bail!(
            "`{}` still ran after {limit:?}: {}",
            finished.name,
            tail(&finished.stderr)
        )
    }

    /// Whether it ends before `limit` has passed.
    pub fn ends_within(&mut self, limit: Duration) -> Result<bool> {
        let timeout = PollTimeout::try_from(limit).context("the limit is too long")?;
        let readable = PollFd::new(self.answers.get_ref().as_fd(), PollFlags::POLLIN);
        Ok(poll(&mut [readable], timeout)? > 0)
    }

    /// Sends it a signal by number.
    pub fn signal(&self, signal: i32) -> Result<()> {
        wire::send(
            self.orders.as_fd(),
            &Order::Signal {
                pid: self.pid,
                signal,
            },
            &[],
        )
    }

    fn answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() {
            bail!("the node went down under `{}`", self.name);
        }
        Ok(serde_json::from_str(&line)?)
    }
}

fn text(file: &mut File) -> Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The end of a text, enough to see why.
pub fn tail(text: &str) -> &str {
    const ENOUGH: usize = 2000;
    let text = text.trim();
    let start = text.len().saturating_sub(ENOUGH);
    (start..text.len())
        .find_map(|at| text.get(at..))
        .unwrap_or(text)
}
