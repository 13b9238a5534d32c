//! The last words of a container, from the files that the runtime writes.
//!
//! They can be read with the API down, which is when they are wanted most. Layout: the kubelet's
//! /var/log/pods/NAMESPACE_POD_UID/CONTAINER/N.log, lines `TIME stream F|P text` (CRI logging).

use std::fs;
use std::path::{Path, PathBuf};

use super::files::below;

/// How much of a file's end is read.
const TAIL: usize = 8 * 1024;

/// The last `lines` lines that any container of the pod wrote, or `None` if it wrote nothing. `pod` is the
/// pod's full name (a static pod's ends in `-NODE`), `uid` its UID.
pub fn last_words(
    root: &Path,
    namespace: &str,
    pod: &str,
    uid: &str,
    lines: usize,
) -> Option<String> {
    let folder = below(root, format!("/var/log/pods/{namespace}_{pod}_{uid}"));
    let newest = newest_log(&folder)?;
    let bytes = fs::read(newest).ok()?;
    let tail = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL)..]).into_owned();
    let words: Vec<_> = tail
        .lines()
        .filter_map(message)
        .filter(|text| !text.trim().is_empty())
        .collect();
    let from = words.len().saturating_sub(lines);
    (!words.is_empty()).then(|| words[from..].join("\n"))
}

/// Whether the kubelet has made anything of the pod yet.
pub fn was_started(root: &Path, namespace: &str, pod: &str, uid: &str) -> bool {
    below(root, format!("/var/log/pods/{namespace}_{pod}_{uid}")).exists()
}

fn newest_log(pod: &Path) -> Option<PathBuf> {
    let children = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder)
            .map(|all| all.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default()
    };
    children(pod)
        .iter()
        .flat_map(|container| children(container))
        .filter(|path| fs::metadata(path).is_ok_and(|meta| meta.len() > 0))
        .max_by_key(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok())
}

/// The text of a CRI log line.
fn message(line: &str) -> Option<&str> {
    let mut fields = line.splitn(4, ' ');
    let (_time, _stream, tag) = (fields.next()?, fields.next()?, fields.next()?);
    matches!(tag, "F" | "P").then(|| fields.next()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_file_speaks() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("var/log/pods/kube-system_etcd-a_u1/etcd");
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("0.log"),
            "2026-11-23T06:00:00Z stderr F one\n2026-11-23T06:00:01Z stderr F two\n",
        )
        .unwrap();
        assert_eq!(
            last_words(dir.path(), "kube-system", "etcd-a", "u1", 1).unwrap(),
            "two"
        );
        assert!(was_started(dir.path(), "kube-system", "etcd-a", "u1"));
        assert_eq!(
            last_words(dir.path(), "kube-system", "etcd-a", "u2", 1),
            None
        );
    }
}
