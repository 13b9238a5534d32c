//! Running the tests: which tiers, what they need built, one line each, one count a tier.

use crate::scenario::{Context, Scenario};
use crate::{api, bench, build, cache, image, node, payload, prereq, unit, vm};
use anyhow::{Result, anyhow, bail};
use std::fmt;
use std::fs;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The tiers of docs/design.md §7, in the order they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Formatting, lints, `cargo test`.
    Unit,
    /// A real kube-apiserver and etcd.
    Api,
    /// A real node in namespaces.
    Node,
    /// The image in QEMU.
    Vm,
}

impl Tier {
    /// All of them, fast ones first.
    pub const ALL: [Tier; 4] = [Tier::Unit, Tier::Api, Tier::Node, Tier::Vm];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Unit => "unit",
            Tier::Api => "api",
            Tier::Node => "node",
            Tier::Vm => "vm",
        }
    }

    fn scenarios(self) -> &'static [Scenario] {
        match self {
            Tier::Unit => &[],
            Tier::Api => api::SCENARIOS,
            Tier::Node => node::SCENARIOS,
            Tier::Vm => vm::SCENARIOS,
        }
    }
}

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
    let tiers = tier.map_or(Tier::ALL.to_vec(), |tier| vec![tier]);
    let mut total = Tally::default();
    for tier in tiers {
        let tally = match tier {
            Tier::Unit => unit::run(repo, name)?,
            _ => scenarios(repo, tier, name)?,
        };
        if tally.ran() || name.is_none() {
            println!("tier {}: {tally}", tier.name());
        }
        total += tally;
    }
    match name {
        Some(name) if !total.ran() => bail!("no test's name contains '{name}'"),
        _ if total.is_good() => Ok(()),
        _ => bail!("not all tests passed: {total}"),
    }
}

/// Measures launches on the node tier; the sizes come from the VM's image.
pub fn bench(repo: &Path) -> Result<()> {
    let work = repo.join("target/test/bench");
    cache::empty(&work)?;
    let context = prepare(repo, Tier::Vm)?;
    bench::run(&Context { work, ..context })
}

/// Runs a tier's scenarios one after the other; they share the machine's ports and processors.
fn scenarios(repo: &Path, tier: Tier, name: Option<&str>) -> Result<Tally> {
    let mut tally = Tally::default();
    let chosen = choose(tier.scenarios(), name);
    if chosen.is_empty() {
        return Ok(tally);
    }
    let context = prepare(repo, tier)?;
    for scenario in chosen {
        match run(scenario, &context)? {
            true => tally.passed += 1,
            false => tally.failed += 1,
        }
    }
    Ok(tally)
}

fn choose<'a>(scenarios: &'a [Scenario], name: Option<&str>) -> Vec<&'a Scenario> {
    scenarios
        .iter()
        .filter(|scenario| name.is_none_or(|name| scenario.name.contains(name)))
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
    Ok(Context {
        repo: repo.to_path_buf(),
        work: PathBuf::new(),
        payload,
        image: repo.join("target/image"),
        slipway: build::slipway(repo)?,
    })
}

/// Runs one scenario in an empty folder of its own, which is kept if it fails.
fn run(scenario: &Scenario, context: &Context) -> Result<bool> {
    let work = context.repo.join("target/test").join(scenario.name);
    cache::empty(&work)?;
    let context = Context {
        work: work.clone(),
        ..context.clone()
    };
    let started = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| (scenario.run)(&context)))
        .unwrap_or_else(|_| Err(anyhow!("it panicked; the message stands above")));
    let seconds = started.elapsed().as_secs_f64();
    match result {
        Ok(()) => {
            println!("ok {} {seconds:.1}s", scenario.name);
            fs::remove_dir_all(&work)?;
            Ok(true)
        }
        Err(error) => {
            println!("FAILED {} {seconds:.1}s: {error:#}", scenario.name);
            println!("  its logs and state: {}", work.display());
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIOS: &[Scenario] = &[
        Scenario {
            name: "launch-single",
            tier: crate::scenario::Tier::Vm,
            run: |_| Ok(()),
        },
        Scenario {
            name: "reboot-single",
            tier: crate::scenario::Tier::Vm,
            run: |_| Ok(()),
        },
    ];

    #[test]
    fn a_name_chooses_by_substring() {
        let names = |name| {
            choose(SCENARIOS, name)
                .iter()
                .map(|s| s.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(None), ["launch-single", "reboot-single"]);
        assert_eq!(names(Some("launch")), ["launch-single"]);
        assert!(names(Some("nothing")).is_empty());
    }

    #[test]
    fn every_scenario_is_listed_once_and_in_its_tier() {
        let mut names = Vec::new();
        for (tier, expected) in [
            (Tier::Api, crate::scenario::Tier::Api),
            (Tier::Node, crate::scenario::Tier::Node),
            (Tier::Vm, crate::scenario::Tier::Vm),
        ] {
            assert!(
                tier.scenarios()
                    .iter()
                    .all(|scenario| scenario.tier == expected)
            );
            names.extend(
                tier.scenarios()
                    .iter()
                    .map(|scenario| (expected as u8, scenario.name)),
            );
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
