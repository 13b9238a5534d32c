//! Writing: the asset directory at once, then this machine's files, then etcd's data; `start` does the rest.
//!
//! Each step looks whether it is done, so a run that was killed is simply run again.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::prepare::{Options, Prepared, Task, Writing, is_local};
use super::source::Source;
use super::{restore, trust};
use crate::assets::Assets;
use crate::node::cri::{CONTAINERD, Runtime, Sandbox};
use crate::node::files::{self, below};
use crate::node::{lock, tree, units};
use crate::render::install;
use crate::report::Reporter;
use crate::start::MARKER;
use crate::start::wait::{Look, Wait, until};

const ETCD: &str = "etcd/etcd.yaml";
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
    let restores = options.is_here && writing.recovery.restored;
    if restores {
        restore::refuse_other_data(&options.root, prepared)?;
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
    if let (true, Source::Snapshot(path, _)) = (restores, &options.source) {
        install(options, &without_etcd(assets), reporter)?;
        restore::run(options, task, prepared, assets, path, reporter)?;
    }
    install(options, assets, reporter)?;
    // Below another root nothing of this runs: what answers here is another cluster's.
    if options.root != Path::new("/") {
        return Ok(());
    }
    if is_local(task.machine) {
        trust::renew(options, assets, reporter)?;
    }
    units::systemctl("start", units::CHECKPOINT)
}

fn replace(options: &Options, writing: &Writing) -> Result<()> {
    let _lock = lock::take(&options.folder)?;
    match writing.assembled.assets == writing.earlier {
        true => tree::sweep(&options.folder),
        false => tree::replace(&options.folder, &writing.assembled.assets),
    }
}

fn without_etcd(assets: &Assets) -> Assets {
    let mut rest = Assets::default();
    let kept = assets.iter().filter(|(path, _)| *path != ETCD);
    kept.for_each(|(path, asset)| rest.insert(path, asset.clone()));
    rest
}

/// Installs this machine's files; a kubelet that they change begins anew.
fn install(options: &Options, assets: &Assets, reporter: &mut Reporter) -> Result<()> {
    let changed = install::install(assets, &options.root)?;
    let changed: Vec<_> = changed.iter().filter(|path| is_kubelets(path)).collect();
    if options.root != Path::new("/") {
        return Ok(());
    }
    if changed.is_empty() {
        return units::systemctl("start", units::KUBELET);
    }
    reporter.line(format!(
        "the kubelet restarts: {} of its files are new",
        changed.len()
    ));
    units::systemctl("restart", units::KUBELET)
}

fn is_kubelets(path: &str) -> bool {
    path.starts_with("/etc/kubernetes/kube") || path == "/etc/kubernetes/ca.crt"
}

/// Waits until no container runs of static pods whose names begin so.
pub(super) fn await_end(
    options: &Options,
    pods: &str,
    task: &Task<'_>,
    reporter: &mut Reporter,
) -> Result<()> {
    let mut runtime = Runtime::new(&below(&options.root, CONTAINERD));
    let what = format!("no pod {pods}… runs");
    let wait = Wait {
        what: &what,
        deadline: Instant::now() + task.machine.timeouts.handover,
        every: Duration::from_millis(200),
        changes: None,
        next_step: "see whether the kubelet runs (journalctl -u kubelet), then run this again",
    };
    until(reporter, wait, |_| {
        let sandboxes = match runtime.sandboxes() {
            Ok(sandboxes) => sandboxes,
            Err(error) => return Ok(Look::NotYet(format!("{error:#}"))),
        };
        let mut own = sandboxes.iter().filter(|one| one.name.starts_with(pods));
        Ok(match own.any(Sandbox::runs) {
            true => Look::NotYet("a container of it runs".to_owned()),
            false => Look::There(()),
        })
    })
}
