//! Which processes belong to a pod, and which containers have any, from their cgroups.
//!
//! A static pod's manifest that is gone says nothing about its processes, and its mirror pod may
//! say anything. The kubelet names a pod's cgroup after its UID under both drivers (`pod<uid>`, or
//! `pod<uid with _>.slice`), under cgroup v1 and v2 alike, so /proc/*/cgroup is the whole truth.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::files::below;

/// Digits of a container's ID.
const ID: usize = 64;

/// Whether any process is left in a cgroup of the pods with these UIDs.
pub fn any_in_pods(root: &Path, uids: &[String]) -> Result<bool> {
    Ok(cgroups(root)?.any(|(_, text)| names_a_pod(&text, uids)))
}

/// The processes of a pod.
pub fn of_pod(root: &Path, uid: &str) -> Result<Vec<i32>> {
    let uids = [uid.to_owned()];
    let all = cgroups(root)?.filter(|(_, text)| names_a_pod(text, &uids));
    Ok(all.map(|(pid, _)| pid).collect())
}

/// The IDs of the containers that have a process.
pub fn containers(root: &Path) -> Result<BTreeSet<String>> {
    Ok(cgroups(root)?
        .filter_map(|(_, text)| container(&text).map(str::to_owned))
        .collect())
}

/// Every process with its /proc/PID/cgroup.
fn cgroups(root: &Path) -> Result<impl Iterator<Item = (i32, String)>> {
    let proc = below(root, "/proc");
    let unlisted = || format!("cannot list {}", proc.display());
    let entries = fs::read_dir(&proc).with_context(unlisted)?;
    let entries = entries.collect::<Result<Vec<_>, _>>();
    Ok(entries
        .with_context(unlisted)?
        .into_iter()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            // A process that ended since the folder was listed is no longer in any cgroup.
            Some((pid, fs::read_to_string(entry.path().join("cgroup")).ok()?))
        }))
}

/// The container whose cgroup the text names: `ID`, or `RUNTIME-ID.scope`.
fn container(cgroups: &str) -> Option<&str> {
    cgroups
        .split(|c: char| !c.is_ascii_hexdigit())
        .find(|part| part.len() == ID)
}

/// Whether the text of a /proc/PID/cgroup names the cgroup of one of the pods.
fn names_a_pod(cgroups: &str, uids: &[String]) -> bool {
    uids.iter().any(|uid| {
        cgroups.contains(&format!("pod{uid}"))
            || cgroups.contains(&format!("pod{}", uid.replace('-', "_")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_drivers() {
        let uids = ["0a1b-2c".to_owned()];
        assert!(names_a_pod(
            "0::/kubepods/besteffort/pod0a1b-2c/9f\n",
            &uids
        ));
        assert!(names_a_pod(
            "0::/kubepods.slice/kubepods-pod0a1b_2c.slice/cri-9f.scope\n",
            &uids
        ));
        assert!(!names_a_pod("0::/kubepods/besteffort/podffff/9f\n", &uids));
        assert!(!names_a_pod("0::/system.slice/kubelet.service\n", &uids));
    }

    #[test]
    fn a_container_under_both_drivers_and_below_it() {
        let id = "9f".repeat(32);
        for text in [
            format!("0::/kubepods/besteffort/pod0a1b-2c/{id}\n"),
            format!("0::/kubepods.slice/kubepods-pod0a1b_2c.slice/cri-containerd-{id}.scope\n"),
            format!("0::/kubepods/pod0a1b-2c/{id}/init.scope\n"),
        ] {
            assert_eq!(container(&text), Some(&*id), "{text}");
        }
        assert_eq!(container("0::/system.slice/kubelet.service\n"), None);
        assert!(containers(Path::new("/")).is_ok());
    }

    #[test]
    fn nobody_is_in_a_pod_that_never_was() {
        assert!(!any_in_pods(Path::new("/"), &["4f9a-never".to_owned()]).unwrap());
    }
}
