//! The harness starting itself again in another role.
//!
//! The roles need a process of their own that has a single thread when it changes namespaces, which
//! a fork of the harness would not give safely. They are named by a first argument that `./x` does
//! not document.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{holder, init, life, network, usage};
use crate::vm::imds;

/// The role of [`holder::run`].
pub const HOLDER: &str = "internal-node-holder";
/// The role of [`life::run`].
pub const LIFE: &str = "internal-node-life";
/// The role of [`init::run`].
pub const INIT: &str = "internal-node-init";
/// The role of [`network::keep`].
pub const NETWORK: &str = "internal-node-network";
/// The role of [`usage::measure`].
pub const MEASURE: &str = "internal-measure";

/// This program in another role, with what that role is told.
pub fn command(role: &str, told: &impl Serialize) -> Result<Command> {
    let mut command = Command::new("/proc/self/exe");
    command.arg(role).arg(serde_json::to_string(told)?);
    Ok(command)
}

/// Plays the role that the arguments (without the program's name) ask for; `None` if they ask for
/// none. Must be called while the process has a single thread.
pub fn play(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let role = arguments.next()?.into_string().ok()?;
    let told = arguments.next()?.into_string().ok()?;
    let told = told.as_str();
    let played = match role.as_str() {
        HOLDER => parse(told).and_then(|disk| holder::run(&disk)),
        LIFE => parse(told).and_then(|life| life::run(&life)),
        INIT => parse(told).and_then(|life| init::run(&life)),
        NETWORK => parse(told).and_then(|rootfs: PathBuf| network::keep(&rootfs)),
        MEASURE => parse(told).and_then(|line: Vec<String>| usage::measure(&line)),
        imds::PIPE => parse(told).and_then(|socket: PathBuf| imds::pipe(&socket)),
        _ => return None,
    };
    Some(played.map_or_else(
        |error| {
            eprintln!("{role}: {error:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    ))
}

fn parse<T: DeserializeOwned>(told: &str) -> Result<T> {
    serde_json::from_str(told).context("the role's argument is not what this program writes")
}
