//! Releasing the Leases that the temporary controller-manager and scheduler leave behind.
//!
//! A stopped leader holds its Lease until it expires, for which the cluster would have no leader. It
//! may be released once its process is gone, and only if it is really the dead one that holds it:
//! the holder's name does not tell the two apart (same host name, random suffix), but a leader that
//! acquired the Lease before the self-hosted process even started can only be the temporary one.
//! Anything doubtful is left to expire, which costs seconds; robbing a living leader costs a restart.

use serde_json::{Value, json};

use super::ready::seconds;
use crate::kube::{Client, Error};

/// The Leases, all in kube-system, and the workloads that compete for them.
pub const LEASES: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

/// The API path of a Lease of kube-system.
pub fn path(name: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{name}")
}

/// Who holds a Lease; empty if nobody does.
pub fn holder(lease: &Value) -> &str {
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default()
}

/// The holder to release later: whoever acquired the Lease before the self-hosted workload's first
/// process started at `rival_since` (seconds since the epoch).
pub fn to_release(lease: &Value, rival_since: Option<i64>) -> Option<String> {
    let acquired = seconds(&lease["spec"]["acquireTime"])?;
    let ours = !holder(lease).is_empty() && rival_since.is_some_and(|since| acquired < since);
    ours.then(|| holder(lease).to_owned())
}

/// Releases the Lease `name` if `noted` still holds it. Another or no holder is success; so is a write
/// that lost a race, because whoever won it is alive.
pub fn release(client: &Client, name: &str, noted: &str) -> Result<(), Error> {
    let lease = match client.get(&path(name)) {
        Ok(lease) => lease,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    };
    if holder(&lease) != noted {
        return Ok(());
    }
    let patch = json!({
        "metadata": { "resourceVersion": lease["metadata"]["resourceVersion"] },
        "spec": { "holderIdentity": "", "leaseDurationSeconds": 1 },
    });
    match client.merge_patch(&path(name), &patch) {
        Err(error) if !error.is_conflict() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_holder_older_than_its_rival_is_released() {
        let lease = |holder: &str| json!({"spec": {"holderIdentity": holder, "acquireTime": "2026-11-23T06:00:00.123456Z"}});
        let at = seconds(&json!("2026-11-23T06:00:00Z")).unwrap();
        assert_eq!(
            to_release(&lease("a_1"), Some(at + 5)),
            Some("a_1".to_owned())
        );
        assert_eq!(to_release(&lease("a_1"), Some(at)), None);
        assert_eq!(to_release(&lease("a_1"), None), None);
        assert_eq!(to_release(&lease(""), Some(at + 5)), None);
    }
}
