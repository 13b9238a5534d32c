//! A native node as the harness holds it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::Pid;
use slipway::kube::{Client, Options, kubeconfig};

use crate::scenario::Context;
use crate::scenarios::{Api, Kubectl};

use super::cgroup::Cgroups;
use super::holder::{Disk, READY};
use super::launch::ADMIN;
use super::life::Life;
use super::network::{Network, Place};
use super::process::{Finished, Process, Program};
use super::{reexec, services, tracer};

/// What a node is like.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Host name; also names the node's folder and groups.
    pub name: String,
    /// Its main address, in 10.77.0.0/24 or fd77::/64.
    pub address: String,
    /// Its address of the other family, if it has both.
    pub second_address: Option<String>,
    /// The switch it is plugged into; without, it is alone in the world.
    pub network: Option<Arc<Network>>,
}

impl NodeSpec {
    /// A node called `name` with the main address `address`.
    pub fn new(name: &str, address: &str) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            second_address: None,
            network: None,
        }
    }

    /// With an address of the other family too.
    pub fn dual_stack(self, second: &str) -> Self {
        Self {
            second_address: Some(second.into()),
            ..self
        }
    }

    /// Plugged into a switch.
    pub fn on(self, network: &Arc<Network>) -> Self {
        Self {
            network: Some(Arc::clone(network)),
            ..self
        }
    }

    fn place(&self) -> Result<Place> {
        let addresses = std::iter::once(&self.address).chain(&self.second_address);
        let addresses = addresses.map(|text| {
            text.parse()
                .with_context(|| format!("{text:?} is no address"))
        });
        Ok(Place {
            addresses: addresses.collect::<Result<_>>()?,
            switch: self.network.as_ref().map(|network| network.keeper()),
        })
    }
}

impl Default for NodeSpec {
    fn default() -> Self {
        Self::new("node-a", "10.77.0.2")
    }
}

/// A machine made of namespaces: create it, boot it, cut its power, boot it again. Dropping it
/// removes every trace but its logs.
#[derive(Debug)]
pub struct Node {
    spec: NodeSpec,
    disk: Disk,
    logs: PathBuf,
    shown: Vec<(PathBuf, PathBuf)>,
    holder: Child,
    running: Option<Running>,
}

/// A node that is on.
#[derive(Debug)]
struct Running {
    life: Child,
    init: i32,
    orders: Arc<OwnedFd>,
}

impl Node {
    /// Makes the node's disk, with the payload's images in it. The node is off.
    pub fn create(context: &Context, spec: NodeSpec) -> Result<Self> {
        let folder = context.work.join(&spec.name);
        let logs = folder.join("log");
        fs::create_dir_all(&logs)?;
        // Both may be links into the cache.
        let target = |path: PathBuf| fs::canonicalize(&path).unwrap_or(path);
        let disk = Disk {
            mountpoint: folder.join("disk"),
            lower: target(context.image.join("rootfs")),
            store: target(context.payload.join("store")),
            cgroups: Cgroups::create(&spec.name)?,
        };
        let holder = start_holder(&disk, &logs.join("holder.log"))?;
        let units = services::UNITS.map(|(from, to)| (context.repo.join(from), to.into()));
        let mut shown = vec![
            (context.payload.join("bin"), "/opt/harness/bin".into()),
            (context.payload.join("cni"), "/opt/cni/bin".into()),
            (context.slipway.clone(), "/usr/bin/slipway".into()),
            (context.repo.join("target/prober"), "/usr/bin/prober".into()),
        ];
        shown.extend(units);
        Ok(Self {
            spec,
            disk,
            logs,
            shown,
            holder,
            running: None,
        })
    }

    /// Shows a folder or file of the host inside, read-only, from the next boot on: above what the place had before.
    pub fn show(&mut self, from: PathBuf, inside: &str) {
        self.shown.push((from, inside.into()));
    }

