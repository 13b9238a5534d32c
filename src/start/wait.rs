//! Waiting with a deadline, a subject and a reason.
//!
//! Every wait of the launch goes through [`until`], so that none is silent: what is waited for is
//! said when it begins, why it is not there is said once that has lasted, and again when the reason
//! changes, and a deadline that passes ends in the same words.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::watcher::Changes;
use crate::exit::{Exit, fail};
use crate::report::Reporter;

/// What a look at the world found.
#[derive(Debug)]
pub enum Look<T> {
    /// It is there.
    There(T),
    /// It is not there yet, because of this.
    NotYet(String),
}

/// One wait.
#[derive(Clone, Copy, Debug)]
pub struct Wait<'a> {
    /// What is waited for, e.g. `etcd answers at https://127.0.0.1:2379`.
    pub what: &'a str,
    /// The moment it counts as failed.
    pub deadline: Instant,
    /// The pause between two looks.
    pub every: Duration,
    /// What ends a pause before its time.
    pub changes: Option<&'a Changes>,
    /// What a person should do when the deadline passes.
    pub next_step: &'a str,
}

/// A reason is said once it has lasted so long, and a new one no sooner than this after the last.
const PATIENCE: Duration = Duration::from_secs(5);

/// A look costs those who are waited for; they get so many times as long to themselves, which on a fast
/// machine is less than any pause.
const LEISURE: u32 = 4;
const MOST_LEISURE: Duration = Duration::from_secs(2);

/// Looks until it is there. A look's own error ends the wait at once.
pub fn until<T>(
    reporter: &mut Reporter,
    wait: Wait<'_>,
    mut look: impl FnMut(&mut Reporter) -> Result<Look<T>>,
) -> Result<T> {
    let begun = Instant::now();
    let mut said = (begun, String::new());
    loop {
        let looked = Instant::now();
        let why = match look(reporter)? {
            Look::There(found) => return Ok(found),
            Look::NotYet(why) => why,
        };
        if Instant::now() >= wait.deadline {
            return Err(late(wait, begun, &why));
        }
        if said.0.elapsed() >= PATIENCE && said.1 != why {
            let after = begun.elapsed().as_secs_f64();
            reporter.waiting(&format!("{} · not for {after:.0} s", wait.what), Some(&why));
            said = (Instant::now(), why);
        }
        reporter.alive();
        let leisure = (looked.elapsed() * LEISURE).min(MOST_LEISURE);
        match wait.changes {
            None => thread::sleep(wait.every.max(leisure)),
            Some(changes) => {
                thread::sleep(leisure);
                changes.wait(wait.every);
            }
        }
    }
}

fn late(wait: Wait<'_>, begun: Instant, why: &str) -> anyhow::Error {
    let seconds = begun.elapsed().as_secs();
    let (what, next) = (wait.what, wait.next_step);
    fail(
        Exit::TimedOut,
        anyhow!("waited {seconds} s in vain until {what}: {why}\nnext step: {next}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;
    use crate::report::Output;

    fn wait(millis: u64) -> Wait<'static> {
        Wait {
            what: "the ship floats",
            deadline: Instant::now() + Duration::from_millis(millis),
            every: Duration::from_millis(1),
            changes: None,
            next_step: "wait for the tide",
        }
    }

    #[test]
    fn a_deadline_names_subject_reason_and_next_step() {
        let mut reporter = Reporter::new("test", Output::Text, None);
        let never = |_: &mut Reporter| Ok(Look::<()>::NotYet("low water".to_owned()));
        let error = until(&mut reporter, wait(5), never).unwrap_err();
        assert_eq!(exit_of(&error), Exit::TimedOut);
        let text = error.to_string();
        assert!(text.contains("the ship floats: low water"), "{text}");
        assert!(text.contains("wait for the tide"), "{text}");
    }

    #[test]
    fn it_looks_again() {
        let mut reporter = Reporter::new("test", Output::Text, None);
        let mut looks = 0;
        let found = until(&mut reporter, wait(60_000), |_| {
            looks += 1;
            Ok(if looks == 3 {
                Look::There(looks)
            } else {
                Look::NotYet(String::new())
            })
        });
        assert_eq!(found.unwrap(), 3);
    }
}
