//! The checkpoints on disk, in the original's folders under the original's names.
//!
//! A kept one is a manifest beside the data that it reads; it counts only as a whole, so it carries a hash over its data. An
//! active one is a manifest in the kubelet's folder. Everything that a full disk can prevent is done before the first file of an earlier
//! state is touched: new files are written beside their places, all of them, and then renamed, data before manifest.
//! Data goes after its manifest, and after the last container that reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::copy::{self, Copy, CopyFile};
use super::workload::{CHECKPOINT_OF, WORKLOAD, Workload, text};
use crate::node::files::{self, Beside, Look, PRIVATE, below};
use crate::node::selinux;

/// Manifests of kept checkpoints.
pub const INACTIVE: &str = "/etc/kubernetes/inactive-manifests";
/// The kubelet's folder.
pub const ACTIVE: &str = "/etc/kubernetes/manifests";
/// Data of Secrets, and of ConfigMaps.
const DATA: [&str; 2] = [copy::SECRETS, copy::CONFIG_MAPS];

/// A checkpoint of either folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where its manifest lies.
    pub path: PathBuf,
    /// Whose it is.
    pub workload: Workload,
    /// The pod that it was taken from.
    pub parent: String,
    /// The Pod.
    pub manifest: Value,
}

impl Checkpoint {
    /// Its own name.
    pub fn name(&self) -> &str {
        text(&self.manifest["metadata"]["name"])
    }
}

/// What is on the shelf of a node.
#[derive(Debug)]
pub struct Shelf {
    root: PathBuf,
}

impl Shelf {
    /// That of the node below `root`.
    pub fn new(root: &Path) -> Self {
        let root = root.to_owned();
        Self { root }
    }

    /// The kept ones, whole or not. What is no checkpoint is left out.
    pub fn kept(&self) -> Result<Vec<Checkpoint>> {
        read(&below(&self.root, INACTIVE))
    }

    /// Those in the kubelet's folder.
    pub fn active(&self) -> Result<Vec<Checkpoint>> {
        read(&below(&self.root, ACTIVE))
    }

    /// Whether all that a checkpoint reads is there, unchanged.
    pub fn is_whole(&self, checkpoint: &Checkpoint) -> Result<bool> {
        let mut found = BTreeMap::new();
        for folder in self.data(&checkpoint.workload.namespace, &checkpoint.parent) {
            collect(&folder, &mut found)?;
        }
        // What a power cut left beside is nobody's, until it is swept away.
        found.retain(|path, _| !is_beside(path));
        let prefix = self.root.as_path();
        let files = found.iter().map(|(path, bytes)| {
            let path = path.strip_prefix(prefix).unwrap_or(path);
            (format!("/{}", path.display()), bytes)
        });
        let files: Vec<_> = files.collect();
        let hash = copy::data_hash(
            files
                .iter()
                .map(|(path, bytes)| (&**path, bytes.as_slice())),
        );
        Ok(checkpoint.manifest["metadata"]["annotations"][copy::DATA] == hash)
    }

    /// Keeps a copy; what is right already is left alone. Returns whether anything changed.
    pub fn put(&self, copy: &Copy) -> Result<bool> {
        let mut beside = Vec::new();
        for file in &copy.files {
            beside.extend(selinux::for_containers(&self.root, || {
                self.prepare_file(copy, file)
            })?);
        }
        files::make_folder(&below(&self.root, INACTIVE), 0o700)?;
        let manifest = self.manifest(INACTIVE, &copy.namespace, &copy.pod);
        let bytes = copy.manifest.to_string();
        beside.extend(files::prepare(&manifest, bytes.as_bytes(), PRIVATE)?);
        let changed = !beside.is_empty();
        beside.into_iter().try_for_each(Beside::put)?;
        Ok(self.sweep(&copy.namespace, &copy.pod, &copy.files)? || changed)
    }

    /// Finishes what a power cut interrupted: a manifest that lies whole beside its place was the last to be written there, so
    /// its data is whole, too.
    pub fn finish(&self) -> Result<()> {
        let folder = below(&self.root, INACTIVE);
        for name in names(&folder)? {
            if !files::is_beside(&name) {
                continue;
            }
            let place = folder.join(name);
            let bytes = files::read_if_there(&place)?.unwrap_or_default();
            let manifest = serde_json::from_slice(&bytes).ok();
            match manifest.and_then(|manifest| checkpoint(place.clone(), manifest)) {
                Some(one) => self.finish_one(&one)?,
                None => drop(files::remove(&place)?),
            }
        }
        Ok(())
    }

    fn finish_one(&self, one: &Checkpoint) -> Result<()> {
        let mut found = BTreeMap::new();
        for folder in self.data(&one.workload.namespace, &one.parent) {
            collect(&folder, &mut found)?;
        }
        let beside = found.into_keys().filter(|path| is_beside(path));
        beside.into_iter().try_for_each(files::put_left)?;
        files::put_left(one.path.clone())
    }

