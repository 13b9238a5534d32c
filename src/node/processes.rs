//! Which processes belong to a pod, from their cgroups.
//!
//! A static pod's manifest that is gone says nothing about its processes, and its mirror pod may
//! say anything. The kubelet names a pod's cgroup after its UID under both drivers (`pod<uid>`, or
//! `pod<uid with _>.slice`), under cgroup v1 and v2 alike, so /proc/*/cgroup is the whole truth.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::files::below;

/// Whether any process is left in a cgroup of the pods with these UIDs.
pub fn any_in_pods(root: &Path, uids: &[String]) -> Result<bool> {
    let proc = below(root, "/proc");
    let entries = fs::read_dir(&proc).with_context(|| format!("cannot list {}", proc.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot list {}", proc.display()))?
            .path();
        let is_process = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        // A process that ended since the folder was listed is no longer in any cgroup.
        if is_process
            && fs::read_to_string(path.join("cgroup")).is_ok_and(|text| names_a_pod(&text, uids))
        {
            return Ok(true);
        }
    }
    Ok(false)
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
    fn nobody_is_in_a_pod_that_never_was() {
        assert!(!any_in_pods(Path::new("/"), &["4f9a-never".to_owned()]).unwrap());
    }
}
