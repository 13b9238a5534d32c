//! The node's part: `slipway checkpoint node`, slipway-checkpoint.service.
//!
//! A loop of three steps: look ([`super::observe`]), decide ([`super::decide`]), act. It looks when the watch tells of a
//! change, every second while anything is out of order, and else seldom. It runs as root on the host beside the
//! kubelet, not in a pod: what must bring pods back cannot be one of them.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use super::decide::{Action, Form, decide};
use super::health::Health;
use super::observe::Eyes;
use super::pods::{KUBECONFIG, News, Source};
use super::releases::Releases;
use super::room;
use super::serving::{Gates, is_gated};
use super::shelf::{Checkpoint, Shelf};
use super::take::Taker;
use super::view::View;
use super::workload::{Workload, ready_since};
use crate::exit::{Exit, fail};
use crate::node::lock::{self, Attempt};
use crate::node::{files, notify, signals};
use crate::report::Reporter;

/// What the node's part needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The prefix of every path; `/` on a machine.
    pub root: PathBuf,
    /// The asset directory, whose `tls/checkpoint/` has the certificates of accounts.
    pub asset_dir: PathBuf,
    /// The node's name in the API.
    pub node: String,
    /// Where the API server listens that only this node reaches.
    pub loopback: SocketAddr,
    /// The node's address and the API server's port.
    pub address: SocketAddr,
    /// Where parents are looked for.
    pub namespaces: Vec<String>,
    /// How long the API must say that a workload is gone before its checkpoint goes.
    pub grace: Duration,
    /// The container runtime's socket.
    pub runtime: PathBuf,
    /// Where GET /readyz is answered.
    pub health: SocketAddr,
}

/// Of which there may be one on a node.
const LOCK: &str = "/run/slipway/checkpoint";
/// Between two looks while anything is out of order, and else.
const RESTLESS: Duration = Duration::from_secs(1);
const RESTFUL: Duration = Duration::from_secs(60);
/// Longer than any process of the control plane drains.
const PROVEN: Duration = Duration::from_secs(45);
/// What a process that has spoken for itself is given to fall over.
const PROVEN_BY_ITSELF: Duration = Duration::from_secs(10);
/// A burst of changes is one change.
const BURST: Duration = Duration::from_millis(100);

/// Keeps checkpoints until it is told to end.
pub fn run(options: &Options, reporter: &mut Reporter) -> Result<()> {
    signals::end_when_told()?;
    let _alone = alone(options)?;
    let door = TcpListener::bind(options.health).with_context(|| {
        let address = options.health;
        format!("cannot serve /readyz at {address}; name another with --health-address")
    })?;
    let health = Health::serve(door, "it has not looked yet", || None);
    reporter.title(&format!(
        "slipway {} · keeps checkpoints of {} on {}",
        env!("CARGO_PKG_VERSION"),
        options.namespaces.join(", "),
        options.node
    ));
    reporter.stage("checkpoint");
    let source = Source {
        kubeconfig: files::below(&options.root, KUBECONFIG),
        node: options.node.clone(),
        namespaces: options.namespaces.clone(),
    };
    let news = source.clone().follow();
    let mut keeper = Keeper::new(options, source, reporter)?;
    // What it waits for may take the whole boot, which must not wait for it.
    notify::ready();
    loop {
        let turn = keeper.turn();
        let trouble = turn.unwrap_or_else(|error| format!("{error:#}"));
        if health.set(&trouble) {
            let text = match trouble.is_empty() {
                true => "all checkpoints are kept",
                false => &trouble,
            };
            keeper.reporter.line(text);
        }
        keeper.wait(&news)?;
    }
}

/// Whether a pod has not been Ready for long enough to replace the checkpoint of an earlier one. On a port that two API servers
/// share, a new one may be called Ready on the old one's answers for as long as that one drains, unless its gate kept it from that.
fn is_too_young(kept: &Checkpoint, parent: &Value, now: SystemTime) -> bool {
    let is_other = parent["metadata"]["name"] != *kept.parent;
    let since = ready_since(parent);
    let proven = match is_gated(parent) {
        true => PROVEN_BY_ITSELF,
        false => PROVEN,
    };
    is_other && since.is_none_or(|since| now < since + proven)
}

/// Two at work on the same folders would undo each other's.
fn alone(options: &Options) -> Result<Option<lock::Lock>> {
    let place = files::below(&options.root, LOCK);
    match lock::attempt(&place, "slipway checkpoint node")? {
        Attempt::Ours(lock) => Ok(lock),
        Attempt::Theirs(who) => {
            let error = anyhow!("{who} keeps the checkpoints of this node; stop it first");
            Err(fail(Exit::Refused, error))
        }
    }
}

/// Which pod a checkpoint is of that is activated: the last one that worked.
fn told_of(view: &View, workload: &Workload, action: Action) -> String {
    let kept = view.shelved.kept(workload);
    let kept = kept.filter(|_| matches!(action, Action::Activate(_)));
    kept.map_or_else(String::new, |kept| {
        format!("; pod {} was the last that worked", kept.parent)
    })
}