    fn prepare_file(&self, copy: &Copy, file: &CopyFile) -> Result<Option<Beside>> {
        let path = below(&self.root, &file.path);
        let own = self.data(&copy.namespace, &copy.pod);
        let base = own.iter().find(|base| path.starts_with(base));
        let base = base.with_context(|| format!("{} is outside of the checkpoint", file.path))?;
        files::make_folder(base, 0o700)?;
        let parent = path.parent().unwrap_or(base);
        files::make_folder(parent, 0o700)?;
        // The container sees the volume's folder as its own; those above it stay root's.
        for folder in parent.ancestors().take_while(|folder| folder != base) {
            chown(folder, file.owner.map(|o| o.0), file.owner.map(|o| o.1))
                .with_context(|| format!("cannot give away the folder {}", folder.display()))?;
        }
        let look = Look {
            mode: file.mode,
            owner: file.owner,
        };
        files::prepare(&path, file.bytes.expose(), look)
    }

    /// Puts a form of a checkpoint into the kubelet's folder.
    pub fn activate(&self, kept: &Checkpoint, closed: bool) -> Result<()> {
        let (file, pod) = copy::activate(&kept.manifest, closed)?;
        self.write(&format!("{ACTIVE}/{file}"), &pod).map(drop)
    }

    /// Takes an active checkpoint out of the kubelet's folder.
    pub fn deactivate(&self, active: &Checkpoint) -> Result<()> {
        files::remove(&active.path).map(drop)
    }

    /// Forgets a kept checkpoint. Its data goes with [`Shelf::tidy`], once nothing reads it.
    pub fn remove(&self, kept: &Checkpoint) -> Result<()> {
        files::remove(&kept.path).map(drop)
    }

    /// Deletes the data that belongs to no checkpoint, kept, active, or running on (`running`: the namespaces and
    /// names of the pods that those were taken from), and returns whose it was. A manifest that cannot be
    /// read is one, too: it may be mended.
    pub fn tidy(&self, running: &BTreeSet<(String, String)>) -> Result<Vec<String>> {
        let mut gone = Vec::new();
        for base in DATA.map(|base| below(&self.root, base)) {
            for namespace in names(&base)? {
                for pod in names(&base.join(&namespace))? {
                    let is_kept =
                        |folder| self.manifest(folder, &namespace, &pod).symlink_metadata();
                    let is_kept = [INACTIVE, ACTIVE].map(is_kept).iter().any(Result::is_ok);
                    if is_kept || running.contains(&(namespace.clone(), pod.clone())) {
                        continue;
                    }
                    let folder = base.join(&namespace).join(&pod);
                    fs::remove_dir_all(&folder)
                        .with_context(|| format!("cannot remove {}", folder.display()))?;
                    gone.push(format!("{namespace}/{pod}"));
                }
            }
        }
        Ok(gone)
    }

    /// Deletes the files of a pod that its copy does not have.
    fn sweep(&self, namespace: &str, pod: &str, wanted: &[CopyFile]) -> Result<bool> {
        let wanted: BTreeSet<_> = wanted
            .iter()
            .map(|file| below(&self.root, &file.path))
            .collect();
        let mut found = BTreeMap::new();
        for folder in self.data(namespace, pod) {
            collect(&folder, &mut found)?;
        }
        let mut changed = false;
        for path in found.keys().filter(|path| !wanted.contains(*path)) {
            changed |= files::remove(path)?;
        }
        Ok(changed)
    }

    /// Where the manifest of a pod's checkpoint lies in one of the two folders.
    fn manifest(&self, folder: &str, namespace: &str, pod: &str) -> PathBuf {
        below(&self.root, folder).join(format!("{namespace}-{pod}.json"))
    }

    fn data(&self, namespace: &str, pod: &str) -> [PathBuf; 2] {
        DATA.map(|base| below(&self.root, base).join(namespace).join(pod))
    }

    fn write(&self, path: &str, manifest: &Value) -> Result<bool> {
        // Environment variables may come from a Secret.
        files::write(
            &below(&self.root, path),
            manifest.to_string().as_bytes(),
            PRIVATE,
        )
    }
}

/// The checkpoints of a folder. One that cannot be understood is none: it is written anew, or never used.
fn read(folder: &Path) -> Result<Vec<Checkpoint>> {
    let mut all = Vec::new();
    for name in names(folder)? {
        let path = folder.join(&name);
        if name.starts_with('.') || !name.ends_with(".json") {
            continue;
        }
        let Some(bytes) = files::read_if_there(&path)? else {
            continue;
        };
        let Ok(manifest) = serde_json::from_slice::<Value>(&bytes) else {
            continue;
        };
        all.extend(checkpoint(path, manifest));
    }
    Ok(all)
}

fn checkpoint(path: PathBuf, manifest: Value) -> Option<Checkpoint> {
    let metadata = &manifest["metadata"];
    let annotations = &metadata["annotations"];
    let parent = annotations[CHECKPOINT_OF].as_str()?.to_owned();
    let (kind, name) = annotations[WORKLOAD].as_str()?.split_once('/')?;
    let workload = Workload {
        namespace: text(&metadata["namespace"]).to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    };
    Some(Checkpoint {
        path,
        workload,
        parent,
        manifest,
    })
}

/// The names in a folder, sorted; none where it is not there.
fn names(folder: &Path) -> Result<Vec<String>> {
    let unlisted = || format!("cannot list {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.with_context(unlisted)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.with_context(unlisted)?.file_name();
        names.extend(name.into_string());
    }
    names.sort();
    Ok(names)
}

fn is_beside(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(files::is_beside)
}

/// All files below a folder.
fn collect(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    for name in names(folder)? {
        let path = folder.join(name);
        if path.is_dir() {
            collect(&path, found)?;
        } else {
            let bytes = files::read_if_there(&path)?;
            found.insert(path, bytes.unwrap_or_default());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
