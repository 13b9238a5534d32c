//! What is wrong with a document, where, and how it is shown.

use std::error::Error;
use std::fmt;

/// More than this many lines help nobody on a console; the rest is counted.
const MAX_SHOWN: usize = 50;
/// A value quoted in a message is cut to this many characters.
const MAX_QUOTED: usize = 64;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line it stands on, from 1; for something missing, the line of what it belongs to.
    pub line: usize,
    /// Where in the document, e.g. `cluster.podCIDR` or `api.altNames[0]`; empty for all of it.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a document. Displays as one problem a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn add(&mut self, line: usize, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            line,
            path: path.into(),
            message: message.into(),
        });
    }

    /// Whether the document is fine so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems, in the order of their lines once [`super::parse`] has returned them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// In the order of their lines.
    pub(super) fn sorted(mut self) -> Self {
        self.0.sort();
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(MAX_SHOWN).enumerate() {
            let end_of_last = if index == 0 { "" } else { "\n" };
            write!(f, "{end_of_last}{problem}")?;
        }
        match self.0.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl Error for Problems {}

/// A value of the document as part of a message: quoted, escaped and cut, so that it can neither
/// break a line of the console nor fill it.
pub fn quote(value: &str) -> String {
    let mut shown: String = value.chars().take(MAX_QUOTED).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_problem_a_line_and_the_rest_counted() {
        let mut problems = Problems::default();
        problems.add(2, "b", "second");
        problems.add(1, "", "first");
        assert_eq!(
            problems.clone().sorted().to_string(),
            "line 1: first\nline 2: b: second"
        );
        (0..60).for_each(|line| problems.add(line, "x", "y"));
        assert!(problems.to_string().ends_with("\nand 12 more"));
    }

    #[test]
    fn quoted_values_cannot_break_a_line() {
        assert_eq!(quote("a\nb\u{1b}"), r#""a\nb\u{1b}""#);
        assert_eq!(quote(&"x".repeat(100)).chars().count(), MAX_QUOTED + 3);
    }
}
