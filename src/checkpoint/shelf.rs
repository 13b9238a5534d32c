//! The checkpoints on disk, in the original's folders under the original's names.
//!
//! A kept one is a manifest beside the data that it reads; it counts only as a whole, so it carries a hash over its data. An
//! active one is a manifest in the kubelet's folder. Everything that a full disk can prevent is done before the first file of an earlier
//! state is touched: new files are written beside their places, all of them, and then renamed, data before manifest.
//! Data goes after its manifest, and after the last container that reads it.

mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::copy::{self, Copy, CopyFile};
use super::workload::{Workload, text};
use crate::node::files::{self, Beside, Look, PRIVATE, below};
use crate::node::selinux;
use read::{checkpoint, collect, is_beside, names};

/// Manifests of kept checkpoints.
pub const INACTIVE: &str = "/etc/kubernetes/inactive-manifests";
/// The kubelet's folder.
pub const ACTIVE: &str = "/etc/kubernetes/manifests";
/// A folder that only root enters.
const FOLDER: Look = Look {
    mode: 0o700,
    owner: None,
};
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
        read::all(&below(&self.root, INACTIVE))
    }

    /// Those in the kubelet's folder.
    pub fn active(&self) -> Result<Vec<Checkpoint>> {
        read::all(&below(&self.root, ACTIVE))
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
        let mut changed = files::keep_folder(&below(&self.root, INACTIVE), FOLDER)?;
        let mut beside = Vec::new();
        selinux::for_containers(&self.root, || {
            for (folder, look) in self.folders(copy)? {
                changed |= files::keep_folder(&folder, look)?;
            }
            for file in &copy.files {
                beside.extend(self.prepare_file(file)?);
            }
            Ok(())
        })?;
        let manifest = self.manifest(INACTIVE, &copy.namespace, &copy.pod);
        let bytes = copy.manifest.to_string();
        beside.extend(files::prepare(&manifest, bytes.as_bytes(), PRIVATE)?);
        changed |= !beside.is_empty();
        beside.into_iter().try_for_each(Beside::put)?;
        Ok(self.sweep(&copy.namespace, &copy.pod, &copy.files)? || changed)
    }

    /// The folders of a copy's data, those above before those below.
    fn folders(&self, copy: &Copy) -> Result<BTreeMap<PathBuf, Look>> {
        let own = self.data(&copy.namespace, &copy.pod);
        let mut all = BTreeMap::new();
        for file in &copy.files {
            let path = below(&self.root, &file.path);
            let base = own.iter().find(|base| path.starts_with(base));
            let base =
                base.with_context(|| format!("{} is outside of the checkpoint", file.path))?;
            // That of all checkpoints' data, the namespace's, and the pod's.
            let above = base.ancestors().take(3);
            all.extend(above.map(|folder| (folder.to_owned(), FOLDER)));
            // The container sees the volume's folder as its own; those above it stay root's.
            let owner = file.owner;
            let parents = path.ancestors().skip(1);
            let within = parents.take_while(|folder| folder != base);
            all.extend(within.map(|folder| (folder.to_owned(), Look { owner, ..FOLDER })));
        }
        Ok(all)
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

    fn prepare_file(&self, file: &CopyFile) -> Result<Option<Beside>> {
        let look = Look {
            mode: file.mode,
            owner: file.owner,
        };
        files::prepare(&below(&self.root, &file.path), file.bytes.expose(), look)
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

#[cfg(test)]
mod tests;
