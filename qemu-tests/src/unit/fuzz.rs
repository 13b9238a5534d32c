//! The fuzz targets: built once, each run for a while, two at a time.
//!
//! They begin with what the other tests read (documents, envelopes, the files of every source), which
//! is worth hours of finding formats out; what a run learns is kept in target/fuzz for the next one.

use crate::build::cargo;
use crate::runner::Tally;
use crate::{prereq, process, progress};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// Folders whose files are read by one parser or another.
const SEEDS: [&str; 7] = [
    "examples",
    "tests/documents",
    "tests/envelopes",
    "tests/requests",
    "tests/snapshots",
    "tests/sources",
    "tests/stored",
];
/// What the parsers are given at most, in bytes, in a short run; a longer input leaves less tries.
const SHORT: usize = 8 * 1024;
/// And in a long one: as much as a source delivers.
const LONG: usize = 4 * 1024 * 1024;
/// From this on a run is a long one.
const A_WHILE: Duration = Duration::from_secs(60);

/// Runs every target whose name contains `name`, each for so long; a target is a test.
pub fn run(repo: &Path, name: Option<&str>, each: Duration) -> Result<Tally> {
    let program = build(repo)?;
    let targets = process::output(&mut Command::new(&program))?;
    let wanted = targets.lines().filter(|target| {
        let test = format!("fuzz-{target}");
        name.is_none_or(|name| test.contains(name))
    });
    let wanted: Vec<&str> = wanted.collect();
    let shown = format!("fuzz {} targets, {} s each", wanted.len(), each.as_secs());
    progress::step(&shown, |_| all(repo, &program, &wanted, each))
}

/// Two at a time; each says how it went when it is over.
fn all(repo: &Path, program: &Path, targets: &[&str], each: Duration) -> Result<Tally> {
    let queue = Mutex::new(targets.iter());
    let tally = Mutex::new(Tally::default());
    let work = || {
        while let Some(target) = queue.lock().ok().and_then(|mut queue| queue.next()) {
            let result = fuzz(repo, program, target, each);
            if let Ok(mut tally) = tally.lock() {
                super::count(&format!("fuzz-{target}"), result, &mut tally);
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    tally
        .into_inner()
        .ok()
        .context("a fuzz target's thread panicked")
}

/// The program, with libFuzzer's counters in the crates of this repository.
fn build(repo: &Path) -> Result<PathBuf> {
    prereq::fuzz()?;
    progress::step("fuzz targets", |log| {
        let mut command = cargo(repo);
        command.args(["build", "--package", "slipway-fuzz"]).env(
            "RUSTC_WORKSPACE_WRAPPER",
            repo.join("qemu-tests/fuzz/coverage.sh"),
        );
        process::run(&mut command, log)
    })?;
    Ok(repo.join("target/debug/slipway-fuzz"))
}

fn fuzz(repo: &Path, program: &Path, target: &str, each: Duration) -> Result<()> {
    let folder = repo.join("target/fuzz").join(target);
    let (corpus, found) = (folder.join("corpus"), folder.join("found"));
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let longest = if each < A_WHILE { SHORT } else { LONG };
    let seconds = each.as_secs();
    let mut command = Command::new(program);
    command
        .env("SLIPWAY_FUZZ", target)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={longest}"))
        .args(["-rss_limit_mb=0", "-timeout=10", "-print_final_stats=1"])
        .arg(format!("-artifact_prefix={}/", found.display()))
        .arg(&corpus)
        .args(seeds(repo)?);
    let output = command.output().context("cannot start the fuzz target")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let log = folder.join("log");
    fs::write(&log, &*said).with_context(|| format!("cannot write {}", log.display()))?;
    let (log, found) = (log.display(), found.display());
    ensure!(
        output.status.success(),
        "see {log}; the input lies in {found}"
    );
    // A program without counters would run as happily, and find nothing.
    ensure!(
        said.contains("inline 8-bit counters"),
        "the program has no counters: {log}"
    );
    ensure!(runs(&said) > 100, "hardly anything was tried: {log}");
    Ok(())
}

/// The folders that have seeds; libFuzzer reads them with all that is below.
fn seeds(repo: &Path) -> Result<Vec<PathBuf>> {
    let folders: Vec<_> = SEEDS.map(|folder| repo.join(folder)).into();
    match folders.iter().find(|folder| !folder.is_dir()) {
        Some(missing) => bail!("{} is missing", missing.display()),
        None => Ok(folders),
    }
}

/// How many inputs were tried.
fn runs(said: &str) -> u64 {
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    line.and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_libfuzzers_statistics() {
        assert_eq!(runs("x\nstat::number_of_executed_units: 4711\ny"), 4711);
        assert_eq!(runs("x"), 0);
    }
}
