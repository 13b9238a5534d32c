//! The build driver and test harness behind `./x`.
//!
//! One program builds the payload, the binary and the image, and runs what is tested with them, so
//! that a fresh machine needs Rust, Go and one command. Progress goes to stderr, results to stdout.

mod api;
mod bench;
mod build;
mod cache;
mod cli;
mod demo;
mod image;
mod install;
mod node;
mod payload;
mod prereq;
mod process;
mod progress;
mod runner;
mod scenario;
mod scenarios;
mod tracer;
mod unit;
mod vm;
mod wait;

use anyhow::Result;
use cli::Command;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = node::reexec::play(std::env::args_os().skip(1)) {
        return code;
    }
    let command = match cli::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("x: {error:#}; ./x --help shows what there is");
            return ExitCode::from(2);
        }
    };
    match run(&command, &repo()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("x: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command, repo: &Path) -> Result<()> {
    match command {
        Command::Help => print!("{}", cli::HELP),
        Command::Bench(part) => runner::bench(repo, part.as_deref())?,
        Command::Build(arch) => println!("{}", build::slipway_for(repo, *arch)?.display()),
        Command::Demo(options) => demo::run(repo, options)?,
        Command::Image => println!("{}", image::ensure(repo)?.display()),
        Command::Install(destdir) => install::into(repo, &build::slipway(repo)?, destdir)?,
        Command::Payload => println!("{}", payload::ensure(repo)?.display()),
        Command::Soak(rounds) => runner::soak(repo, *rounds)?,
        Command::Test { tier, name } => runner::test(repo, *tier, name.as_deref())?,
    }
    Ok(())
}

/// The repository this program was compiled in; cargo compiles it again when that moves.
fn repo() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}
