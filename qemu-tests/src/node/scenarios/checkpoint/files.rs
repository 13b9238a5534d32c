//! The checkpoints on disk: for root alone, and mended.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{MENDING, kept};
use crate::node::native::Node;
use crate::wait;

/// Where checkpoints and their data lie.
const FOLDERS: [&str; 3] = [kept::KEPT, kept::DATA[0], kept::DATA[1]];

/// A file's bytes, mode and owner.
type Kept = BTreeMap<PathBuf, (Vec<u8>, u32, u32)>;

/// The ways to damage a file.
const DAMAGES: [fn(&Path) -> std::io::Result<()>; 3] = [
    |path| fs::remove_file(path),
    |path| fs::File::options().write(true).open(path)?.set_len(7),
    |path| fs::write(path, b"something else\n"),
];

/// Every file is deleted, cut short or overwritten, and is there again as it was.
pub fn damaged(node: &mut Node) -> Result<()> {
    let kept = all_kept(node)?;
    for (number, path) in kept.keys().enumerate() {
        let damage = DAMAGES[number % DAMAGES.len()];
        damage(path).with_context(|| format!("cannot damage {}", path.display()))?;
    }
    wait::until("mended checkpoints", MENDING, || {
        let found = read(node)?;
        let differs = kept
            .iter()
            .find(|(path, file)| found.get(*path) != Some(*file));
        ensure!(
            differs.is_none(),
            "{:?} is not mended",
            differs.map(|one| one.0)
        );
        ensure!(found.len() == kept.len(), "there are {} files", found.len());
        Ok(())
    })
}

/// The files of all checkpoints, of which there has to be one of each component, for nobody else to read.
fn all_kept(node: &Node) -> Result<Kept> {
    let kept = read(node)?;
    for component in super::COMPONENTS {
        let is_one = |path: &PathBuf| path.to_string_lossy().contains(component);
        ensure!(
            kept.keys().any(is_one),
            "there is no checkpoint of {component}"
        );
    }
    for (path, (_, mode, _)) in &kept {
        ensure!(
            mode & 0o777 == 0o600,
            "{} is of mode {mode:o}",
            path.display()
        );
    }
    Ok(kept)
}

fn read(node: &Node) -> Result<Kept> {
    let mut kept = Kept::new();
    for folder in FOLDERS {
        let folder = node.path(folder);
        if folder.exists() {
            collect(&folder, &mut kept)?;
        }
    }
    Ok(kept)
}

fn collect(folder: &Path, kept: &mut Kept) -> Result<()> {
    let mode = fs::metadata(folder)?.mode() & 0o777;
    ensure!(mode == 0o700, "{} is of mode {mode:o}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let look = fs::metadata(&path)?;
        if look.is_dir() {
            collect(&path, kept)?;
        } else {
            kept.insert(path.clone(), (fs::read(&path)?, look.mode(), look.uid()));
        }
    }
    Ok(())
}
