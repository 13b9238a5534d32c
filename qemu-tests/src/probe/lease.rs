//! Who leads, and for how long nobody does.
//!
//! A Lease names its holder even when that one is dead; so time without a leader begins when the
//! Lease is emptied, when it expires, or when the process that held it ends, whichever is first, and
//! it ends when another holder stands in the Lease.

use serde::{Deserialize, Serialize};

/// The Lease of one component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// E.g. `kube-scheduler`.
    pub name: String,
    /// Holders in the order they came.
    pub holders: Vec<Holding>,
    /// The longest time without a holder who lives.
    pub longest_vacancy_ms: f64,
    /// Since when there is none.
    pub vacant_since: Option<f64>,
}

/// One who held a Lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holding {
    /// When the prober first saw it.
    pub since: f64,
    /// `holderIdentity`.
    pub holder: String,
    /// When it took the Lease by its own word (`acquireTime`).
    #[serde(default)]
    pub acquired: Option<f64>,
}

impl Lease {
    /// A Lease that nobody has held.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Notes what the Lease says: its holder, empty if released, since when that one has it, and when
    /// it expires unless renewed.
    pub fn see(&mut self, at: f64, holder: &str, acquired: Option<f64>, expires: f64) {
        let Some(last) = self.holders.last() else {
            return self.take(at, holder, acquired);
        };
        if holder.is_empty() {
            self.vacate(at);
        } else if last.holder != holder {
            self.take(at, holder, acquired);
        } else if expires < at {
            self.vacate(expires);
        }
        // One that is not over yet counts too.
        self.count(at);
    }

    /// Notes that a process of the component ended which the prober had first seen at `seen`. It
    /// was the holder only if it was there before the holder stood in the Lease.
    pub fn process_ended(&mut self, seen: f64, at: f64) {
        if self.holders.last().is_some_and(|last| seen <= last.since) {
            self.vacate(at);
        }
    }

    /// When somebody first took it after `moment`.
    pub fn taken_after(&self, moment: f64) -> Option<f64> {
        let times = self.holders.iter().filter_map(|one| one.acquired);
        times.filter(|&at| at >= moment).reduce(f64::min)
    }

    fn take(&mut self, at: f64, holder: &str, acquired: Option<f64>) {
        if holder.is_empty() {
            return;
        }
        self.count(at);
        self.vacant_since = None;
        self.holders.push(Holding {
            since: at,
            holder: holder.to_owned(),
            acquired,
        });
    }

    fn count(&mut self, at: f64) {
        if let Some(since) = self.vacant_since {
            self.longest_vacancy_ms = self.longest_vacancy_ms.max((at - since) * 1e3);
        }
    }

    fn vacate(&mut self, at: f64) {
        let since = self.vacant_since.map_or(at, |since| since.min(at));
        self.vacant_since = Some(since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_after_its_process_ended() {
        let mut lease = Lease::new("kube-scheduler");
        lease.see(1.0, "a", None, 60.0);
        lease.process_ended(0.5, 10.0);
        lease.see(10.5, "a", None, 60.0);
        lease.see(11.0, "", None, 12.0);
        lease.see(12.5, "b", None, 70.0);
        assert_eq!(lease.longest_vacancy_ms, 2500.0);
        assert_eq!(lease.holders.len(), 2);
        assert_eq!(lease.vacant_since, None);
    }

    #[test]
    fn the_end_of_a_process_that_waited_is_no_vacancy() {
        let mut lease = Lease::new("kube-scheduler");
        lease.see(1.0, "a", None, 60.0);
        lease.process_ended(5.0, 10.0);
        assert_eq!(lease.vacant_since, None);
    }

    #[test]
    fn whoever_holds_it_since_before_has_not_taken_it_again() {
        let mut lease = Lease::new("kube-scheduler");
        lease.see(20.0, "a", Some(1.0), 60.0);
        assert_eq!(lease.taken_after(10.0), None);
        lease.see(21.0, "b", Some(20.5), 80.0);
        lease.see(30.0, "c", Some(29.5), 90.0);
        assert_eq!(lease.taken_after(10.0), Some(20.5));
    }

    #[test]
    fn expired_without_a_word() {
        let mut lease = Lease::new("kube-scheduler");
        lease.see(1.0, "a", None, 16.0);
        lease.see(20.0, "a", None, 16.0);
        lease.see(21.0, "b", None, 36.0);
        assert_eq!(lease.longest_vacancy_ms, 5000.0);
    }
}
