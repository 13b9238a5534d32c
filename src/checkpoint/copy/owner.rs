//! Whose a volume's files are.
//!
//! The kubelet gives the files of a Secret to the pod's group, readable; a checkpoint's are for one user
//! only, so that no other process of the node that shares the group reads them.

use anyhow::{Result, bail};
use serde_json::Value;

use super::{containers, list, number};
use crate::checkpoint::workload::text;

/// The user who runs the containers that mount a volume, and its group; `None` is root. A volume that
/// nobody mounts is the pod's user's.
pub(super) fn of(pod: &Value, volume: &str) -> Result<Option<(u32, u32)>> {
    let mut found: Vec<(&str, Option<(u32, u32)>)> = Vec::new();
    for container in containers(pod) {
        let mounts = list(&container["volumeMounts"]);
        if mounts.iter().any(|mount| mount["name"] == volume) {
            found.push((text(&container["name"]), user(pod, container)?));
        }
    }
    let Some((_, first)) = found.first() else {
        return user(pod, &Value::Null);
    };
    let uid = |owner: &Option<(u32, u32)>| owner.map_or(0, |(uid, _)| uid);
    if found.iter().any(|(_, other)| uid(other) != uid(first)) {
        let users: Vec<_> = found
            .iter()
            .map(|(name, owner)| format!("{name} (user {})", uid(owner)))
            .collect();
        bail!(
            "volume {volume} is read by containers of different users, but a checkpoint's files are one user's: {}; \
             give the containers one user, or each a volume of its own",
            users.join(", ")
        );
    }
    Ok(*first)
}

/// The user of a container; its own word counts more than the pod's.
fn user(pod: &Value, container: &Value) -> Result<Option<(u32, u32)>> {
    let (own, shared) = (
        &container["securityContext"],
        &pod["spec"]["securityContext"],
    );
    let either = |field: &str| match own[field].is_null() {
        true => &shared[field],
        false => &own[field],
    };
    let Some(uid) = number(either("runAsUser"))? else {
        if either("runAsNonRoot") == true {
            bail!(
                "the container {} is not root, and only its image knows its user: nobody could be given the files; \
                 name it in runAsUser",
                text(&container["name"])
            );
        }
        return Ok(None);
    };
    let group = match number(either("runAsGroup"))? {
        Some(group) => Some(group),
        None => number(&shared["fsGroup"])?,
    };
    Ok(Some((uid, group.unwrap_or(0))))
}
