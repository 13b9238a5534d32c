//! The whole command line, as data.
//!
//! One table, [`COMMANDS`], names every command with its options; parsing, `--help`, completions and
//! the man page are read from it, so none of them can be forgotten. lexopt splits the arguments; a
//! derive-style parser would cost more bytes than the API client.

mod backup;
mod certs;
mod checkpoint;
mod complete;
mod document;
mod former;
mod help;
mod parse;
mod plan;
mod recover;
mod run;
mod table;

pub use parse::{Invocation, parse};
pub use run::run;
pub use table::COMMANDS;

/// A command of slipway.
#[derive(Debug)]
pub struct Command {
    /// Its word on the command line.
    pub name: &'static str,
    /// What follows the options, e.g. `FILE`; empty if nothing does.
    pub argument: &'static str,
    /// One sentence for `slipway --help`.
    pub summary: &'static str,
    /// Further sentences for `slipway COMMAND --help` and the man page.
    pub details: &'static str,
    /// Its options.
    pub options: &'static [Flag],
}

/// An option of a command.
#[derive(Debug)]
pub struct Flag {
    /// Its name without the dashes.
    pub name: &'static str,
    /// What its value is called; empty for a switch.
    pub value: &'static str,
    /// One sentence, with the default.
    pub help: &'static str,
}

/// The command of that name.
pub fn command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}
