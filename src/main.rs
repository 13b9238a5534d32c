//! Parse, run, exit: the only place that prints an error and chooses the process's exit code.

use std::process::ExitCode;

use slipway::cli;
use slipway::exit::{Exit, exit_of};

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let outcome = cli::parse(std::env::args_os().skip(1)).and_then(cli::run);
    let exit = match outcome {
        Ok(()) => Exit::Done,
        Err(error) => {
            for line in format!("{error:#}").lines() {
                eprintln!("slipway: {line}");
            }
            log::error!("{error:#}");
            exit_of(&error)
        }
    };
    ExitCode::from(exit as u8)
}
