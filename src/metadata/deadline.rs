//! Waiting for a source: against a monotonic clock, with capped pauses, one line a change.
//!
//! The wall clock of a machine that has just been switched on may jump by decades while a source is
//! waited for. Errors are of two kinds only, and the source knows which: what may be cured by time is
//! tried again until the deadline, all else ends the wait at once.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::config::duration;
use crate::exit::{Exit, WithExit};

/// The pause after the first attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Nor is one that a service asks for: what it says is not proven, and the deadline comes.
const LONGEST_WANTED: Duration = Duration::from_secs(30);

/// The pause between two looks of [`poll`].
const POLL: Duration = Duration::from_millis(50);

/// A point in time that waits end at.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    begin: Instant,
    limit: Duration,
}

impl Deadline {
    /// `limit` from now.
    pub fn after(limit: Duration) -> Self {
        Self {
            begin: Instant::now(),
            limit,
        }
    }

    /// The time that is left; zero when it has passed.
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.begin.elapsed())
    }

    /// All of it, for a message.
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

/// What became of an attempt that did not succeed.
#[derive(Debug)]
pub enum Failed {
    /// Time may cure it.
    Again(anyhow::Error),
    /// As [`Failed::Again`], but whoever was asked wants this much time.
    Later(anyhow::Error, Duration),
    /// It will not.
    Finally(anyhow::Error),
}

/// Attempts until one succeeds. Every new reason is logged once; `what` completes "waiting for".
///
/// # Errors
/// The first final one, or with [`Exit::NotFound`] the last one when the deadline has passed.
pub fn until<T>(
    deadline: Deadline,
    what: &str,
    mut attempt: impl FnMut() -> Result<T, Failed>,
) -> Result<T> {
    let mut pause = FIRST_PAUSE;
    let mut told = String::new();
    loop {
        let (error, wanted) = match attempt() {
            Ok(value) => return Ok(value),
            Err(Failed::Finally(error)) => return Err(error),
            Err(Failed::Again(error)) => (error, Duration::ZERO),
            Err(Failed::Later(error, wanted)) => (error, wanted),
        };
        let why = format!("{error:#}");
        if why != told {
            log::warn!("waiting for {what}: {why}");
            told = why;
        }
        let left = deadline.left();
        if left.is_zero() {
            let limit = duration::show(deadline.limit());
            return Err(error)
                .with_context(|| format!("gave up waiting for {what} after {limit}"))
                .exit(Exit::NotFound);
        }
        thread::sleep(rest(pause, wanted, left));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// How long to rest between two attempts, if so much time was asked for and is left.
fn rest(pause: Duration, wanted: Duration, left: Duration) -> Duration {
    pause.max(wanted.min(LONGEST_WANTED)).min(left)
}

/// Looks for something that costs next to nothing to look for, such as a device, until it is there.
/// `None` if it is not when the deadline has passed; there is always one look.
pub fn poll<T>(deadline: Deadline, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        let found = look();
        let left = deadline.left();
        if found.is_some() || left.is_zero() {
            return found;
        }
        thread::sleep(POLL.min(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    use crate::exit::exit_of;

    #[test]
    fn ends_with_success_a_final_error_or_the_deadline() {
        let far = Deadline::after(Duration::from_secs(60));
        let mut tries = 0;
        let third = until(far, "it", || {
            tries += 1;
            match tries {
                3 => Ok(tries),
                _ => Err(Failed::Again(anyhow!("not yet"))),
            }
        });
        assert_eq!(third.unwrap(), 3);

        let never = until(far, "it", || {
            Err::<(), _>(Failed::Finally(anyhow!("never")))
        });
        assert_eq!(never.unwrap_err().to_string(), "never");

        let near = || Deadline::after(Duration::from_millis(10));
        let late = until(near(), "it", || Err::<(), _>(Failed::Again(anyhow!("no"))));
        let late = late.unwrap_err();
        assert_eq!(exit_of(&late), Exit::NotFound);
        assert_eq!(format!("{late:#}"), "gave up waiting for it after 10ms: no");
    }

    #[test]
    fn no_rest_is_longer_than_half_a_minute() {
        let s = Duration::from_secs;
        for (pause, wanted, left, want) in [
            (1, 0, 100, 1),
            (5, 2, 100, 5),
            (1, 20, 100, 20),
            (1, 3600, 100, 30),
            (1, 3600, 10, 10),
            (5, 0, 3, 3),
        ] {
            assert_eq!(rest(s(pause), s(wanted), s(left)), s(want));
        }
    }

    #[test]
    fn a_wanted_pause_ends_with_the_deadline() {
        let mut tries = 0;
        let near = Deadline::after(Duration::from_millis(20));
        let late = until(near, "it", || {
            tries += 1;
            let hour = Duration::from_secs(3600);
            Err::<(), _>(Failed::Later(anyhow!("busy"), hour))
        });
        assert!(late.unwrap_err().to_string().contains("gave up"));
        assert_eq!(tries, 2, "one at the beginning, one at the deadline");
    }
}
