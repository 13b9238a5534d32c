//! Running the tests: which tiers, what they need built, one line each, one count a tier.

use crate::scenario::{Context, RESULT, Scenario, Tier};
use crate::{api, bench, build, cache, image, node, payload, prereq, unit, vm};
use anyhow::{Context as _, Result, anyhow, bail};
use std::fmt;
use std::fs;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// How a tier went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that held.
    pub passed: usize,
    /// Tests that did not.
    pub failed: usize,
    /// Tests that did not run; as bad as a failure, because nobody looks at them.
    pub skipped: usize,
}

impl Tally {
    fn ran(self) -> bool {
        self != Tally::default()
    }

    fn is_good(self) -> bool {
        self.failed == 0 && self.skipped == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Runs the tests of one tier, or of all, whose name contains `name`.
pub fn test(repo: &Path, tier: Option<Tier>, name: Option<&str>) -> Result<()> {
    if tier.is_none() && name.is_none() {
        // All that takes long is built first: what cannot be built is known before a test runs.
        prepare(repo, Tier::Vm)?;
    }
    let tiers = tier.map_or(Tier::ALL.to_vec(), |tier| vec![tier]);
    let mut total = Tally::default();
    for tier in tiers {
        let tally = match tier {
            Tier::Unit => unit::run(repo, name)?,
            _ => run_tier(repo, tier, name)?,
        };
        if tally.ran() {
            println!("tier {}:\n{tally}", tier.name());
        }
        total += tally;
    }
    match name {
        _ if !total.ran() => bail!("no test's name contains '{}'", name.unwrap_or_default()),
        _ if total.is_good() => Ok(()),
        _ => bail!("not all tests passed: {total}"),
    }
}

/// Runs every scenario `rounds` times and every fuzz target for minutes, and asks for advisories about
/// the dependencies: what is too long, or needs too much of the network, for every change.
pub fn soak(repo: &Path, rounds: u32) -> Result<()> {
    let advisories = unit::advisories(repo);
    let context = prepare(repo, Tier::Vm)?;
    let mut total = Tally::default();
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        for scenario in scenarios() {
            total += run(scenario, &context)?;
        }
    }
    for scenario in long() {
        total += run(scenario, &context)?;
    }
    total += unit::fuzz_at_length(repo)?;
    println!("{total}");
    if !total.is_good() {
        bail!("not all scenarios passed in all rounds: {total}");
    }
    advisories
}

/// Measures launches on the node tier, boots and sizes on the VM's image, the rest with the binary alone.
pub fn bench(repo: &Path, part: Option<&str>) -> Result<()> {
    let work = repo.join("target/test/bench");
    cache::empty(&work)?;
    let tier = match part {
        Some("fetch" | "render" | "snapshot") => Tier::Api,
        Some("reboot" | "recover" | "idle") => Tier::Node,
        _ => Tier::Vm,
    };
    let context = prepare(repo, tier)?;
    bench::run(&Context { work, ..context }, part)
}

/// Runs a tier's scenarios: those that bear company two at a time, then the others one after the other, because they
/// share the machine's ports or mind who else is busy.
fn run_tier(repo: &Path, tier: Tier, name: Option<&str>) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut chosen = choose(scenarios(), tier, name);
    if chosen.is_empty() && name.is_some() {
        // One of those that only `soak` runs can be asked for by its name.
        chosen = choose(long(), tier, name);
    }
    if chosen.is_empty() {
        return Ok(tally);
    }
    let context = prepare(repo, tier)?;
    let (in_company, alone): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|one| one.in_company);
    tally += side_by_side(&in_company, &context)?;
    for scenario in alone {
        tally += run(scenario, &context)?;
    }
    Ok(tally)
}

/// Runs two at a time: most of a launch is waiting, and one waits while the other works.
fn side_by_side(scenarios: &[&Scenario], context: &Context) -> Result<Tally> {
    let queue = Mutex::new(scenarios.iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let lane = || -> Result<Tally> {
        let mut tally = Tally::default();
        while let Some(scenario) = next() {
            tally += run(scenario, context)?;
        }
        Ok(tally)
    };
    let tallies = thread::scope(|scope| {
        let lanes = [scope.spawn(lane), scope.spawn(lane)];
        lanes.map(|lane| lane.join().unwrap_or_else(|_| bail!("a lane panicked")))
    });
    let mut total = Tally::default();
    for tally in tallies {
        total += tally?;
    }
    Ok(total)
}

/// Every scenario there is.
fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    [api::SCENARIOS, node::SCENARIOS, vm::SCENARIOS]
        .into_iter()
        .flatten()
}

