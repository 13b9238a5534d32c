//! The prober's command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lexopt::prelude::*;

/// What the prober is to do.
pub enum Command {
    /// Probe until told to end.
    Probe(Probe),
    /// Print the addresses of a name.
    Resolve(String),
    /// Print what a URL holds.
    Get(String),
    /// Answer every request on a port.
    Serve(u16),
    /// Print the certificate that a server shows, if it verifies against the authorities of a file.
    Shown(SocketAddr, PathBuf),
}

/// What to probe. The users ask through every door.
#[derive(Default)]
pub struct Probe {
    /// `--user NAME=KUBECONFIG`
    pub users: Vec<(String, PathBuf)>,
    /// `--door ADDRESS:PORT`
    pub doors: Vec<SocketAddr>,
    /// `--service`: ask from inside a pod through Service default/kubernetes.
    pub service: bool,
    /// `--interval MS`, between two requests of a series; default 50.
    pub interval: Duration,
    /// `--observe KUBECONFIG`: watch Leases, endpoints and pods with these credentials.
    pub observe: Option<PathBuf>,
    /// The door for that: the first one.
    pub observe_door: Option<SocketAddr>,
    /// `--manifests DIR`: watch this manifest folder, and this machine's processes.
    pub manifests: Option<PathBuf>,
    /// `--print-every S`: print the report so far now and then.
    pub print_every: Option<Duration>,
}

/// Understands the command line.
pub fn parse(mut parser: lexopt::Parser) -> Result<Command> {
    let mut probe = Probe {
        interval: Duration::from_millis(50),
        ..Probe::default()
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("resolve") => return Ok(Command::Resolve(parser.value()?.string()?)),
            Long("get") => return Ok(Command::Get(parser.value()?.string()?)),
            Long("serve") => return Ok(Command::Serve(parser.value()?.parse()?)),
            Long("shown") => {
                let server = parser.value()?.parse()?;
                return Ok(Command::Shown(server, parser.value()?.into()));
            }
            Long("user") => probe.users.push(user(&parser.value()?.string()?)?),
            Long("door") => probe.doors.push(parser.value()?.parse()?),
            Long("service") => probe.service = true,
            Long("interval") => probe.interval = Duration::from_millis(parser.value()?.parse()?),
            Long("observe") => probe.observe = Some(parser.value()?.into()),
            Long("manifests") => probe.manifests = Some(parser.value()?.into()),
            Long("print-every") => {
                probe.print_every = Some(Duration::from_secs(parser.value()?.parse()?));
            }
            _ => bail!(argument.unexpected()),
        }
    }
    ensure!(
        probe.service || (!probe.users.is_empty() && !probe.doors.is_empty()),
        "nothing to probe: give --user and --door, or --service inside a pod"
    );
    probe.observe_door = probe.doors.first().copied();
    Ok(Command::Probe(probe))
}

fn user(text: &str) -> Result<(String, PathBuf)> {
    let (name, path) = text
        .split_once('=')
        .context("--user takes NAME=KUBECONFIG")?;
    Ok((name.to_owned(), path.into()))
}
