//! The launch: from an asset directory to a cluster that runs itself.
//!
//! [`decide`] says what is left to do, as a pure function of what is there; the steps are below. Each
//! can be repeated: it looks first and does what is missing. Killed at any instant, the launch is run
//! again and converges; if it fails, the temporary control plane stays and serves.
//!
//! The road not taken is the original's: create everything, wait for phase Running, tear down in a
//! `defer`. It could not be re-run, called itself done too early, and left the port to be fought over.

pub(crate) mod apply;
mod bring_up;
pub(crate) mod converge;
mod decide;
mod former;
mod handover;
mod journal;
pub(crate) mod lease;
mod mounts;
pub(crate) mod nodes;
mod permanent;
pub(crate) mod plane;
pub(crate) mod ready;
#[cfg(test)]
mod ready_tests;
mod seed;
pub(crate) mod turn;
pub(crate) mod wait;
mod watcher;
mod waves;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use crate::assets::Assets;
use crate::config::machine::Timeouts;
use crate::exit::{Exit, fail};
use crate::kube::{self, Client, Options as ClientOptions};
use crate::node::boot::Boot;
use crate::node::{files, notify};
use crate::report::{Outcome, Reporter};
use converge::all_ready;
use decide::{Seen, Step, static_steps, steps};
use journal::Journal;
use plane::Plane;
use ready::Here;

pub use apply::MANAGER;
pub use plane::{Manifest, manifests};
pub use ready::Workload;
pub use seed::{SECRETS as BOOTSTRAP_SECRETS, new_uid};

/// The journal, below the root.
pub const JOURNAL: &str = "/var/lib/slipway/journal";
/// The done-marker, below the root; slipway-start.service is skipped while it exists.
pub const MARKER: &str = "/var/lib/slipway/handed-over";

/// What must be Ready before the handover, unless `--required-pods` says otherwise.
pub const REQUIRED: &str =
    "kube-system/kube-apiserver,kube-system/kube-scheduler,kube-system/kube-controller-manager";

/// And what tells, by being Ready, that the node keeps checkpoints of these: the launch is not over before it would
/// survive a reboot. Of the asset directories that bring it with [`TELLS`].
pub const CHECKPOINTER: &str = "kube-system/pod-checkpointer";
/// The argument that makes its readiness the node's.
const TELLS: &str = "--node-health";

/// What `slipway start` was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The prefix of every path; `/` on a machine.
    pub root: PathBuf,
    /// The asset directory.
    pub asset_dir: PathBuf,
    /// The kubelet's static pod folder.
    pub pod_manifest_path: PathBuf,
    /// What must be Ready before the handover; empty: [`REQUIRED`], and [`CHECKPOINTER`] where it tells.
    pub required_pods: Vec<Workload>,
    /// Whether one refused manifest ends the launch.
    pub strict: bool,
    /// Whether fields that others changed since the handover are taken back.
    pub force_conflicts: bool,
    /// How long each wait may take.
    pub timeouts: Timeouts,
}

/// A launch under way.
struct Launch<'a> {
    options: &'a Options,
    assets: &'a Assets,
    plane: &'a Plane,
    /// The admin at 127.0.0.1.
    loopback: Client,
    /// The admin at this node's address.
    node: Client,
    here: Here,
    journal: Journal,
    reporter: &'a mut Reporter,
    refused: Vec<apply::Refusal>,
}

/// Carries the assets into a cluster and hands over (to static pods that stay there is nothing to hand
/// over); says so and touches nothing if that is done already.
pub fn run(options: &Options, assets: &Assets, reporter: &mut Reporter) -> Result<()> {
    let plane = Plane::new(assets)
        .with_context(|| format!("cannot launch from {}", options.asset_dir.display()))?;
    let options = &Options {
        required_pods: waves::required(&plane.manifests, options)?,
        ..options.clone()
    };
    let boot = Boot::read(Path::new("/"))?;
    let loopback = client(&plane.admin, plane.loopback)?;
    let node = client(&plane.admin, plane.node)?;
    let journal = Journal::open(&files::below(&options.root, JOURNAL), &boot.id)?;
    let recovery = former::pending(&journal, plane.recovery.as_ref());
    let here = Here {
        address: plane.node.ip(),
        since: boot.started,
        heard: former::heard(&journal, recovery),
        recovers: recovery.is_some(),
    };
    let seen = Seen {
        serving: is_serving(&loopback).is_ok(),
        temporary: !plane.stays && seed::is_in_place(&options.pod_manifest_path, &plane.apiserver),
        ready: !plane.stays
            && former::is_cleared(&journal, recovery)
            && is_serving(&node).is_ok()
            && all_ready(&loopback, &options.required_pods, here),
        marked: files::below(&options.root, MARKER).exists(),
    };
    let (steps, done) = match plane.stays {
        false => (steps(seen), "already handed over"),
        true => (static_steps(seen), "already launched"),
    };
    if steps.is_empty() {
        notify::ready();
        reporter.keep_earlier_record();
        reporter.stage("done");
        let text = format!("{done}; the cluster answers, nothing to do");
        reporter.finish(Outcome::HandedOver, &text);
        return Ok(());
    }
    let mut launch = Launch {
        options,
        assets,
        plane: &plane,
        loopback,
        node,
        here,
        journal,
        reporter,
        refused: Vec::new(),
    };
    launch.enter("start", &json!({ "seen": format!("{seen:?}") }))?;
    steps.iter().try_for_each(|step| launch.take(*step))
}

/// How many launches and recoveries were done on the machine below `root`.
pub fn done_before(root: &Path) -> Result<usize> {
    journal::count(&files::below(root, JOURNAL), "done")
}

fn client(admin: &kube::Config, door: std::net::SocketAddr) -> Result<Client> {
    let options = ClientOptions {
        connect_to: Some(door),
        ..ClientOptions::default()
    };
    Client::new(admin, options).context("cannot use the credentials of auth/kubeconfig")
}

/// Whether an apiserver says that it is ready; otherwise why not.
pub(crate) fn is_serving(client: &Client) -> Result<(), String> {
    match client.status("/readyz") {
        Ok((200, _)) => Ok(()),
        Ok((code, body)) => Err(format!("/readyz answers {code}: {}", failed_checks(&body))),
        Err(error) => Err(error.to_string()),
    }
}

/// The checks of a /readyz body that failed, which are marked `[-]`.
pub(crate) fn failed_checks(body: &str) -> String {
    let failed: Vec<_> = body
        .lines()
        .filter_map(|line| line.strip_prefix("[-]"))
        .collect();
    if failed.is_empty() {
        body.trim().chars().take(200).collect()
    } else {
        failed.join(", ")
    }
}

impl Launch<'_> {
    fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Etcd => self.seed_etcd(),
            Step::Apiserver => self.seed_apiserver(),
            Step::Controllers => self.seed_controllers(),
            Step::Apply => self.apply(),
            Step::Wait => self.wait(),
            Step::Handover => self.hand_over(),
            Step::StaticPods => self.await_static_pods(),
            Step::Settle => self.settle(),
        }
    }

    fn enter(&mut self, step: &str, facts: &Value) -> Result<()> {
        self.journal.enter(step, facts)
    }
}

/// An error that ends the launch because going on could lose something.
fn refuse(text: String) -> anyhow::Error {
    fail(Exit::Refused, anyhow!(text))
}
