//! The checkpoints on disk: for root and their pods' users alone, mended, and not used where they are damaged.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use qemu_tests::probe::now;
use serde_json::Value;

use super::kept::{self, exactly};
use super::{Host, MENDING, log, nothing_starts, says};
use crate::node::native::Node;
use crate::node::{launch, reboot as power, services};
use crate::scenarios::Kubectl as _;
use crate::scenarios::cluster::Inside;
use crate::scenarios::reboot::{self, ACTIVE};
use crate::wait;

/// Where checkpoints and their data lie.
const FOLDERS: [&str; 3] = [kept::KEPT, kept::DATA[0], kept::DATA[1]];
/// Longer than an API server may be away of which nothing has run since the unit began (not at all), or which ran (5 s).
const SILENT: Duration = Duration::from_secs(10);

/// The files and folders by their paths on the node; a folder's ends in a slash.
pub type Files = BTreeMap<String, File>;

/// A file as it was found, or a folder, which holds nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// What it holds.
    pub bytes: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
    /// Its number, and of a file when it was written.
    written: (u64, Option<(i64, i64)>),
}

impl File {
    /// Whether it is the same to whoever reads it.
    fn is_like(&self, other: &Self) -> bool {
        (&self.bytes, self.mode, self.owner) == (&other.bytes, other.mode, other.owner)
    }
}

/// A way to damage a file.
type Damage = fn(&Path) -> io::Result<()>;

/// What a file suffers.
const DAMAGES: [Damage; 5] = [
    |path| fs::File::options().write(true).open(path)?.set_len(7),
    |path| fs::write(path, b"something else\n"),
    |path| fs::remove_file(path),
    |path| fs::set_permissions(path, Permissions::from_mode(0o644)),
    |path| chown(path, Some(4242), Some(4242)),
];
/// What a folder suffers.
const OPENED: [Damage; 2] = [
    |path| fs::set_permissions(path, Permissions::from_mode(0o755)),
    |path| chown(path, Some(4242), Some(4242)),
];

/// Every file is deleted, cut short, overwritten, shown to everybody or given away, every folder opened or given away, and all is there
/// again as it was.
pub fn damaged(node: &mut Node) -> Result<()> {
    let before = of_all_components(node)?;
    // The files of each suffer everything, if they are enough.
    for folder in FOLDERS {
        let all = before.keys().filter(|path| path.starts_with(folder));
        let (folders, files): (Vec<_>, Vec<_>) = all.partition(|path| is_folder(path));
        let files = files.into_iter().zip(DAMAGES.iter().cycle());
        let folders = folders.into_iter().zip(OPENED.iter().cycle());
        for (path, damage) in files.chain(folders) {
            damage(&node.path(path)).with_context(|| format!("cannot damage {path}"))?;
        }
    }
    wait::until("mended checkpoints", MENDING, || are_like(node, &before))
}

fn are_like(node: &Node, before: &Files) -> Result<()> {
    let found = private(node)?;
    for (path, file) in before {
        let is_like = found.get(path).is_some_and(|now| now.is_like(file));
        ensure!(is_like, "{path} is not mended");
    }
    ensure!(
        found.len() == before.len(),
        "there are {} files",
        found.len()
    );
    Ok(())
}

/// The API server's checkpoint is damaged while nobody is there who would mend it, and is not used. A person has the temporary control plane
/// bring back the other, and then the checkpoint is as it was. Returns how long that took, in seconds.
pub fn damaged_at_reboot(node: &mut Node) -> Result<f64> {
    let (before, pods) = (of_all_components(node)?, reboot::identities(node)?);
    power::boot_again(node)?;
    let mut secrets = before.keys().filter(|path| path.starts_with(kept::DATA[0]));
    let path = secrets.find(|path| path.contains(super::COMPONENTS[0]) && !is_folder(path));
    let path = path.context("there is no data")?;
    DAMAGES[0](&node.path(path))?;
    let (said, since) = (log(node)?.len(), now());
    services::start(node)?;
    for word in [
        "the checkpoint of kube-system/kube-apiserver is damaged",
        "next step: `slipway start`",
    ] {
        wait::until("the unit's word", MENDING, || says(node, said, word))?;
    }
    nothing_starts(node, SILENT, |node| {
        ensure!(Inside(node).answers().is_err(), "an API server answers");
        Ok(())
    })?;
    let asked = Instant::now();
    launch::start_to_the_end(node)?;
    reboot::is_back(node, &pods, since)?;
    let took = asked.elapsed().as_secs_f64();
    wait::until("mended checkpoints", MENDING, || are_like(node, &before))?;
    exactly(node, &[])?;
    Ok(took)
}

