//! What this node's kubelet was issued and renews by itself, read where the kubelet keeps it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use super::kubelet::OWN;
use crate::assets::Assets;
use crate::node::files::{self, below};
use crate::pki::{self, Listed};
use crate::secret::Secret;

/// As what they are listed; a file of the kubelet's has `.pem` after it.
const NAMES: [&str; 2] = ["kubelet-client-current", "kubelet-server-current"];

/// A certificate of the kubelet's and the file that it lies in.
pub fn list(assets: &Assets, root: &Path, now: SystemTime) -> Result<Vec<(Listed, String)>> {
    let folder = below(root, OWN);
    let mut listed = Vec::new();
    for name in NAMES {
        if let Some(file) = read(&folder, &format!("{name}.pem"))? {
            let one = pki::issued(assets, name, file.expose(), now)?;
            listed.push((one, format!("{OWN}/{name}.pem")));
        }
    }
    Ok(listed)
}

/// The file, which holds a key; `None` if the kubelet has none, as one that does not ask.
fn read(folder: &Path, name: &str) -> Result<Option<Secret>> {
    let Some(path) = follow(folder, name)? else {
        return Ok(None);
    };
    Ok(files::read_if_there(&path)?.map(Secret::new))
}

/// The kubelet links to the file beside it by an absolute path, which leads elsewhere below another root.
fn follow(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    let path = folder.join(name);
    match fs::read_link(&path) {
        Ok(target) => Ok(target.file_name().map(|file| folder.join(file))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(Some(path)),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::Action;

    #[test]
    fn the_link_is_followed_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        let found = || list(&Assets::default(), root.path(), SystemTime::now()).unwrap();
        assert!(found().is_empty());
        let folder = below(root.path(), OWN);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("kubelet-server-current.pem"), "no link").unwrap();
        fs::write(folder.join("kubelet-client-2026.pem"), "linked").unwrap();
        let target = format!("{OWN}/kubelet-client-2026.pem");
        std::os::unix::fs::symlink(target, folder.join("kubelet-client-current.pem")).unwrap();
        let both = found();
        let files: Vec<_> = both.iter().map(|(_, file)| file.as_str()).collect();
        assert_eq!(
            files,
            [
                "/var/lib/kubelet/pki/kubelet-client-current.pem",
                "/var/lib/kubelet/pki/kubelet-server-current.pem"
            ]
        );
        assert!(both.iter().all(|(one, _)| one.action == Action::Damaged));
        fs::remove_file(folder.join("kubelet-client-2026.pem")).unwrap();
        assert_eq!(found().len(), 1);
    }
}
