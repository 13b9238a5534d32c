//! The prober: asks an API server over and over and writes down what came back.
//!
//! It knows nothing of slipway's launch but the names of things, and reports once it is told to end
//! (SIGTERM or SIGINT): one JSON object, see `qemu_tests::probe::Report`.

mod api;
mod arguments;
mod machine;
mod pod;
mod requests;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use arguments::{Command, Probe};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{SigSet, Signal};
use qemu_tests::probe::Report;

/// The report that all threads write to.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Report>>);

impl Notes {
    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn print(&self) -> Result<()> {
        let line = serde_json::to_string(&*self.lock())?;
        let mut out = std::io::stdout().lock();
        Ok(writeln!(out, "{line}").and_then(|()| out.flush())?)
    }
}

/// Files and processes are looked at so many times in a request's interval: a look is cheap, but not where
/// every instruction is emulated.
const LOOKS: u32 = 5;

fn main() -> ExitCode {
    let done = arguments::parse(lexopt::Parser::from_env()).and_then(|command| match command {
        Command::Probe(probe) => run(&probe),
        Command::Resolve(name) => pod::resolve(&name),
        Command::Get(url) => pod::get(&url),
        Command::Serve(port) => pod::serve(port),
        Command::Shown(server, authorities) => shown(server, &authorities),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prober: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Probes until told to end.
fn run(probe: &Probe) -> Result<()> {
    // Blocked before any thread starts, so that all inherit it and only the wait below sees them.
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    signals.thread_block()?;
    let notes = Notes::default();
    requests::start(probe, &notes)?;
    if let Some(kubeconfig) = &probe.observe {
        api::start(kubeconfig, probe.observe_door, probe.interval, &notes)?;
    }
    if let Some(folder) = &probe.manifests {
        machine::start(folder.clone(), probe.interval / LOOKS, &notes);
    }
    if let Some(every) = probe.print_every {
        print_now_and_then(notes.clone(), every);
    }
    signals.wait()?;
    notes.print()
}

/// Prints the certificate of a server in base64, as it stands in its PEM file.
fn shown(server: SocketAddr, authorities: &Path) -> Result<()> {
    let roots = slipway::tls::authorities(&std::fs::read(authorities)?)?;
    let chain = slipway::tls::shown(server, &roots)?;
    let leaf = chain.first().context("it shows no certificate")?;
    println!("{}", STANDARD.encode(leaf));
    Ok(())
}

/// For a pod, whose output is all that one gets to see: the last line is the latest report.
fn print_now_and_then(notes: Notes, every: Duration) {
    std::thread::spawn(move || {
        while notes.print().is_ok() {
            std::thread::sleep(every);
        }
    });
}
