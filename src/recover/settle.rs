//! After a recovery: the asset directory as if there had been none.
//!
//! What was recovered served the launch alone: a temporary control plane of that day's images, and copies of Secrets that
//! nobody renews. Left where it is it would be believed at the next launch.

use std::path::Path;

use anyhow::Result;

use super::prepare::Task;
use super::rbac;
use crate::assets::BOOTSTRAP_MANIFESTS;
use crate::node::{lock, tree};
use crate::pki::Order;
use crate::recovery;
use crate::render::directory;

/// What a recovery puts into an asset directory.
const OURS: [&str; 5] = [
    recovery::FILE,
    rbac::FILE,
    "tls/secrets/",
    "tls/config-maps/",
    BOOTSTRAP_MANIFESTS,
];

/// Removes it, and renders what stood in its place.
pub fn settle(folder: &Path, task: &Task<'_>) -> Result<()> {
    let _lock = lock::take(folder)?;
    let earlier = directory::load(folder)?;
    if earlier.get(recovery::FILE).is_none() {
        return Ok(());
    }
    let rest = earlier.only(|path| !OURS.iter().any(|ours| path.starts_with(ours)));
    let order = Order::default();
    let planned = directory::plan_from(task.machine, task.given, rest, task.dated, false, &order)?;
    tree::replace(folder, &planned.merged.assets)
}
