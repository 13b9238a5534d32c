//! The unit tier: what needs no cluster. Each check is a test of its own; `cargo test`'s own count
//! is added to theirs.

mod checks;
mod dracut;
mod fuzz;
mod schema;

use crate::build::cargo;
use crate::runner::Tally;
use crate::{prereq, process, progress};
use anyhow::Result;
use checks::CHECKS;
pub use checks::advisories;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long each fuzz target runs with the other tests.
const FUZZED: Duration = Duration::from_secs(10);
/// How long it runs in a soak.
const FUZZED_AT_LENGTH: Duration = Duration::from_secs(600);

/// Runs the checks and the tests whose name contains `name`.
pub fn run(repo: &Path, name: Option<&str>) -> Result<Tally> {
    prereq::lint()?;
    let mut tally = Tally::default();
    for (check, holds) in CHECKS {
        if name.is_none_or(|name| check.contains(name)) {
            count(check, holds(repo), &mut tally);
        }
    }
    tally += tests(repo, name)?;
    tally += fuzz::run(repo, name, FUZZED)?;
    Ok(tally)
}

/// Runs every fuzz target for as long as it takes to find what hides deeper.
pub fn fuzz_at_length(repo: &Path) -> Result<Tally> {
    fuzz::run(repo, None, FUZZED_AT_LENGTH)
}

/// Notes how a check went and says so.
fn count(check: &str, result: Result<()>, tally: &mut Tally) {
    match result {
        Ok(()) => {
            println!("ok {check}");
            tally.passed += 1;
        }
        Err(error) => {
            println!("FAILED {check}: {error:#}");
            tally.failed += 1;
        }
    }
}

/// `cargo test` of the whole workspace. Code that does not compile has no count of its own: it is
/// one failure.
fn tests(repo: &Path, name: Option<&str>) -> Result<Tally> {
    let mut text = String::new();
    let result = progress::step("cargo test", |log| {
        let mut command = cargo(repo);
        command
            .args(["test", "--workspace", "--no-fail-fast"])
            .args(name);
        let result = process::run(&mut command, log);
        text = fs::read_to_string(log.path())?;
        result
    });
    for line in text.lines().filter(|line| line.ends_with("... FAILED")) {
        println!("{line}");
    }
    let mut tally = counted(&text);
    if let Err(error) = result {
        println!("FAILED cargo test: {error:#}");
        tally.failed = tally.failed.max(1);
    }
    Ok(tally)
}

/// The sum of cargo's lines `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn counted(log: &str) -> Tally {
    let mut tally = Tally::default();
    for line in log.lines().filter(|line| line.starts_with("test result:")) {
        let number = |word: &str| {
            let before = line
                .split(word)
                .next()
                .filter(|before| before.len() < line.len());
            before
                .and_then(|text| text.split_whitespace().next_back()?.parse().ok())
                .unwrap_or(0)
        };
        tally.passed += number(" passed");
        tally.failed += number(" failed");
        tally.skipped += number(" ignored");
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_what_cargo_reports() {
        let log = "running 2 tests\n\
            test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 5 filtered out\n\
            test result: FAILED. 3 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(
            counted(log),
            Tally {
                passed: 5,
                failed: 4,
                skipped: 1
            }
        );
        assert_eq!(counted("error: could not compile"), Tally::default());
    }
}
