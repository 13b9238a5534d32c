//! The life of certificates after the launch: what there is, renewal, another authority.
//!
//! Nothing here keeps a journal. The asset directory is what should be, the cluster and the node are
//! what is, and a run makes the second like the first: so whatever a run that was killed left undone,
//! the next one does. The API server reads its files again while it runs and shows or publishes what it has
//! read, so it is only looked at (docs/certificates.md tells what its restart would cost). The others are
//! restarted, one at a time, each once the one before works: some of them would read their files again
//! within minutes, and none would tell that it did.

mod clients;
mod cluster;
mod confirm;
mod issued;
mod kubelet;
pub mod list;
pub mod metrics;
mod permanent;
mod renew;
mod roll;
mod rotate;

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Result;

pub use renew::renew;
pub use rotate::rotate;

use crate::config::Machine;
use crate::pki::Given;

/// What all of it works on.
pub struct Options<'a> {
    /// The prefix of every path; `/` on a machine.
    pub root: PathBuf,
    /// The asset directory.
    pub asset_dir: PathBuf,
    /// Credentials and server in place of the asset directory's administrator.
    pub kubeconfig: Option<PathBuf>,
    /// Whether fields of Secrets that others changed are taken back.
    pub force: bool,
    /// The machine document.
    pub machine: &'a Machine,
    /// The secrets that it gives.
    pub given: &'a Given,
    /// The time that new certificates begin at; asked for only if there will be any.
    pub dated: &'a dyn Fn() -> Result<SystemTime>,
}
