//! What is left to do, from what is there now: the launch as a pure function.
//!
//! A launch can be killed at any instant and run again, on this boot or the next. It never asks the
//! journal how far it came; it looks at the machine and takes up whatever is missing.

/// What a look at the machine found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// An apiserver answers /readyz on loopback.
    pub serving: bool,
    /// The manifest of the temporary apiserver is in place.
    pub temporary: bool,
    /// Every required workload is Ready, and the self-hosted apiserver answers on the node's address.
    pub ready: bool,
    /// The done-marker exists.
    pub marked: bool,
}

/// One step of a launch, in the only order there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// etcd answers.
    Etcd,
    /// The temporary apiserver answers.
    Apiserver,
    /// The temporary controller-manager and scheduler run.
    Controllers,
    /// Every object that the control plane needs is in the API.
    Apply,
    /// Every required workload is Ready.
    Wait,
    /// Only the self-hosted control plane serves; what it does not need is in the API too.
    Handover,
    /// The static pods that stay are in place and answer.
    StaticPods,
    /// They do their work.
    Settle,
}

/// The steps that lead from `seen` to a cluster that runs itself; none if it does already.
pub fn steps(seen: Seen) -> &'static [Step] {
    use Step::{Apiserver, Apply, Controllers, Etcd, Handover, Wait};
    match seen {
        // Nothing serves: seed again, whatever happened before.
        Seen { serving: false, .. } => &[Etcd, Apiserver, Controllers, Apply, Wait, Handover],
        Seen {
            ready: true,
            temporary: false,
            marked: true,
            ..
        } => &[],
        // Killed while it handed over: the temporary controllers must not come back.
        Seen { ready: true, .. } => &[Apply, Wait, Handover],
        // A cluster that was handed over and has a broken workload now is for its owner to mend.
        Seen {
            marked: true,
            temporary: false,
            ..
        } => &[],
        Seen { .. } => &[Controllers, Apply, Wait, Handover],
    }
}

/// The same for a control plane of static pods that stay: nothing is temporary, so nothing is handed over.
pub fn static_steps(seen: Seen) -> &'static [Step] {
    use Step::{Apply, Etcd, Settle, StaticPods};
    match seen {
        Seen { serving: false, .. } => &[Etcd, StaticPods, Apply, Settle],
        // What is broken in a launched cluster is for its owner to mend.
        Seen { marked: true, .. } => &[],
        Seen { .. } => &[Apply, Settle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination() {
        for bits in 0..16u8 {
            let bit = |n: u8| bits & 1 << n != 0;
            let seen = Seen {
                serving: bit(0),
                temporary: bit(1),
                ready: bit(2),
                marked: bit(3),
            };
            let steps = steps(seen);
            let sorted = steps.windows(2).all(|pair| (pair[0] as u8) < pair[1] as u8);
            assert!(sorted, "{seen:?}");
            assert_eq!(steps.contains(&Step::Etcd), !seen.serving, "{seen:?}");
            let wants_controllers =
                !seen.serving || !seen.ready && (seen.temporary || !seen.marked);
            assert_eq!(
                steps.contains(&Step::Controllers),
                wants_controllers,
                "{seen:?}"
            );
            let done = seen.serving && seen.marked && !seen.temporary;
            assert_eq!(steps.is_empty(), done, "{seen:?}");
            assert!(
                steps.is_empty() || steps.last() == Some(&Step::Handover),
                "{seen:?}"
            );
        }
    }

    #[test]
    fn static_pods_are_never_handed_over() {
        use Step::{Apply, Etcd, Settle, StaticPods};
        let table: [(bool, bool, &[Step]); 4] = [
            (false, false, &[Etcd, StaticPods, Apply, Settle]),
            (false, true, &[Etcd, StaticPods, Apply, Settle]),
            (true, false, &[Apply, Settle]),
            (true, true, &[]),
        ];
        for (serving, marked, expected) in table {
            let seen = Seen {
                serving,
                temporary: false,
                ready: false,
                marked,
            };
            assert_eq!(static_steps(seen), expected, "{seen:?}");
        }
    }
}