    /// Turns the node on: namespaces, file systems, network; nothing runs yet.
    pub fn boot(&mut self) -> Result<()> {
        self.power_cut()?;
        let told = Life {
            holder: self.holder.id(),
            disk: self.disk.clone(),
            name: self.spec.name.clone(),
            place: self.spec.place()?,
            shown: self.shown.clone(),
            logs: self.logs.clone(),
        };
        let kind = SockType::SeqPacket;
        let (orders, theirs) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)?;
        let log = self.logs.join("init.log");
        let mut life = reexec::command(reexec::LIFE, &told)?
            .stdin(theirs)
            .stdout(Stdio::piped())
            .stderr(append(&log)?)
            .spawn()?;
        let line = first_line(&mut life, &log)?;
        let init = line
            .parse()
            .with_context(|| format!("{line:?} is not a process id"))?;
        self.running = Some(Running {
            life,
            init,
            orders: Arc::new(orders),
        });
        let up = self.run(&Program::new(["true"]));
        up.with_context(|| format!("the node did not come up; see {}", log.display()))?;
        Ok(())
    }

    /// Turns the node off without warning: everything that runs is killed, /etc and /var stay.
    pub fn power_cut(&mut self) -> Result<()> {
        let Some(mut running) = self.running.take() else {
            return Ok(());
        };
        // It may have ended by itself already; waiting for its parent tells.
        let _ = kill(Pid::from_raw(running.init), Signal::SIGKILL);
        running.life.wait()?;
        self.disk.cgroups.remove_below()
    }

    /// Starts a program inside.
    pub fn start(&self, program: &Program) -> Result<Process> {
        let running = self.running.as_ref().context("the node is off")?;
        Process::start(program, &running.orders, &self.logs)
    }

    /// Kills a program that was started inside as soon as `is_time` says so, between two of its
    /// system calls.
    pub fn kill_when(&self, process: &Process, is_time: impl FnMut() -> bool) -> Result<()> {
        let running = self.running.as_ref().context("the node is off")?;
        tracer::kill_when(running.init, process.pid(), is_time)
    }

    /// Runs a program inside to its end, whatever its exit code.
    pub fn run(&self, program: &Program) -> Result<Finished> {
        self.start(program)?.wait()
    }

    /// Runs `work` in a thread that is in the node's network, as are the threads that it starts.
    pub fn in_network<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let running = self.running.as_ref().context("the node is off")?;
        let network = File::open(format!("/proc/{}/ns/net", running.init))?;
        let inside = || {
            setns(&network, CloneFlags::CLONE_NEWNET).context("cannot enter the node's network")?;
            work()
        };
        thread::scope(|scope| {
            let inside = scope.spawn(inside);
            inside.join().unwrap_or_else(|_| bail!("it panicked"))
        })
    }

    /// A path of the node as the host sees it; while the node is off, only what is kept.
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        let inside = inside.strip_prefix("/").unwrap_or(inside);
        let root = |pid: i32| PathBuf::from(format!("/proc/{pid}/root"));
        match &self.running {
            Some(running) => root(running.init).join(inside),
            None => {
                let disk = self.disk.root();
                let disk = disk.strip_prefix("/").unwrap_or(&disk);
                root(self.holder.id().cast_signed()).join(disk).join(inside)
            }
        }
    }

    /// What the node is like.
    pub fn spec(&self) -> &NodeSpec {
        &self.spec
    }

    /// The folder that is /var/log inside.
    pub fn logs(&self) -> &Path {
        &self.logs
    }
}

impl Kubectl for Node {
    fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let program = Program::new([&["kubectl"], arguments].concat());
        self.run(&program.env("KUBECONFIG", ADMIN).input(input))?
            .success()
    }
}

impl Api for Node {
    fn api(&self, work: &mut (dyn FnMut(&Client) -> Result<()> + Send)) -> Result<()> {
        let config = kubeconfig::load(&self.path(ADMIN))?;
        let client = Client::new(&config, Options::default())?;
        self.in_network(|| work(&client))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = self.power_cut() {
            eprintln!("node {}: {error:#}", self.spec.name);
        }
        drop(self.holder.stdin.take());
        if let Err(error) = self.holder.wait() {
            eprintln!("node {}: {error:#}", self.spec.name);
        }
    }
}

/// Ctrl-C goes to the whole process group; the holder has its own, so that it can clean up after
/// the harness is gone.
fn start_holder(disk: &Disk, log: &Path) -> Result<Child> {
    let mut holder = reexec::command(reexec::HOLDER, disk)?
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(append(log)?)
        .spawn()?;
    match first_line(&mut holder, log) {
        Ok(line) if line == READY => Ok(holder),
        Ok(line) => bail!("the holder said {line:?}; see {}", log.display()),
        Err(error) => Err(error),
    }
}

/// The first line that a child prints; if it ends before, the error holds what it complained of.
pub fn first_line(child: &mut Child, log: &Path) -> Result<String> {
    let out = child
        .stdout
        .take()
        .context("the child's output is not a pipe")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    if line.is_empty() {
        child.wait()?;
        bail!("{}", fs::read_to_string(log)?.trim());
    }
    Ok(line.trim().to_owned())
}

/// Opens a log to write at its end.
pub fn append(log: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write {}", log.display()))
}
