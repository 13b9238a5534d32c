//! What runs in the cluster for the nodes it stands on: `slipway checkpoint cluster`, the DaemonSet
//! kube-system/pod-checkpointer.
//!
//! It approves the requests of kubelets for serving
//! certificates, and of nodes that join for their first client certificate, which Kubernetes leaves to
//! the cluster's builder: [`approve`] judges (pure), [`watch`]
//! looks and acts. Every control-plane node runs one; they agree, because they judge alike, and the
//! second to act meets a conflict.
//!
//! It is Ready when it works and when the node's own half ([`unit`]) says that this node has its checkpoints, so whoever
//! waits for this pod knows that the node survives a reboot.

mod approve;
mod policy;
mod unit;
mod watch;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::health::Health;
use crate::node::signals;
use crate::report::Reporter;
pub use policy::{Lists, Policy};
use unit::Unit;

/// What `slipway checkpoint cluster` was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the API server is, and who we are; read anew for every watch, because tokens are renewed.
    pub kubeconfig: PathBuf,
    /// Whose requests are approved.
    pub policy: Policy,
    /// Where /readyz is answered.
    pub health: SocketAddr,
    /// Where the node's unit answers it; without it nobody keeps checkpoints here.
    pub unit: Option<SocketAddr>,
}

/// The pause between two watches; each failure doubles it.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Approves and denies until it is told to end. It survives an API server that does not answer:
/// then it is not ready, says why, and asks again.
pub fn run(options: &Options, reporter: &mut Reporter) -> Result<()> {
    signals::end_when_told()?;
    let door = TcpListener::bind(options.health).with_context(|| {
        let address = options.health;
        format!("cannot serve /readyz at {address}; name another with --health-address")
    })?;
    let unit = options.unit.map(Unit::at);
    let health = Health::serve(door, "the API server was not asked yet", move || {
        unit.as_ref().and_then(Unit::trouble)
    });
    let policy = &options.policy;
    reporter.title(&format!(
        "slipway {} · lets in nodes {} and approves their serving certificates at {}",
        env!("CARGO_PKG_VERSION"),
        policy.names(),
        policy.networks()
    ));
    reporter.stage("approve");
    let mut pause = SHORTEST_PAUSE;
    loop {
        pause = match watch::once(options, &health, reporter) {
            Ok(()) => SHORTEST_PAUSE,
            Err(error) => {
                let error = format!("{error:#}");
                health.set(&error);
                reporter.line(format!("not approving now; asking again\n{error}"));
                (pause * 2).min(LONGEST_PAUSE)
            }
        };
        thread::sleep(pause);
    }
}
