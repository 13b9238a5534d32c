//! Writing: the asset directory at once, then this machine's files, then etcd's data; `start` does the rest.
//!
//! Each step looks whether it is done, so a run that was killed is simply run again.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::prepare::{Options, Prepared, Task, Writing, is_local};
use super::restore;
use super::source::Source;
use crate::assets::Assets;
use crate::node::cri::{CONTAINERD, Runtime};
use crate::node::files::{self, below};
use crate::node::{lock, tree, units};
use crate::render::install;
use crate::report::Reporter;
use crate::start::MARKER;
use crate::start::wait::{Look, Wait, until};

const ETCD: &str = "etcd/etcd.yaml";
/// How long the kubelet may take to begin to end a pod.
const KUBELETS_TURN: Duration = Duration::from_secs(5);
/// What a pod's processes have to end by themselves.
const GRACE: Duration = Duration::from_secs(30);
/// Etcd's own authority; whoever trusts another one is cut off.
const ETCD_AUTHORITY: &str = "tls/etcd-client-ca";

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
    let new_authority = is_local(task.machine)
        && writing
            .issued
            .iter()
            .any(|issued| issued.name == ETCD_AUTHORITY);
    if let (true, Source::Snapshot(path, _)) = (restores, &options.source) {
        install(options, &without_etcd(assets), reporter)?;
        restore::run(options, task, prepared, assets, path, reporter)?;
    } else if new_authority {
        stop_etcd(options, task, reporter)?;
    }
    install(options, assets, reporter)?;
    if options.root == Path::new("/") {
        units::systemctl("start", units::CHECKPOINT)?;
    }
    Ok(())
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

/// Ends this node's etcd, whose authority is replaced: it reads who may talk to it only when it starts.
fn stop_etcd(options: &Options, task: &Task<'_>, reporter: &mut Reporter) -> Result<()> {
    files::remove(&options.pod_manifest_path.join("etcd.yaml"))?;
    await_end(
        options,
        &format!("etcd-{}", task.machine.node.name),
        task,
        reporter,
    )
}

/// Waits until no container of a static pod runs, whose manifest is gone. A kubelet that has not read the API since it
/// started, as after a power cut, ends no static pod (docs/checkpoints.md, the kubelet's trap): then the runtime does.
pub(super) fn await_end(
    options: &Options,
    pod: &str,
    task: &Task<'_>,
    reporter: &mut Reporter,
) -> Result<()> {
    let mut runtime = Runtime::new(&below(&options.root, CONTAINERD));
    let what = format!("the pod {pod} has ended");
    let begun = Instant::now();
    let wait = Wait {
        what: &what,
        deadline: begun + task.machine.timeouts.handover,
        every: Duration::from_millis(200),
        changes: None,
        next_step: "see whether the kubelet runs (journalctl -u kubelet), then run this again",
    };
    let mut look = || -> Result<Option<&str>> {
        let sandboxes = runtime.sandboxes()?;
        let mut own = sandboxes.iter().filter(|one| one.name == pod);
        let Some(sandbox) = own.find(|one| one.runs()) else {
            return Ok(None);
        };
        if begun.elapsed() < KUBELETS_TURN {
            return Ok(Some("a container of it runs"));
        }
        runtime.end(&sandbox.id, GRACE)?;
        Ok(Some("the kubelet did not end it, so the runtime does"))
    };
    until(reporter, wait, |_| match look() {
        Ok(None) => Ok(Look::There(())),
        Ok(Some(why)) => Ok(Look::NotYet(why.to_owned())),
        Err(error) => Ok(Look::NotYet(format!("{error:#}"))),
    })
}
