//! Signals that end this process.

use std::{process, thread};

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};

/// Lets SIGTERM and SIGINT end this process at once, with success. The first process of a container has
/// no default action for them. Call it before other threads begin: they inherit the mask.
pub fn end_when_told() -> Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block().context("cannot wait for signals")?;
    thread::spawn(move || {
        if signals.wait().is_ok() {
            process::exit(0);
        }
    });
    Ok(())
}
