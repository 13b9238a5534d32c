//! Exit codes, and how an error carries one up to `main`.
//!
//! A process has one exit code, chosen where the cause is known, often deep inside a room. Rather
//! than thread an enum through every signature, an error is wrapped once in a [`Failure`]; `main`
//! looks for the innermost one in the chain, and anything without one is a plain failure.

use std::error::Error;
use std::fmt;

/// What the process tells its caller; part of the public contract (docs/design.md §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for is true now.
    Done = 0,
    /// Something failed that no other code describes.
    Failed = 1,
    /// The command line was not understood.
    Usage = 2,
    /// The machine document is invalid; nothing was written.
    Invalid = 3,
    /// The document's source was not found or could not be reached.
    NotFound = 4,
    /// A deadline passed while waiting; running again is sensible.
    TimedOut = 5,
    /// Refused, because going on could lose data or break a running cluster.
    Refused = 6,
    /// `plan` found differences.
    Differences = 7,
}

/// An error that knows the exit code it deserves. Displays as the error it wraps.
#[derive(Debug)]
pub struct Failure {
    /// The code for the caller.
    pub exit: Exit,
    error: anyhow::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// Attaches an exit code to the error of a result.
pub trait WithExit<T> {
    /// The same result; its error, if any, ends the process with `exit`.
    fn exit(self, exit: Exit) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithExit<T> for Result<T, E> {
    fn exit(self, exit: Exit) -> anyhow::Result<T> {
        self.map_err(|error| fail(exit, error))
    }
}

/// An error with an exit code, from any error; one that has a code already keeps it.
pub fn fail(exit: Exit, error: impl Into<anyhow::Error>) -> anyhow::Error {
    let error = error.into();
    match error.is::<Failure>() {
        true => error,
        false => anyhow::Error::new(Failure { exit, error }),
    }
}

/// The exit code that an error carries: that of the innermost [`Failure`], else [`Exit::Failed`].
pub fn exit_of(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<Failure>())
        .last()
        .map_or(Exit::Failed, |failure| failure.exit)
}

/// Whether an error was caused by one of that type.
pub fn caused_by<E: Error + 'static>(error: &anyhow::Error) -> bool {
    error.chain().any(<dyn Error>::is::<E>)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn context_keeps_the_code_and_the_text() {
        let error = Err::<(), _>(anyhow!("no disk"))
            .exit(Exit::NotFound)
            .context("cannot read the machine document")
            .unwrap_err();
        assert_eq!(exit_of(&error), Exit::NotFound);
        assert_eq!(
            format!("{error:#}"),
            "cannot read the machine document: no disk"
        );
    }

    #[test]
    fn an_error_without_a_code_is_a_plain_failure() {
        assert_eq!(exit_of(&anyhow!("x")), Exit::Failed);
    }

    #[test]
    fn the_code_that_was_chosen_first_stays() {
        let error = fail(Exit::NotFound, fail(Exit::Refused, anyhow!("no")));
        assert_eq!(exit_of(&error), Exit::Refused);
        let error = fail(Exit::NotFound, error.context("outside"));
        assert_eq!(exit_of(&error), Exit::Refused);
        assert_eq!(format!("{error:#}"), "outside: no");
    }
}
