//! Writing: from a snapshot etcd's data first, then the asset directory at once, then this machine's files; `start` does the
//! rest.
//!
//! Each step looks whether it is done, so a run that was killed is simply run again.

use std::path::Path;

use anyhow::Result;

use super::prepare::{Options, Prepared, Task, Writing, is_local};
use super::restore::Restore;
use super::source::Source;
use super::trust;
use crate::assets::{Assets, STATIC_MANIFESTS};
use crate::node::files::{self, below};
use crate::node::{lock, tree, units};
use crate::render::install;
use crate::report::Reporter;
use crate::start::MARKER;

/// What the kubelet is not given before etcd has its data.
const PODS: [&str; 2] = ["etcd/", STATIC_MANIFESTS];
/// Says that the kubelet has to begin anew, until it has.
const STALE: &str = "/run/slipway/kubelet-is-stale";

/// Does what was prepared.
///
/// # Errors
/// [`Exit::Refused`](crate::exit::Exit::Refused) if something would be lost, or another slipway is at work.
pub fn put(
    options: &Options,
    task: &Task<'_>,
    prepared: &Prepared,
    writing: &Writing,
    reporter: &mut Reporter,
) -> Result<()> {
    let assets = &writing.assembled.assets;
    if let (Some(hash), Source::Snapshot(path, _)) = (&writing.recovery.snapshot, &options.source) {
        // The asset directory comes after the data: whoever finds one launches from it, at the next boot at the latest.
        let restore = Restore::new(options, task, assets, hash);
        restore.refuse()?;
        install(options, &without_pods(assets), reporter)?;
        restore.run(path, prepared.found.revision, reporter)?;
    }
    replace(options, writing)?;
    reporter.line(format!(
        "{} files in {}",
        assets.len(),
        options.folder.display()
    ));
    if !options.is_here {
        return Ok(());
    }
    files::remove(&below(&options.root, MARKER))?;
    install(options, assets, reporter)?;
    // Below another root nothing of this runs: what answers here is another cluster's.
    if options.root != Path::new("/") {
        return Ok(());
    }
    if is_local(task.machine) {
        trust::renew(options, task.machine, assets, reporter)?;
    }
    units::systemctl("start", units::CHECKPOINT)
}

fn replace(options: &Options, writing: &Writing) -> Result<()> {
    let _lock = lock::take(&options.folder)?;
    tree::update(&options.folder, &writing.earlier, &writing.assembled.assets)
}

fn without_pods(assets: &Assets) -> Assets {
    assets.only(|path| !PODS.iter().any(|folder| path.starts_with(folder)))
}

/// Installs this machine's files; a kubelet that they change begins anew. A mark says so before they do: whether this
/// run changed anything is not what counts, if the one before it was killed.
fn install(options: &Options, assets: &Assets, reporter: &mut Reporter) -> Result<()> {
    let mark = below(&options.root, STALE);
    let was_stale = mark.exists();
    files::write(&mark, b"", files::PUBLIC)?;
    let changed = install::install(assets, &options.root)?;
    if options.root == Path::new("/") {
        let is_stale = was_stale || changed.iter().any(|path| is_kubelets(path));
        if is_stale {
            reporter.line("the kubelet restarts: some of its files are new");
        }
        let verb = if is_stale { "restart" } else { "start" };
        units::systemctl(verb, units::KUBELET)?;
    }
    files::remove(&mark).map(drop)
}

fn is_kubelets(path: &str) -> bool {
    path.starts_with("/etc/kubernetes/kube") || path == "/etc/kubernetes/ca.crt"
}
