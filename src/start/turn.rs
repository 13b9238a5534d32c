//! One run at a time changes a node's cluster: `start`, `certs renew` or `certs rotate`.
//!
//! Each reads the asset directory and then makes node and cluster like it, for minutes. Two at once could go
//! on from different directories, and the slower one would bring back what the other replaced. So the whole
//! run is locked, and the directory is read inside. A timer or a person who asks for certificates is refused
//! at once and comes again; a launch waits, because the boot stands still without it and its unit takes a
//! refusal for final. The road not taken is the asset directory's own lock: `render` may write it meanwhile,
//! and at boot it must.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::wait::{Look, Wait, until};
use crate::exit::{Exit, fail};
use crate::node::files::below;
use crate::node::lock::{self, Attempt, Lock};
use crate::report::Reporter;

/// What the lock is named after, below the root; there is no such folder.
const CLUSTER: &str = "/var/lib/slipway/cluster";

/// The right to change the cluster, until it is dropped. Nobody needs it where nothing can be written.
#[derive(Debug)]
pub struct Turn {
    _lock: Option<Lock>,
}

/// Takes the turn for `who`, e.g. `slipway certs renew`.
///
/// # Errors
/// [`Exit::Refused`] if somebody else has it.
pub fn take(root: &Path, who: &str) -> Result<Turn> {
    match lock::attempt(&below(root, CLUSTER), who)? {
        Attempt::Ours(_lock) => Ok(Turn { _lock }),
        Attempt::Theirs(other) => Err(fail(
            Exit::Refused,
            anyhow!(
                "{other} is at work on this cluster, and one at a time may be\n\
                 next step: wait until it has ended, then run this again"
            ),
        )),
    }
}

/// As [`take`], but waits for `limit` until it has the turn.
pub fn wait(root: &Path, who: &str, limit: Duration, reporter: &mut Reporter) -> Result<Turn> {
    let wait = Wait {
        what: "no other slipway is at work on this cluster",
        deadline: Instant::now() + limit,
        every: Duration::from_millis(200),
        changes: None,
        next_step: "see why it does not end, then run this again",
    };
    let folder = below(root, CLUSTER);
    until(reporter, wait, |reporter| {
        Ok(match lock::attempt(&folder, who)? {
            Attempt::Ours(_lock) => Look::There(Turn { _lock }),
            Attempt::Theirs(other) => {
                reporter.stage("wait");
                Look::NotYet(format!("{other} is"))
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;
    use crate::report::Output;

    const SOON: Duration = Duration::from_millis(1);

    #[test]
    fn whoever_comes_second_is_told_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let mut reporter = Reporter::new("test", Output::Text, None);
        let first = take(dir.path(), "slipway certs rotate").unwrap();
        let refused = take(dir.path(), "slipway certs renew").unwrap_err();
        assert_eq!(exit_of(&refused), Exit::Refused);
        let text = refused.to_string();
        assert!(text.contains("slipway certs rotate (process "), "{text}");
        assert!(text.contains("next step: wait"), "{text}");
        let late = wait(dir.path(), "slipway start", SOON, &mut reporter).unwrap_err();
        assert_eq!(exit_of(&late), Exit::TimedOut);
        assert!(late.to_string().contains("slipway certs rotate"), "{late}");
        drop(first);
        let launch = wait(dir.path(), "slipway start", SOON, &mut reporter).unwrap();
        assert!(take(dir.path(), "slipway certs renew").is_err());
        drop(launch);
        assert!(take(dir.path(), "slipway certs renew").is_ok());
    }

    #[test]
    fn a_launch_goes_on_when_the_other_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut reporter = Reporter::new("test", Output::Text, None);
        let first = take(dir.path(), "slipway certs renew").unwrap();
        std::thread::scope(|scope| {
            let root = dir.path();
            let second = scope.spawn(move || {
                let minute = Duration::from_secs(60);
                wait(root, "slipway start", minute, &mut reporter).map(drop)
            });
            drop(first);
            second.join().unwrap().unwrap();
        });
    }
}
