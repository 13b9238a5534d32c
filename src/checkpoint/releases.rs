//! Leases whose holders are known to be dead, released so that nobody waits for them to expire.
//!
//! Four such are known: a process of this host that renewed the Lease last before the machine started, one of a workload of which
//! the container runtime has seen nothing run here for a while, one that acquired it before any container of the workload's pods
//! began and renews it no more (it was killed, or rolled out), and a checkpoint's that was ended here. Anything doubtful is left to
//! expire ([`crate::start::lease`]). A Lease of this host that did expire is released too: its holder gave up long before, by the
//! same clock, but whoever comes next would count the whole time once more from its own first look.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use serde_json::Value;

use super::decide::{self, Active, Runs, Seen};
use super::view::View;
use super::workload::Workload;
use crate::kube::Client;
use crate::start::lease;
use crate::start::ready::moment;

/// A container that ends is started again within this time, or not soon.
const RESTARTED: Duration = Duration::from_secs(10);

/// A holder that lives renews every second: one that does not for this long is not taken for dead because the API was slow, or a
/// clock was set.
const QUIET: Duration = Duration::from_secs(5);

/// It is noticed within this time that the node's address answers.
const NOTICED: Duration = Duration::from_secs(5);

/// What is said of a holder that does not live.
const GONE: &str = "is gone";

/// What is to be released once its holder is gone.
#[derive(Debug, Default)]
pub struct Releases(Vec<(Workload, String)>);

impl Releases {
    /// Notes who holds the Lease of a workload whose checkpoint is being ended, if that is the checkpoint: a process of
    /// this host that acquired the Lease before any of the workload's own began here, or before those had a door.
    pub fn note(&mut self, client: &Client, view: &View, workload: &Workload) {
        let Some(name) = view.leases.get(workload) else {
            return;
        };
        let since = rival_since(view.started.get(workload).copied(), view.opened);
        match lease::former_holder(client, &name.name, since) {
            Ok(Some(holder)) if is_of(&holder, &view.host) => {
                self.0.push((workload.clone(), holder));
            }
            Ok(_) => {}
            // It expires by itself.
            Err(error) => log::debug!("cannot read the Lease {}: {error}", name.name),
        }
    }

    /// Releases what may be released now. Says what it did; what failed is tried again.
    pub fn settle(&mut self, client: &Client, view: &View) -> Result<Vec<String>> {
        let mut said = Vec::new();
        for (workload, found) in &view.leases {
            let noted = self.0.iter().find(|(one, _)| one == workload);
            let ended = noted.filter(|_| !view.has_checkpoint(workload));
            let ended = ended.map(|(_, holder)| (&**holder, GONE));
            let left = || left(view, workload, &found.object, SystemTime::now());
            let Some((holder, why)) = ended.or_else(left) else {
                continue;
            };
            lease::release(client, &found.name, holder)?;
            said.push(format!("released: Lease {}\n{holder} {why}", found.name));
            self.0.retain(|(one, _)| one != workload);
        }
        Ok(said)
    }
}

/// Who left a workload's Lease behind, if that is a process of this host, and what became of it.
fn left<'a>(
    view: &View,
    workload: &Workload,
    lease: &'a Value,
    now: SystemTime,
) -> Option<(&'a str, &'static str)> {
    // Before the handover others of this host hold it.
    let seen = view.workloads.get(workload);
    let seen = seen.filter(|_| view.node.launched);
    let end = seen.and_then(|seen| ended_at(seen, now));
    let end = end.map_or(view.booted, |end| end.max(view.booted));
    let began = seen.and_then(|_| view.started.get(workload).copied());
    let began = began.filter(|_| !view.has_checkpoint(workload));
    let gone = dead_since(lease, &view.host, end);
    let gone = gone.or_else(|| outlived(lease, &view.host, began, now));
    let expired = seen.filter(|seen| is_expired(seen.lease));
    let expired = expired.and_then(|_| holder_of(lease, &view.host));
    let gone = gone.map(|holder| (holder, GONE));
    gone.or(expired.map(|holder| (holder, "let it expire")))
}

/// Since when a workload's own processes may have acquired its Lease, in seconds since the epoch: they run since `began`, and ask at
/// the node's address, which answers since `opened`.
fn rival_since(began: Option<i64>, opened: Option<SystemTime>) -> Option<i64> {
    let opened = opened.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let opened = opened.and_then(|at| i64::try_from(at.saturating_sub(NOTICED).as_secs()).ok());
    began.map(|began| opened.map_or(began, |opened| opened.max(began)))
}

