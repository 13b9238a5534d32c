//! A control plane is recovered as a person does it, and how long that takes.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde::Serialize;
use slipway::kube::{Client, Options, kubeconfig};

use super::launch::{ADMIN, LAUNCH};
use super::native::Node;
use super::process::Program;
use crate::scenarios::page::Step;
use crate::wait;

/// The command.
pub const RECOVER: [&str; 2] = ["slipway", "recover"];
/// How long it may take, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(300);

/// Seconds from the start of `slipway recover`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Took {
    /// Until it was done.
    pub recover_s: f64,
    /// Until an API server was ready at the control plane's own door.
    pub api_s: f64,
    /// Until the control plane was handed over.
    pub handed_over_s: f64,
}

/// What a person does: recover, and start.
pub fn recover(node: &Node, arguments: &[&str]) -> Result<Took> {
    let recover = [&RECOVER, arguments].concat().join(" ");
    follow(node, &[Step::new(recover), Step::new("slipway start")])
}

/// The same by a page: its steps are a recovery and the start that follows.
pub fn follow(node: &Node, steps: &[Step]) -> Result<Took> {
    let begun = Instant::now();
    let seconds = || (begun.elapsed().as_secs_f64() * 100.0).round() / 100.0;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let answered = scope.spawn(|| first_answer(node, &is_over).map(|()| seconds()));
        let typed = steps
            .iter()
            .map(|step| take(node, step).map(|()| seconds()));
        let done: Result<Vec<_>> = typed.collect();
        is_over.store(true, Ordering::Relaxed);
        let answered = answered.join().unwrap_or_else(|_| bail!("it panicked"));
        let [recover, handed_over] = done?[..] else {
            bail!("a recovery is two steps, not {steps:?}");
        };
        Ok(Took {
            recover_s: recover,
            api_s: answered?,
            handed_over_s: handed_over,
        })
    })
}

/// Types a step and judges its answer. Both are kept as the page would show them, in a log that is named after slipway's
/// command.
pub fn take(node: &Node, step: &Step) -> Result<()> {
    let line = format!("exec 2>&1; {}", step.command);
    let process = node.start(&Program::new(["sh", "-c", &line]))?;
    let finished = process.wait_within(PATIENCE + LAUNCH)?;
    let name = step.command.split_whitespace().nth(1).unwrap_or("sh");
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .open(node.logs().join(format!("{name}.log")));
    write!(log?, "# {}\n{}", step.command, finished.stdout)?;
    step.judge(finished.ended.code(), &finished.stdout)
}

/// Waits until an API server is ready at the control plane's own door, or everything is over.
fn first_answer(node: &Node, is_over: &AtomicBool) -> Result<()> {
    let options = || Options {
        connect_to: Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 6443)),
        ..Options::probe()
    };
    let ask = || {
        let config = kubeconfig::load(&node.path(ADMIN))?;
        match Client::new(&config, options())?.status("/readyz")? {
            (200, _) => Ok(()),
            (code, text) => bail!("/readyz says {code}: {text}"),
        }
    };
    let answered = node.in_network(|| {
        wait::until("answer of the API", PATIENCE + LAUNCH, || match ask() {
            Err(_) if is_over.load(Ordering::Relaxed) => Ok(false),
            answer => answer.map(|()| true),
        })
    })?;
    ensure!(answered, "nobody answered");
    Ok(())
}
