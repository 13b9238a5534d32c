//! The first process of a node: it starts what it is told to start and reaps everything.
//!
//! One thread takes orders, the other collects the dead. A program is started and entered in the
//! table under one lock, and the dead are looked at first and collected under the same lock: so a
//! program that ends at once is never missed, and the standard library's own wait for a program
//! that could not be executed is not taken away from it.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::life::{self, Life};
use super::usage;
use super::wire::{self, Answer, Order, Run};

/// The node's own environment.
const PATH: &str = "/opt/harness/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Programs that run, and where the answer goes when they end.
#[derive(Default)]
struct Table {
    running: Mutex<HashMap<i32, File>>,
    started: Condvar,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, File>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs until the harness closes its end of the socket, which is standard input.
pub fn run(life: &Life) -> Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    life::enter(life)?;
    let table = Arc::new(Table::default());
    let reaper = Arc::clone(&table);
    std::thread::spawn(move || reap(&reaper));
    let socket = std::io::stdin();
    let socket = std::os::fd::AsFd::as_fd(&socket);
    take_orders(socket, &table)
}

fn take_orders(socket: BorrowedFd<'_>, table: &Table) -> Result<()> {
    while let Some((order, descriptors)) = wire::receive(socket)? {
        match order {
            Order::Run(run) => start(&run, descriptors, table)?,
            // A program that has just ended cannot be signalled; that is no error.
            Order::Signal { pid, signal } => {
                let _ = kill(Pid::from_raw(pid), Signal::try_from(signal)?);
            }
        }
    }
    Ok(())
}

fn start(run: &Run, descriptors: Vec<OwnedFd>, table: &Table) -> Result<()> {
    let [stdin, stdout, stderr, answers] =
        <[OwnedFd; 4]>::try_from(descriptors).map_err(|_| anyhow!("four descriptors are due"))?;
    let mut answers = File::from(answers);
    let (program, arguments) = run.argv.split_first().context("an empty command line")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root");
    command.envs(run.env.iter().map(|(name, value)| (name, value)));
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    let mut running = table.lock();
    match command.spawn() {
        Ok(child) => {
            let pid = child.id().cast_signed();
            answer(&mut answers, &Answer::Started(pid));
            running.insert(pid, answers);
            table.started.notify_one();
        }
        Err(error) => answer(&mut answers, &Answer::Failed(format!("{program}: {error}"))),
    }
    Ok(())
}

/// A harness that no longer listens needs no answer.
fn answer(answers: &mut File, answer: &Answer) {
    if let Ok(mut line) = serde_json::to_vec(answer) {
        line.push(b'\n');
        let _ = answers.write_all(&line);
    }
}

fn reap(table: &Table) {
    loop {
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            Ok(status) => collect(table, status.pid()),
            // Nobody to wait for: until the next program starts, nobody can appear.
            Err(Errno::ECHILD) => {
                let running = table.lock();
                if running.is_empty() {
                    drop(table.started.wait(running));
                }
            }
            Err(_) => {}
        }
    }
}

fn collect(table: &Table, pid: Option<Pid>) {
    let Some(pid) = pid else { return };
    let mut running = table.lock();
    let ended = usage::wait(pid, libc::WNOHANG);
    if let (Some(ended), Some(mut answers)) = (ended, running.remove(&pid.as_raw())) {
        answer(&mut answers, &Answer::Ended(ended));
    }
}
