//! The images unpacked: the content of a node's /var/lib/containerd, so that nothing is imported
//! when a node boots.
//!
//! The payload's own containerd does it, on this machine, with a root and a state folder of its own;
//! its databases hold names relative to the root, so the result can be moved. Unpacking the upstreams takes a
//! while and is kept; slipway's image, which every build changes, is imported into a copy of that
//! made of hard links.

use super::Programs;
use crate::cache::{self, Key};
use crate::process;
use crate::progress::{self, Log};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Changes when the same archives give another store.
const REVISION: &str = "1";
/// How long containerd may take to serve, and to stop.
const DEADLINE: Duration = Duration::from_secs(60);
/// The namespace of what the kubelet runs.
const NAMESPACE: &str = "k8s.io";
/// Kept by the kubelet's image garbage collection: a node may have no registry to fetch it again.
const PINNED: &str = "io.cri-containerd.pinned=pinned";

/// The cache entry with a store of `upstream` and, on top, `own` archives.
pub fn build(programs: &Programs, upstream: &[PathBuf], own: &[PathBuf]) -> Result<PathBuf> {
    let base = cache::entry("store-base", &key("", programs, upstream)?, |entry| {
        progress::step("unpack images", |log| {
            import(programs, upstream, entry, log)
        })
    })?;
    let beneath = cache::identity(&base)?;
    cache::entry("store", &key(&beneath, programs, own)?, |entry| {
        progress::step("unpack slipway's image", |log| {
            copy(&base, entry, log)?;
            import(programs, own, entry, log)
        })
    })
}

fn key(beneath: &str, programs: &Programs, archives: &[PathBuf]) -> Result<String> {
    let (_, containerd) = programs.find("containerd")?;
    let mut key = Key::new(REVISION).add("beneath", beneath.as_bytes());
    key = key.add("containerd", containerd.as_bytes());
    for archive in archives {
        key = key.add("archive", cache::identity(archive)?.as_bytes());
    }
    Ok(key.finish())
}

/// A copy that shares every file but containerd's databases, the only ones it writes in place.
fn copy(from: &Path, to: &Path, log: &Log) -> Result<()> {
    let from_content = from.join(".");
    process::run(Command::new("cp").arg("-al").arg(from_content).arg(to), log)?;
    for file in cache::files_below(from)? {
        if file.extension().is_some_and(|extension| extension == "db") {
            let copy = to.join(file.strip_prefix(from)?);
            fs::remove_file(&copy)
                .and_then(|()| fs::copy(&file, &copy))
                .with_context(|| format!("cannot copy {}", file.display()))?;
        }
    }
    Ok(())
}

fn import(programs: &Programs, archives: &[PathBuf], root: &Path, log: &Log) -> Result<()> {
    let containerd = Containerd::start(programs, root, log)?;
    for archive in archives {
        let mut ctr = containerd.ctr();
        ctr.args(["images", "import", "--label", PINNED])
            .arg(archive);
        process::run(&mut ctr, log)?;
    }
    containerd.stop()
}

/// A containerd of the build's own; killed if it is dropped before [`Containerd::stop`].
struct Containerd {
    child: Child,
    ctr: PathBuf,
    socket: PathBuf,
    root: PathBuf,
    // Holds the sockets; removed last.
    _state: tempfile::TempDir,
}

impl Containerd {
    fn start(programs: &Programs, root: &Path, log: &Log) -> Result<Containerd> {
        let state = tempfile::Builder::new()
            .prefix("slipway-store-")
            .tempdir_in("/tmp")?;
        let config = state.path().join("config.toml");
        fs::write(&config, configuration(root, state.path()))?;
        let mut command = Command::new(programs.find("containerd")?.0);
        command.arg("--config").arg(&config).stdin(Stdio::null());
        command.stdout(log.handle()?).stderr(log.handle()?);
        let child = process::die_with_parent(&mut command)
            .spawn()
            .context("cannot start the payload's containerd")?;
        let mut containerd = Containerd {
            child,
            ctr: programs.find("ctr")?.0.to_owned(),
            socket: state.path().join("c.sock"),
            root: root.to_owned(),
            _state: state,
        };
        containerd.wait_until_serving()?;
        Ok(containerd)
    }

    fn ctr(&self) -> Command {
        let mut command = Command::new(&self.ctr);
        command
            .arg("--address")
            .arg(&self.socket)
            .args(["--namespace", NAMESPACE]);
        command
    }

    fn wait_until_serving(&mut self) -> Result<()> {
        let started = Instant::now();
        while process::output(self.ctr().arg("version")).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the payload's containerd ended at once ({status})");
            }
            if started.elapsed() > DEADLINE {
                bail!(
                    "the payload's containerd does not answer after {}s",
                    DEADLINE.as_secs()
                );
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Ends it in good order, so that its databases are complete, and drops what is this run's.
    fn stop(mut self) -> Result<()> {
        process::output(Command::new("kill").arg(self.child.id().to_string()))?;
        let started = Instant::now();
        while self.child.try_wait()?.is_none() {
            if started.elapsed() > DEADLINE {
                bail!("the payload's containerd does not stop");
            }
            sleep(Duration::from_millis(20));
        }
        // A node makes an identity of its own.
        let identity = self.root.join("io.containerd.grpc.v1.introspection");
        if identity.exists() {
            fs::remove_dir_all(&identity)
                .with_context(|| format!("cannot remove {}", identity.display()))?;
        }
        Ok(())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // After `stop` both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// containerd's configuration: no CRI, which would set up networks; no snapshotter but overlayfs.
fn configuration(root: &Path, state: &Path) -> String {
    format!(
        "version = 3
root = {root:?}
state = {state:?}
disabled_plugins = [
  \"io.containerd.grpc.v1.cri\",
  \"io.containerd.cri.v1.images\",
  \"io.containerd.cri.v1.runtime\",
  \"io.containerd.snapshotter.v1.blockfile\",
  \"io.containerd.snapshotter.v1.btrfs\",
  \"io.containerd.snapshotter.v1.devmapper\",
  \"io.containerd.snapshotter.v1.erofs\",
  \"io.containerd.snapshotter.v1.native\",
  \"io.containerd.snapshotter.v1.zfs\",
]
[grpc]
address = {grpc:?}
[ttrpc]
address = {ttrpc:?}
",
        root = root.display().to_string(),
        state = state.join("run").display().to_string(),
        grpc = state.join("c.sock").display().to_string(),
        ttrpc = state.join("t.sock").display().to_string(),
    )
}
