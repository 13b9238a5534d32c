//! A control plane is recovered as a person does it, and how long that takes.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde::Serialize;
use slipway::kube::{Client, Options, kubeconfig};

use super::launch::{self, ADMIN, LAUNCH};
use super::native::Node;
use super::process::Program;
use super::services;
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
    let begun = Instant::now();
    let seconds = || (begun.elapsed().as_secs_f64() * 100.0).round() / 100.0;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let answered = scope.spawn(|| first_answer(node, &is_over).map(|()| seconds()));
        let done = recover_and_start(node, arguments, &seconds);
        is_over.store(true, Ordering::Relaxed);
        let answered = answered.join().unwrap_or_else(|_| bail!("it panicked"));
        let (recover, handed_over) = done?;
        let answered = answered?;
        Ok(Took {
            recover_s: recover,
            api_s: answered,
            handed_over_s: handed_over,
        })
    })
}

fn recover_and_start(
    node: &Node,
    arguments: &[&str],
    seconds: &dyn Fn() -> f64,
) -> Result<(f64, f64)> {
    let program = Program::new([&RECOVER, arguments].concat());
    let recover = node.start(&program)?;
    let said = recover.wait_within(PATIENCE)?.check()?;
    fs::write(node.logs().join("recover.log"), said.stdout + &said.stderr)?;
    let recover = seconds();
    services::start_wanted(node)?;
    launch::start_to_the_end(node)?;
    Ok((recover, seconds()))
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
