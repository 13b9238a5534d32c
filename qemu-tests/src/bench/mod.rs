//! `./x bench`: what a launch, a reboot, a recovery, a fetch, a render and a look into a snapshot cost, the median and the worst of five.
//!
//! Tests never judge milliseconds, because they would fail on a slow day; this prints them, so that
//! a person can compare two days. Standard output holds one JSON object and nothing else.

mod disk;
mod fetch;
mod idle;
mod launch;
mod reboot;
mod recover;
mod render;
mod size;
mod snapshot;

use crate::node::reexec;
use crate::node::wire::Ended;
use crate::process;
use crate::scenario::Context;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How often everything is measured.
const RUNS: usize = 5;

/// What one run cost, by the name of the figure.
type Figures = BTreeMap<String, f64>;

/// Figures for the result, by name.
type Results = Map<String, Value>;

/// A name, and what measures it.
type Part = (&'static str, fn(&Context) -> Result<Results>);

/// What can be measured apart from the rest, and how.
const PARTS: [Part; 9] = [
    ("launch", launches),
    ("reboot", reboot::reboots),
    ("recover", recover::recoveries),
    ("idle", idle::run),
    ("render", render::run),
    ("snapshot", snapshot::run),
    ("fetch", |context| {
        Ok(summary(&repeated("fetch", |_| fetch::natively(context))?))
    }),
    ("boot", |context| {
        Ok(summary(&repeated("boot", |number| {
            fetch::at_boot(context, number)
        })?))
    }),
    ("size", sizes),
];

/// Measures one part, or all, and prints. `context.work` is the folder for the nodes' logs.
pub fn run(context: &Context, part: Option<&str>) -> Result<()> {
    let mut result = Map::new();
    for (_, measure) in chosen(part)? {
        result.extend(measure(context)?);
    }
    println!("{}", serde_json::to_string_pretty(&result)?);
    Ok(())
}

fn chosen(part: Option<&str>) -> Result<Vec<Part>> {
    let is_meant = |name: &str| part.is_none_or(|part| part == name);
    let chosen: Vec<_> = PARTS
        .into_iter()
        .filter(|(name, _)| is_meant(name))
        .collect();
    let names = PARTS.map(|(name, _)| name).join(", ");
    ensure!(
        !chosen.is_empty(),
        "there is no such part; there are: {names}"
    );
    Ok(chosen)
}

fn launches(context: &Context) -> Result<Results> {
    let launches = repeated("launch", |number| launch::run(context, number))?;
    let (stages, launches): (Vec<_>, Vec<_>) = launches.into_iter().unzip();
    let mut result = summary(&launches);
    result.insert("stages".into(), Value::Object(summary(&stages)));
    Ok(result)
}

fn sizes(context: &Context) -> Result<Results> {
    let binary = fs::metadata(&context.slipway).context("there is no binary")?;
    let added = size::initrd_added(&context.image)?;
    Ok(Map::from_iter([
        ("binary_bytes".to_owned(), binary.len().into()),
        ("initrd_added_bytes".to_owned(), added.into()),
    ]))
}

/// What a command of slipway costs, given these options; the figures' names begin with `name`.
fn measured(
    context: &Context,
    name: &str,
    command: &str,
    options: &[(&str, &Path)],
) -> Result<Figures> {
    let mut line = vec![context.slipway.display().to_string(), command.to_owned()];
    for (option, path) in options {
        line.extend([(*option).to_owned(), path.display().to_string()]);
    }
    measured_line(name, &line)
}

/// The same of any command line.
fn measured_line(name: &str, line: &[String]) -> Result<Figures> {
    let said = process::output(&mut reexec::command(reexec::MEASURE, &line)?)?;
    let ended: Ended = serde_json::from_str(&said).context("no figures came back")?;
    ensure!(ended.status == 0, "{line:?} failed: {}", ended.status);
    let figures = [
        ("cpu_ms", ended.cpu_ms),
        ("wall_ms", ended.wall_ms),
        ("peak_rss_kib", ended.peak_rss_kib as f64),
    ];
    Ok((figures.map(|(figure, value)| (format!("{name}_{figure}"), value))).into())
}

/// Five of them.
fn repeated<T>(what: &str, mut run: impl FnMut(usize) -> Result<T>) -> Result<Vec<T>> {
    let numbered = (1..=RUNS).map(|number| {
        eprintln!("bench: {what} {number} of {RUNS}");
        run(number).with_context(|| format!("{what} {number}"))
    });
    numbered.collect()
}

/// Median and worst of every figure; one that a run lacks is of the others.
fn summary(runs: &[Figures]) -> Results {
    let mut columns: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, value) in runs.iter().flatten() {
        columns.entry(name).or_default().push(*value);
    }
    let summary = columns.into_iter().map(|(name, mut values)| {
        values.sort_by(f64::total_cmp);
        let (median, worst) = (values[values.len() / 2], values[values.len() - 1]);
        (
            name.to_owned(),
            json!({ "median": rounded(median), "worst": rounded(worst) }),
        )
    });
    summary.collect()
}

/// Says of every figure with a target whether its median keeps it.
fn judged(mut results: Results, targets: &[(&str, f64)]) -> Results {
    for (name, target) in targets {
        let Some(Value::Object(figure)) = results.get_mut(*name) else {
            continue;
        };
        let is_kept = figure["median"]
            .as_f64()
            .is_some_and(|median| median <= *target);
        figure.insert("target".to_owned(), (*target).into());
        figure.insert(
            "verdict".to_owned(),
            if is_kept { "ok" } else { "over" }.into(),
        );
    }
    results
}

/// Two decimals are more than a launch repeats.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_chosen_by_its_name() {
        let names = |part| chosen(part).map(|parts| parts.iter().map(|part| part.0).collect());
        assert_eq!(
            names(None).map(|all: Vec<_>| all.len()).ok(),
            Some(PARTS.len())
        );
        assert_eq!(names(Some("size")).ok(), Some(vec!["size"]));
        assert!(chosen(Some("si")).unwrap_err().to_string().contains("boot"));
    }

    #[test]
    fn the_median_is_held_against_the_target() {
        let verdict = |value| {
            let runs = [Figures::from([("render_again_cpu_ms".to_owned(), value)])];
            let judged = judged(
                summary(&runs),
                &[("render_again_cpu_ms", 5.0), ("other", 1.0)],
            );
            judged["render_again_cpu_ms"]["verdict"].clone()
        };
        assert_eq!(verdict(5.0), json!("ok"));
        assert_eq!(verdict(5.1), json!("over"));
    }

    #[test]
    fn median_and_worst_of_five() {
        let run = |value| Figures::from([("api_gap_ms".to_owned(), value)]);
        let runs: Vec<_> = [5.0, 1.0, 4.004, 2.0, 300.0].map(run).into();
        assert_eq!(
            summary(&runs)["api_gap_ms"],
            json!({ "median": 4.0, "worst": 300.0 })
        );
    }
}
