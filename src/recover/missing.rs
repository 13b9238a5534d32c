//! What a recovery lacks, all of it at once.

use std::fmt;

/// One thing that was found nowhere, and how to supply it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What it is, e.g. `the key of the cluster's authority`.
    pub what: String,
    /// Where it was looked for, or what is wrong with what was found.
    pub why: String,
    /// What to do, e.g. `--ca FILE: its certificate and key, PEM`.
    pub supply: String,
}

impl Missing {
    /// From its three parts.
    pub fn new(what: impl Into<String>, why: impl Into<String>, supply: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: why.into(),
            supply: supply.into(),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; supply {}", self.what, self.why, self.supply)
    }
}
