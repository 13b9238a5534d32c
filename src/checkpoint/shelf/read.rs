//! What is on the shelf, as it is found there.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Checkpoint;
use crate::checkpoint::workload::{CHECKPOINT_OF, WORKLOAD, Workload, text};
use crate::node::files;

/// The checkpoints of a folder. One that cannot be understood is none: it is written anew, or never used.
pub(super) fn all(folder: &Path) -> Result<Vec<Checkpoint>> {
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

/// A checkpoint, if the manifest is one's.
pub(super) fn checkpoint(path: PathBuf, manifest: Value) -> Option<Checkpoint> {
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
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
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

/// Whether a file lies beside its place.
pub(super) fn is_beside(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(files::is_beside)
}

/// All files below a folder.
pub(super) fn collect(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
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
