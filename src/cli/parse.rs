//! Words to an [`Invocation`], by the table.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use lexopt::prelude::{Long, Short, Value};

use super::former::{self, Former};
use super::{COMMANDS, Command, command};
use crate::exit::{Exit, WithExit};

/// What was asked for.
#[derive(Debug)]
pub enum Invocation {
    /// `slipway --help`, or `slipway COMMAND --help`.
    Help(Option<&'static Command>),
    /// `slipway --version`.
    Version,
    /// A command with its options.
    Run(Words),
}

/// The options and the argument of a command, every one known to the table.
#[derive(Debug)]
pub struct Words {
    /// The command.
    pub command: &'static Command,
    /// `-v`: attempts are logged too.
    pub verbose: bool,
    options: BTreeMap<&'static str, OsString>,
    arguments: Vec<OsString>,
}

impl Words {
    /// Whether a switch was given.
    pub fn has(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    /// The value of an option as a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.options.get(name).map(PathBuf::from)
    }

    /// The value of an option as text.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        let Some(value) = self.options.get(name) else {
            return Ok(None);
        };
        value
            .to_str()
            .map(Some)
            .with_context(|| format!("--{name} is not UTF-8"))
            .exit(Exit::Usage)
    }

    /// The argument that the command demands.
    pub fn argument(&self) -> Result<&OsString> {
        let (name, argument) = (self.command.name, self.command.argument);
        self.arguments
            .first()
            .with_context(|| format!("{name} needs {argument}; see slipway {name} --help"))
            .exit(Exit::Usage)
    }

    /// All arguments of a command that takes several.
    pub fn arguments(&self) -> Result<Vec<&str>> {
        let texts = self.arguments.iter().map(|argument| {
            let text = argument.to_str();
            text.with_context(|| format!("{} is not UTF-8", argument.display()))
        });
        texts.collect::<Result<_>>().exit(Exit::Usage)
    }
}

/// Understands a command line, without the program's own name. Errors carry [`Exit::Usage`].
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Invocation> {
    understand(lexopt::Parser::from_args(words)).exit(Exit::Usage)
}

fn understand(mut parser: lexopt::Parser) -> Result<Invocation> {
    let mut verbose = false;
    loop {
        match parser.next()? {
            None => bail!("no command given; see slipway --help"),
            Some(Long("help") | Short('h')) => return Ok(Invocation::Help(None)),
            Some(Long("version") | Short('V')) => return Ok(Invocation::Version),
            Some(Long("verbose") | Short('v')) => verbose = true,
            Some(Value(word)) => {
                let name = word.to_string_lossy();
                let command = match &*name {
                    "help" => return Ok(Invocation::Help(None)),
                    "version" => return Ok(Invocation::Version),
                    name => command(name).ok_or_else(|| unknown(name))?,
                };
                return rest(parser, command, verbose);
            }
            Some(other) => return Err(other.unexpected().into()),
        }
    }
}

fn unknown(name: &str) -> anyhow::Error {
    let names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
    anyhow!(
        "unknown command {name:?}; commands are {}",
        names.join(", ")
    )
}

fn rest(
    mut parser: lexopt::Parser,
    command: &'static Command,
    mut verbose: bool,
) -> Result<Invocation> {
    let mut options = BTreeMap::new();
    let mut arguments = Vec::new();
    let mut instead = Vec::new();
    while let Some(word) = parser.next()? {
        match word {
            Long("help") | Short('h') => return Ok(Invocation::Help(Some(command))),
            Long("verbose") | Short('v') => verbose = true,
            Long(name) if command.name == "render" && former::find(name).is_some() => {
                let line = former::find(name).map(Former::instead);
                instead.extend(line.filter(|line| !instead.contains(line)));
                // Its value is of no interest, nor is it that there is none.
                parser.values().into_iter().flatten().for_each(drop);
            }
            Long(name) => {
                let flag = command.options.iter().find(|flag| flag.name == name);
                let flag = flag.with_context(|| {
                    format!(
                        "{} has no option --{name}; see slipway {} --help",
                        command.name, command.name
                    )
                })?;
                let value = if flag.value.is_empty() {
                    OsString::new()
                } else {
                    parser.value()?
                };
                options.insert(flag.name, value);
            }
            Value(word) if arguments.len() < most(command) => arguments.push(word),
            other => return Err(other.unexpected().into()),
        }
    }
    if !instead.is_empty() {
        bail!(
            "the machine document takes the place of\n{}",
            instead.join("\n")
        );
    }
    Ok(Invocation::Run(Words {
        command,
        verbose,
        options,
        arguments,
    }))
}

/// How many arguments a command takes: several where the table shows dots.
fn most(command: &Command) -> usize {
    match command.argument {
        "" => 0,
        argument if argument.contains('…') => usize::MAX,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;

    fn words(line: &str) -> Result<Invocation> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn commands_with_options() {
        let Invocation::Run(words) = words("start --asset-dir /a --strict").unwrap() else {
            panic!()
        };
        assert_eq!(words.command.name, "start");
        assert_eq!(words.path("asset-dir").unwrap(), PathBuf::from("/a"));
        assert!(words.has("strict") && !words.has("root"));
    }

    #[test]
    fn usage_errors_name_what_is_wrong() {
        for (line, names) in [
            ("", "no command"),
            ("lunch", "lunch"),
            ("start --strikt", "strikt"),
            ("start --asset-dir", "asset-dir"),
            ("render extra", "extra"),
            ("validate a b", "b"),
        ] {
            let error = words(line).unwrap_err();
            assert_eq!(exit_of(&error), Exit::Usage, "{line}");
            assert!(format!("{error:#}").contains(names), "{line}: {error:#}");
        }
    }

    #[test]
    fn a_command_takes_as_many_arguments_as_the_table_shows() {
        let Invocation::Run(words) = words("certs renew tls/a --all tls/b").unwrap() else {
            panic!()
        };
        assert_eq!(words.arguments().unwrap(), ["renew", "tls/a", "tls/b"]);
    }

    #[test]
    fn flags_of_the_original_are_answered_with_a_field() {
        for former in &former::FORMER {
            let name = former.name;
            for line in [
                format!("render --{name} a,b"),
                format!("render --{name}=a,b"),
                format!("render --{name}"),
                format!("render --{name} --asset-dir /a"),
            ] {
                let error = words(&line).unwrap_err();
                assert_eq!(exit_of(&error), Exit::Usage, "{line}");
                let text = format!("{error:#}");
                assert!(text.contains(&former.instead()), "{line}: {text}");
            }
            assert!(words(&format!("start --{name} a")).is_err());
        }
        let line = "render --plugin-flag a --pod-cidr=10.2.0.0/16 --plugin-flag b --asset-dir=/a";
        let text = format!("{:#}", words(line).unwrap_err());
        let expected =
            "the machine document takes the place of\n--plugin-flag: slipway needs no plugin";
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains("\n--pod-cidr: cluster.podCIDR (one, or a list of two)"),
            "{text}"
        );
        assert!(matches!(
            words("render --asset-dir /a"),
            Ok(Invocation::Run(_))
        ));
    }

    #[test]
    fn help_is_per_command() {
        assert!(
            matches!(words("start --help"), Ok(Invocation::Help(Some(c))) if c.name == "start")
        );
        assert!(matches!(words("--help"), Ok(Invocation::Help(None))));
    }
}
