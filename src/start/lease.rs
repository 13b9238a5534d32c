//! Releasing the Leases that the temporary controller-manager and scheduler leave behind.
//!
//! A stopped leader holds its Lease until it expires, for which the cluster would have no leader. It
//! may be released once its process is gone, and only if it is really the dead one that holds it:
//! the holder's name does not tell the two apart (same host name, random suffix), but a leader that
//! acquired the Lease before the self-hosted process even started can only be the temporary one.
//! Anything doubtful is left to expire, which costs seconds; robbing a living leader costs a restart.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::ready::{moment, seconds};
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

/// As [`to_release`], of the Lease `name` as it is now; one that is not there has no holder.
pub fn former_holder(
    client: &Client,
    name: &str,
    rival_since: Option<i64>,
) -> Result<Option<String>, Error> {
    let found = client.find(&path(name))?;
    Ok(found.and_then(|found| to_release(&found, rival_since)))
}

/// Whether its holder lives at `now`: it renewed the Lease in this life of the machine, which began at `since`,
/// and for longer than until now. A dead one's Lease outlives a power cut.
pub fn is_live(lease: &Value, since: SystemTime, now: SystemTime) -> bool {
    let lasts = lease["spec"]["leaseDurationSeconds"].as_u64();
    let lasts = lasts.map(Duration::from_secs);
    let renewed = moment(&lease["spec"]["renewTime"]);
    let (Some(renewed), Some(lasts)) = (renewed, lasts) else {
        return false;
    };
    !holder(lease).is_empty() && renewed >= since && now <= renewed + lasts
}

/// Releases the Lease `name` if `noted` still holds it. Another or no holder is success; so is a write
/// that lost a race, because whoever won it is alive.
pub fn release(client: &Client, name: &str, noted: &str) -> Result<(), Error> {
    let Some(mut lease) = client.find(&path(name))? else {
        return Ok(());
    };
    if holder(&lease) != noted {
        return Ok(());
    }
    lease["spec"]["holderIdentity"] = json!("");
    lease["spec"]["leaseDurationSeconds"] = json!(1);
    // With the resourceVersion that was read.
    match client.replace(&path(name), &lease) {
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

    #[test]
    fn a_holder_lives_that_renewed_since_the_boot_and_not_too_long_ago() {
        let lease = |holder: &str| {
            json!({"spec": {
                "holderIdentity": holder, "leaseDurationSeconds": 60, "renewTime": "2026-11-23T06:00:00.123456Z",
            }})
        };
        let at = |time: &str| moment(&json!(format!("2026-11-23T06:0{time}Z"))).unwrap();
        let (boot, now) = (at("0:00"), at("0:30"));
        assert!(is_live(&lease("a_1"), boot, now));
        assert!(is_live(&lease("a_1"), boot, at("1:00")));
        assert!(
            !is_live(&lease("a_1"), at("0:00.2"), now),
            "from before the boot"
        );
        assert!(!is_live(&lease("a_1"), boot, at("1:00.2")), "expired");
        assert!(!is_live(&lease(""), boot, now), "released");
        let nobody = json!({"spec": {"holderIdentity": "a_1"}});
        assert!(!is_live(&nobody, boot, now));
    }
}
