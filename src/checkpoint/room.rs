//! Whether the node's disk has room for what a reboot needs.
//!
//! Nothing is amiss with checkpoints on a full disk, until one is needed: then neither its manifest nor a container can be
//! written. So it is said before. Kubelets look at their disks too, but what they do about it, to evict pods, ends no
//! static one and no pod of the control plane.

use std::path::Path;

use nix::sys::statvfs::statvfs;

use crate::node::files::below;

/// What is written at a reboot: manifests, pods' and containers' folders, and the next segment of etcd's log, of 64 MiB.
const LEAST: u64 = 64 << 20;
/// Where.
const PLACES: [&str; 2] = ["/etc/kubernetes", "/var/lib"];

/// What a person should know about the room on the disk.
pub fn trouble(root: &Path) -> Option<String> {
    let full = PLACES.iter().find(|place| is_full(&below(root, place)));
    full.map(|place| {
        format!(
            "less than {} MiB are left on the disk of {place}: after a reboot checkpoints could not start; free some space",
            LEAST >> 20
        )
    })
}

/// What cannot be looked at is not called full.
fn is_full(place: &Path) -> bool {
    // Root's reserve counts: it is root who writes.
    statvfs(place).is_ok_and(|stat| {
        let free = stat.blocks_free().saturating_mul(stat.fragment_size());
        free < LEAST && stat.blocks() > 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_size_or_is_not_there_is_not_full() {
        assert!(!is_full("/proc".as_ref()), "it has no blocks");
        assert!(!is_full("/nowhere".as_ref()));
        assert_eq!(trouble("/nowhere".as_ref()), None);
    }
}
