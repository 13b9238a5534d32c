//! The command line of `./x`.

use crate::build::Arch;
use crate::demo;
use crate::scenario::Tier;
use anyhow::{Context, Result, bail};
use lexopt::{Arg, Parser, ValueExt};
use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints; one screen.
pub const HELP: &str = "\
Builds, launches and tests slipway. Everything is built from pinned sources and cached by content.

  ./x demo [--config FILE] [--once] [--out DIR]
                       launch a machine in QEMU, show it live, keep it until Ctrl-C; with --once
                       power it off and leave result.json, timeline.svg, console.log in DIR
  ./x test [--tier unit|api|node|vm] [NAME]
                       run every test, those of one tier, or those whose name contains NAME
  ./x soak [ROUNDS]    run every scenario ROUNDS times (10)
  ./x bench [launch|reboot|recover|idle|render|snapshot|fetch|boot|size]
                       what all that costs, or one part: JSON, median and worst of five
  ./x build [--arch x86_64|aarch64]
                       the static binary: target/slipway
  ./x install --destdir DIR
                       put the binary, the dracut module and the units into a tree
  ./x image            the OS image: target/image
  ./x payload          Kubernetes, etcd, containerd, … from Go modules: target/payload

Progress goes to stderr; each step's full log lies in target/log/.
";

/// One run of the driver.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Print [`HELP`].
    Help,
    /// Measure everything, or one part.
    Bench(Option<String>),
    /// Build the binary.
    Build(Arch),
    /// Launch a machine and show it.
    Demo(demo::Options),
    /// Build the OS image.
    Image,
    /// Put slipway's files below a folder.
    Install(PathBuf),
    /// Build the payload.
    Payload,
    /// Run every scenario so many times.
    Soak(u32),
    /// Run tests.
    Test {
        /// Only this tier.
        tier: Option<Tier>,
        /// Only tests whose name contains this.
        name: Option<String>,
    },
}

/// Parses the arguments after the program's name.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command> {
    let mut parser = Parser::from_args(args);
    let command = match parser.next()? {
        None | Some(Arg::Long("help") | Arg::Short('h')) => return Ok(Command::Help),
        Some(Arg::Value(command)) => command.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "test" => test(&mut parser),
        "bench" => bench(&mut parser),
        "build" => build(&mut parser),
        "demo" => demo_options(&mut parser),
        "image" => bare(&mut parser, Command::Image),
        "install" => install(&mut parser),
        "payload" => bare(&mut parser, Command::Payload),
        "soak" => soak(&mut parser),
        "help" => Ok(Command::Help),
        other => bail!("there is no command '{other}'"),
    }
}

fn test(parser: &mut Parser) -> Result<Command> {
    let (mut tier, mut name) = (None, None);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("tier") => tier = Some(tier_of(&parser.value()?.string()?)?),
            Arg::Value(value) if name.is_none() => name = Some(value.string()?),
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Test { tier, name })
}

fn bench(parser: &mut Parser) -> Result<Command> {
    let mut part = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Value(value) if part.is_none() => part = Some(value.string()?),
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Bench(part))
}

fn soak(parser: &mut Parser) -> Result<Command> {
    let mut rounds = 10;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Value(value) => rounds = value.parse()?,
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Soak(rounds))
}

fn tier_of(text: &str) -> Result<Tier> {
    Tier::ALL
        .into_iter()
        .find(|tier| tier.name() == text)
        .with_context(|| format!("--tier is one of unit, api, node, vm, not '{text}'"))
}

fn build(parser: &mut Parser) -> Result<Command> {
    let mut arch = Arch::X86_64;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("arch") => arch = arch_of(&parser.value()?.string()?)?,
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Build(arch))
}

fn demo_options(parser: &mut Parser) -> Result<Command> {
    let mut options = demo::Options::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("config") => options.config = Some(parser.value()?.into()),
            Arg::Long("once") => options.once = true,
            Arg::Long("out") => options.out = Some(parser.value()?.into()),
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Demo(options))
}

fn install(parser: &mut Parser) -> Result<Command> {
    let mut destdir = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("destdir") => destdir = Some(parser.value()?.into()),
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Install(
        destdir.context("install needs --destdir DIR")?,
    ))
}

fn arch_of(text: &str) -> Result<Arch> {
    match text {
        "x86_64" | "amd64" => Ok(Arch::X86_64),
        "aarch64" | "arm64" => Ok(Arch::Aarch64),
        other => bail!("--arch is x86_64 or aarch64, not '{other}'"),
    }
}

/// A command that takes no arguments.
fn bare(parser: &mut Parser, command: Command) -> Result<Command> {
    match parser.next()? {
        None => Ok(command),
        Some(Arg::Long("help") | Arg::Short('h')) => Ok(Command::Help),
        Some(other) => Err(other.unexpected().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn understands_what_help_says() {
        let name = Some("launch".to_owned());
        let cases = [
            ("", Command::Help),
            ("--help", Command::Help),
            ("test --help", Command::Help),
            (
                "test",
                Command::Test {
                    tier: None,
                    name: None,
                },
            ),
            (
                "test --tier=vm launch",
                Command::Test {
                    tier: Some(Tier::Vm),
                    name,
                },
            ),
            ("build", Command::Build(Arch::X86_64)),
            ("build --arch aarch64", Command::Build(Arch::Aarch64)),
            ("payload", Command::Payload),
            ("bench", Command::Bench(None)),
            ("bench boot", Command::Bench(Some("boot".to_owned()))),
            ("soak", Command::Soak(10)),
            ("soak 3", Command::Soak(3)),
            ("install --destdir /d", Command::Install("/d".into())),
        ];
        for (line, expected) in cases {
            assert_eq!(parsed(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in [
            "tset",
            "test --tier kube",
            "test a b",
            "--tier",
            "build --arch m68k",
            "payload x",
            "bench a b",
            "soak often",
            "install",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn help_fits_a_screen() {
        assert!(HELP.lines().count() <= 24);
        assert!(HELP.lines().all(|line| line.chars().count() <= 100));
    }
}