struct Keeper<'a> {
    root: PathBuf,
    shelf: Shelf,
    eyes: Eyes,
    taker: Taker,
    gates: Gates,
    /// Whether a gate is to be looked at again soon.
    waits: bool,
    releases: Releases,
    reporter: &'a mut Reporter,
}

impl<'a> Keeper<'a> {
    /// Begins with what a power cut interrupted.
    fn new(options: &Options, source: Source, reporter: &'a mut Reporter) -> Result<Self> {
        let shelf = Shelf::new(&options.root);
        if let Err(error) = shelf.finish() {
            reporter.line(format!("an interrupted change stays unfinished: {error:#}"));
        }
        Ok(Self {
            root: options.root.clone(),
            shelf,
            eyes: Eyes::new(options, source)?,
            taker: Taker::new(options),
            gates: Gates::new(options),
            waits: false,
            releases: Releases::default(),
            reporter,
        })
    }

    /// One look and what follows from it. Returns what is wrong, for the door.
    fn turn(&mut self) -> Result<String> {
        self.tend_gates();
        let mut view = self.eyes.look(&self.shelf)?;
        let mut trouble = Vec::from_iter(room::trouble(&self.root));
        if self.keep(&view, &mut trouble) {
            view = self.eyes.look(&self.shelf)?;
        }
        for (workload, seen) in &view.workloads {
            if let Some((action, why)) = decide(&view.node, seen) {
                let from = told_of(&view, workload, action);
                self.reporter
                    .line(format!("{action}: {workload}\n{why}{from}"));
                // What cannot be done for one is no reason to leave the others.
                let done = self.act(&view, workload, action);
                let done =
                    done.with_context(|| format!("cannot {action} the checkpoint of {workload}"));
                trouble.extend(done.err().map(|error| format!("{error:#}")));
            }
        }
        if let Some(client) = self.eyes.account() {
            let released = self.releases.settle(&client, &view)?;
            self.say(&released);
        }
        if let Some(running) = self.eyes.running() {
            let done = self.shelf.tidy(&running);
            trouble.extend(done.err().map(|error| format!("{error:#}")));
        }
        trouble.extend(view.trouble);
        Ok(trouble.join("\n"))
    }

    /// The launch waits for gates, so unlike the rest they are seen to before it is over.
    fn tend_gates(&mut self) {
        let tended = self.gates.tend(&self.eyes.gated());
        for line in tended.said {
            self.reporter.line(line);
        }
        self.waits = tended.waits;
    }

    /// Takes what there is to take and mends what is damaged; returns whether anything was.
    fn keep(&mut self, view: &View, trouble: &mut Vec<String>) -> bool {
        let mut said = Vec::new();
        for (workload, parent) in self.eyes.parents() {
            let kept = view.shelved.whole(&workload);
            if kept.is_some_and(|kept| is_too_young(kept, &parent, SystemTime::now())) {
                continue;
            }
            match self.taker.take(&workload, &parent, &self.shelf) {
                Ok(taken) => said.extend(taken),
                Err(error) => trouble.push(format!("no checkpoint of {workload}: {error:#}")),
            }
        }
        match self.taker.mend(&self.shelf) {
            Ok(mended) => said.extend(mended),
            Err(error) => trouble.push(format!("a checkpoint is not mended: {error:#}")),
        }
        self.say(&said);
        !said.is_empty()
    }

    /// What was changed here is looked at again soon.
    fn say(&mut self, lines: &[String]) {
        for line in lines {
            self.reporter.line(line);
            self.eyes.stir();
        }
    }

    fn act(&mut self, view: &View, workload: &Workload, action: Action) -> Result<()> {
        match action {
            Action::Activate(form) => {
                let kept = view.shelved.kept(workload).context("it is not kept")?;
                self.shelf.activate(kept, form == Form::Closed)
            }
            Action::Deactivate => {
                if let Some(client) = self.eyes.account() {
                    self.releases.note(&client, view, workload);
                }
                view.shelved
                    .active(workload)
                    .try_for_each(|active| self.shelf.deactivate(active))
            }
            Action::End => self.eyes.end(workload),
            Action::Remove => {
                let kept = view.shelved.kept(workload).context("it is not kept")?;
                self.shelf.remove(kept)?;
                self.taker.forget(workload);
                Ok(())
            }
        }
    }

    /// Until something changes or it is time to look again.
    fn wait(&mut self, news: &Receiver<News>) -> Result<()> {
        let pause = match self.eyes.is_restless() || self.waits {
            true => RESTLESS,
            false => RESTFUL,
        };
        let mut until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match news.recv_timeout(left) {
                Ok(told) => {
                    if self.eyes.hear(told) {
                        until = until.min(Instant::now() + BURST);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => {
                    let error = anyhow!("the watch of pods ended; the service manager starts anew");
                    return Err(error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