/// Since when nothing of a workload has run here, if that is long enough to be no restart.
fn ended_at(seen: &Seen, now: SystemTime) -> Option<SystemTime> {
    let is_gone = seen.active == Active::No && seen.forgotten.is_none();
    match seen.runs {
        Runs::Stopped(since) if is_gone && since >= RESTARTED => Some(now - since),
        _ => None,
    }
}

/// The holder, if it is a process of this host that renewed the Lease last before `end`, after which none of them lived.
fn dead_since<'a>(lease: &'a Value, host: &str, end: SystemTime) -> Option<&'a str> {
    let renewed = moment(&lease["spec"]["renewTime"])?;
    holder_of(lease, host).filter(|_| renewed < end)
}

/// The holder, if it is a process of this host that acquired the Lease before the first of those began (at `began`, in seconds since
/// the epoch) that run now, and is quiet at `now`.
fn outlived<'a>(
    lease: &'a Value,
    host: &str,
    began: Option<i64>,
    now: SystemTime,
) -> Option<&'a str> {
    let is_quiet = now >= moment(&lease["spec"]["renewTime"])? + QUIET;
    let is_older = lease::to_release(lease, began).is_some();
    holder_of(lease, host).filter(|_| is_quiet && is_older)
}

/// Whether nobody has held the Lease for long enough to believe it.
fn is_expired(lease: decide::Lease) -> bool {
    matches!(lease, decide::Lease::Dead(dead) if dead >= QUIET)
}

/// The holder, if it is a process of this host.
fn holder_of<'a>(lease: &'a Value, host: &str) -> Option<&'a str> {
    Some(lease::holder(lease)).filter(|holder| is_of(holder, host))
}

/// Leaders call themselves by their host and a random suffix.
fn is_of(holder: &str, host: &str) -> bool {
    holder
        .rsplit_once('_')
        .is_some_and(|(name, _)| name == host)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::start::ready::seconds;

    #[test]
    fn who_has_no_door_acquires_nothing() {
        let opened = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(100));
        for (began, opened, expected) in [
            (Some(10), opened, Some(95)),
            (Some(99), opened, Some(99)),
            (Some(10), None, Some(10)),
            (None, opened, None),
        ] {
            assert_eq!(rival_since(began, opened), expected);
        }
    }

    #[test]
    fn what_expired_is_believed_after_a_while() {
        use decide::Lease;
        for (lease, expected) in [
            (Lease::Unknown, false),
            (Lease::Live, false),
            (Lease::Dead(QUIET / 2), false),
            (Lease::Dead(QUIET), true),
        ] {
            assert_eq!(is_expired(lease), expected, "{lease:?}");
        }
    }

    #[test]
    fn who_leads_no_more_is_older_than_all_that_run_and_quiet() {
        let lease = json!({ "spec": {
            "holderIdentity": "node-a_1f",
            "acquireTime": "2026-11-23T06:00:10.900000Z", "renewTime": "2026-11-23T06:00:30.123456Z" } });
        let at = |time: &str| json!(format!("2026-11-23T06:00:{time}Z"));
        let find = |host: &str, began: Option<&str>, now: &str| {
            let began = began.and_then(|time| seconds(&at(time)));
            outlived(&lease, host, began, moment(&at(now)).unwrap()).is_some()
        };
        assert!(find("node-a", Some("11"), "35.2"));
        assert!(!find("node-a", Some("11"), "35.1"), "it may be slow");
        assert!(!find("node-a", Some("10"), "50"), "it may be that one");
        assert!(!find("node-a", None, "50"), "none runs");
        assert!(!find("node-b", Some("11"), "50"), "another host");
    }

    #[test]
    fn only_this_hosts_holders_from_before_the_boot_are_dead_for_certain() {
        let lease = |holder: &str| json!({ "spec": { "holderIdentity": holder, "renewTime": "2026-11-23T06:00:00.123456Z" } });
        let at = |time: &str| moment(&json!(format!("2026-11-23T06:00:{time}Z"))).unwrap();
        let find =
            |holder: &str, booted| dead_since(&lease(holder), "node-a", booted).map(str::to_owned);
        assert_eq!(find("node-a_1f", at("00.2")).as_deref(), Some("node-a_1f"));
        assert_eq!(
            find("node-a_1f", at("00.1")),
            None,
            "renewed after the start"
        );
        assert_eq!(find("node-b_1f", at("01")), None, "another host");
        assert_eq!(find("", at("01")), None, "released already");
        assert_eq!(dead_since(&json!({}), "node-a", at("00")), None);
    }
}