/// What only `soak` runs.
fn long() -> impl Iterator<Item = &'static Scenario> {
    [api::LONG, node::LONG, vm::LONG].into_iter().flatten()
}

fn choose<'a>(
    scenarios: impl Iterator<Item = &'a Scenario>,
    tier: Tier,
    name: Option<&str>,
) -> Vec<&'a Scenario> {
    let named = |scenario: &&Scenario| name.is_none_or(|name| scenario.name.contains(name));
    scenarios
        .filter(|scenario| scenario.tier == tier)
        .filter(named)
        .collect()
}

/// Builds what the tier needs and no more.
fn prepare(repo: &Path, tier: Tier) -> Result<Context> {
    let payload = match tier {
        Tier::Unit | Tier::Api => payload::binaries(repo)?,
        Tier::Node => payload::ensure(repo)?,
        Tier::Vm => {
            prereq::emulator()?;
            image::ensure(repo)?;
            repo.join("target/payload")
        }
    };
    let left = repo.join("target/test/left");
    cache::empty(&left)?;
    Ok(Context {
        repo: repo.to_path_buf(),
        work: PathBuf::new(),
        left,
        payload,
        image: repo.join("target/image"),
        slipway: build::slipway(repo)?,
    })
}

/// Runs one scenario in an empty folder of its own, which is kept if it fails, or has figures. Where the emulator broke
/// down under it, it is run a second time, and that counts.
fn run(scenario: &Scenario, context: &Context) -> Result<Tally> {
    let folder = context.repo.join("target/test").join(scenario.tier.name());
    let work = folder.join(scenario.name);
    let context = Context {
        work: work.clone(),
        ..context.clone()
    };
    let (mut result, mut seconds) = attempt(scenario, &context)?;
    if let Err(error) = &result
        && let Some(fault) = vm::fault::find(&work)
    {
        let name = scenario.name;
        println!("AGAIN {name} {seconds:.1}s: the emulator's fault: {fault}: {error:#}");
        (result, seconds) = attempt(scenario, &context)?;
    }
    let mut tally = Tally::default();
    match result {
        Ok(()) => {
            println!("ok {} {seconds:.1}s", scenario.name);
            tally.passed = 1;
            tidy(&work).with_context(|| format!("cannot remove {}", work.display()))?;
        }
        Err(error) => {
            println!("FAILED {} {seconds:.1}s: {error:#}", scenario.name);
            println!("  its logs and state: {}", work.display());
            tally.failed = 1;
        }
    }
    Ok(tally)
}

/// Removes a scenario's folder but for its figures, if it has some.
fn tidy(work: &Path) -> Result<()> {
    let path = work.join(RESULT);
    let figures = fs::read(&path).ok();
    fs::remove_dir_all(work)?;
    if let Some(figures) = figures {
        fs::create_dir(work)?;
        fs::write(&path, figures)?;
        println!("  its figures: {}", path.display());
    }
    Ok(())
}

/// One run of it, and the seconds that took.
fn attempt(scenario: &Scenario, context: &Context) -> Result<(Result<()>, f64)> {
    cache::empty(&context.work)?;
    let started = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| (scenario.run)(context)))
        .unwrap_or_else(|_| Err(anyhow!("it panicked; the message stands above")));
    Ok((result, started.elapsed().as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_name_chooses_by_substring_in_its_tier() {
        let scenario = |name, tier| Scenario {
            name,
            tier,
            in_company: false,
            run: |_| Ok(()),
        };
        let all = [
            scenario("launch-single", Tier::Vm),
            scenario("launch-killed", Tier::Node),
            scenario("reboot-single", Tier::Vm),
        ];
        let names = |tier, name| {
            let chosen = choose(all.iter(), tier, name);
            chosen
                .iter()
                .map(|scenario| scenario.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(Tier::Vm, None), ["launch-single", "reboot-single"]);
        assert_eq!(names(Tier::Vm, Some("launch")), ["launch-single"]);
        assert_eq!(names(Tier::Node, Some("launch")), ["launch-killed"]);
        assert!(names(Tier::Api, None).is_empty());
    }

    #[test]
    fn every_scenario_has_a_name_of_its_own_in_its_tier() {
        let names: BTreeSet<_> = scenarios()
            .map(|scenario| (scenario.tier.name(), scenario.name))
            .collect();
        assert_eq!(names.len(), scenarios().count());
        assert!(scenarios().all(|scenario| scenario.tier != Tier::Unit));
    }
}