/// All files; there has to be a checkpoint of each component.
fn of_all_components(node: &Node) -> Result<Files> {
    let files = private(node)?;
    for component in super::COMPONENTS {
        ensure!(
            files.keys().any(|path| path.contains(component)),
            "there is no checkpoint of {component}"
        );
    }
    Ok(files)
}

/// All files of all checkpoints, which have to be for nobody else to read: manifests for root, data for the pod's user.
pub fn private(node: &Node) -> Result<Files> {
    let mut files = Files::new();
    for folder in FOLDERS {
        if node.path(folder).exists() {
            collect(node, folder, &mut files)?;
        }
    }
    for (path, file) in &files {
        let mode = if is_folder(path) { 0o700 } else { 0o600 };
        ensure!(file.mode == mode, "{path} is of mode {:o}", file.mode);
    }
    let kept = kept::kept(node)?;
    for manifest in kept.values().flatten() {
        let (pod, user) = (format!("/{}/", kept::pod(manifest)), user(manifest));
        for (path, file) in files.iter().filter(|(path, _)| path.contains(&pod)) {
            // The container sees its volumes, not what they lie in.
            let owner = if path.ends_with(&pod) { 0 } else { user };
            ensure!(file.owner.0 == owner, "{path} is {}'s", file.owner.0);
        }
    }
    Ok(files)
}

/// Who runs a pod's only container.
fn user(manifest: &Value) -> u32 {
    let spec = &manifest["spec"];
    let own = &spec["containers"][0]["securityContext"]["runAsUser"];
    let user = own
        .as_u64()
        .or_else(|| spec["securityContext"]["runAsUser"].as_u64());
    user.and_then(|user| user.try_into().ok()).unwrap_or(0)
}

fn collect(node: &Node, folder: &str, files: &mut Files) -> Result<()> {
    files.insert(format!("{folder}/"), look(node, folder)?);
    for entry in fs::read_dir(node.path(folder))? {
        let entry = entry?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(node, &path, files)?;
        } else {
            files.insert(path.clone(), look(node, &path)?);
        }
    }
    Ok(())
}

fn look(node: &Node, path: &str) -> Result<File> {
    let look = fs::symlink_metadata(node.path(path))?;
    let bytes = match look.is_dir() {
        true => Vec::new(),
        false => fs::read(node.path(path))?,
    };
    // A folder's time is that of its last entry.
    let at = (!look.is_dir()).then(|| (look.mtime(), look.mtime_nsec()));
    Ok(File {
        bytes,
        mode: look.mode() & 0o777,
        owner: (look.uid(), look.gid()),
        written: (look.ino(), at),
    })
}

fn is_folder(path: &str) -> bool {
    path.ends_with('/')
}

/// The manifests of active checkpoints, of which there has to be one, are root's alone: an environment may come from a Secret.
pub fn active_are_private(node: &mut Node) -> Result<()> {
    let active = node.shell(ACTIVE)?;
    ensure!(!active.is_empty(), "none is active");
    for path in active.lines() {
        let look = fs::metadata(node.path(path))?;
        let (mode, owner) = (look.mode() & 0o777, look.uid());
        ensure!(
            (mode, owner) == (0o600, 0),
            "{path} is {owner}'s, of mode {mode:o}"
        );
    }
    Ok(())
}
