//! The label that new files get where SELinux is on.
//!
//! A container may read no file of the host that has the host's own label. The kernel labels what a thread makes as that
//! thread's fscreate attribute says (selinux(8), proc_pid_attr(5)), so no file is ever there with the wrong one. Without SELinux
//! nothing happens.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::files::below;

/// What every container may read and write; the runtime's default for volumes, without categories.
const CONTAINER_FILE: &str = "system_u:object_r:container_file_t:s0";
/// Mounted only where SELinux is on.
const ENABLED: &str = "/sys/fs/selinux/enforce";
const ATTRIBUTE: &str = "/proc/thread-self/attr/fscreate";

/// Does something whose new files are for containers.
pub fn for_containers<T>(root: &Path, make: impl FnOnce() -> Result<T>) -> Result<T> {
    if !below(root, ENABLED).exists() {
        return make();
    }
    let set = |label: &str| {
        fs::write(below(root, ATTRIBUTE), label)
            .with_context(|| format!("cannot ask for the SELinux label {CONTAINER_FILE:?}"))
    };
    set(CONTAINER_FILE)?;
    let made = make();
    // An empty attribute is the policy's own choice again.
    set("")?;
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_it_is_on_and_only_for_that_long() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(for_containers(root, || Ok(1)).unwrap(), 1);
        for file in [ENABLED, ATTRIBUTE] {
            let path = below(root, file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let label = || fs::read_to_string(below(root, ATTRIBUTE)).unwrap();
        let during = for_containers(root, || Ok(label())).unwrap();
        assert_eq!((&*during, &*label()), (CONTAINER_FILE, ""));
    }
}
