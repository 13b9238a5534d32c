//! A control plane that is dead comes back from what is left of it.

mod controllers;
mod etcd;
mod killed;
mod machine;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use slipway::kube::{Client, Options, kubeconfig};

use crate::node::launch::{self, ADMIN, LAUNCH};
use crate::node::native::{Node, NodeSpec};
use crate::node::process::Program;
use crate::node::services;
use crate::scenario::Context;
use crate::scenarios::cluster;
use crate::wait;

pub use controllers::run as controllers;
pub use etcd::run as from_etcd;
pub use killed::run as killed;
pub use machine::run as on_new_machine;

/// How long recover itself may take, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(300);
const RECOVER: [&str; 2] = ["slipway", "recover"];

/// A node that is launched and well, with these lines in its document.
fn launched(context: &Context, more: &str) -> Result<Node> {
    launched_on(context, NodeSpec::default(), more)
}

fn launched_on(context: &Context, spec: NodeSpec, more: &str) -> Result<Node> {
    let mut node = Node::create(context, spec)?;
    node.boot()?;
    launch::up_to_start(&node, &launch::document(node.spec(), more))?;
    launch::start_to_the_end(&node)?;
    cluster::wait_until_ready(&node)?;
    Ok(node)
}

fn program(arguments: &[&str]) -> Program {
    Program::new([&RECOVER, arguments].concat())
}

/// What a person does: recover, and start. Seconds from the beginning of that until recover was done, until the API
/// answered for the first time, and until the control plane was handed over.
fn recovered(node: &Node, arguments: &[&str]) -> Result<Value> {
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
        Ok(json!({ "recover_s": recover, "api_s": answered, "handed_over_s": handed_over }))
    })
}

fn recover_and_start(
    node: &Node,
    arguments: &[&str],
    seconds: &dyn Fn() -> f64,
) -> Result<(f64, f64)> {
    let recover = node.start(&program(arguments))?;
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
