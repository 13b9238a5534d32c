//! `./x bench`: what a launch costs, the median and the worst of five on the node tier.
//!
//! Tests never judge milliseconds, because they would fail on a slow day; this prints them, so that
//! a person can compare two days. Standard output holds one JSON object and nothing else.

use crate::node::launch::{self, Observed, Required};
use crate::node::native::{Node, NodeSpec};
use crate::scenario::Context;
use crate::scenarios::pods;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

/// How many launches are measured.
const RUNS: usize = 5;

/// What one launch cost, by the name of the figure.
type Figures = BTreeMap<String, f64>;

/// Measures and prints. `context.work` is the folder for the nodes' logs.
pub fn run(context: &Context) -> Result<()> {
    let mut runs = Vec::new();
    for number in 1..=RUNS {
        eprintln!("bench: launch {number} of {RUNS}");
        let run = one_run(context, number);
        runs.push(run.with_context(|| format!("launch {number}"))?);
    }
    let (stages, figures): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
    let mut result = summary(&figures);
    result.insert("stages".into(), Value::Object(summary(&stages)));
    result.insert(
        "binary_bytes".into(),
        fs::metadata(&context.slipway)?.len().into(),
    );
    result.insert(
        "initrd_added_bytes".into(),
        initrd_added(&context.image)?.into(),
    );
    println!("{}", serde_json::to_string_pretty(&result)?);
    Ok(())
}

/// The seconds of each stage, and the other figures. By default pods come after the handover, so the
/// series of the prober in a pod is taken from a second launch, which waits for that pod.
fn one_run(context: &Context, number: usize) -> Result<(Figures, Figures)> {
    let (node, mut observed) = one_launch(context, &number.to_string(), Required::ControlPlane)?;
    let done = launch::entered(&node, "done")?;
    let stages = stages(&launch::json_file(&node, launch::STATUS)?);
    drop(node);
    let (_node, other) = one_launch(context, &format!("{number}-in-pod"), Required::InPod)?;
    let series = &mut observed.report.series;
    series.retain(|one| !pods::is_in_pod(one));
    series.extend(other.report.series.into_iter().filter(pods::is_in_pod));
    Ok((stages, figures(&observed, done)?))
}

fn one_launch(context: &Context, name: &str, required: Required) -> Result<(Node, Observed)> {
    let context = Context {
        work: context.work.join(name),
        ..context.clone()
    };
    let mut node = Node::create(&context, NodeSpec::default())?;
    node.boot()?;
    let observed = launch::observed(&node, required)?;
    Ok((node, observed))
}

fn figures(observed: &Observed, done: f64) -> Result<Figures> {
    let report = &observed.report;
    let ready = report
        .all_ready()
        .context("the workloads were never all Ready")?;
    let exit = report
        .bootstrap_exit_s()
        .context("the bootstrap apiserver's exit was not seen")?;
    let figures = [
        ("render_ms", observed.render.ended.cpu_ms),
        (
            "start_peak_rss_kib",
            observed.start.ended.peak_rss_kib as f64,
        ),
        ("own_share_ms", ((done - ready) - exit) * 1e3),
        ("api_gap_ms", report.longest_gap_ms()),
        ("failed_requests", report.failures().count() as f64),
        ("lease_gap_ms", report.longest_vacancy_ms()),
    ];
    Ok(figures
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

/// The stages of a stage record by name; what happens twice is added up.
fn stages(record: &Value) -> Figures {
    let mut stages = Figures::new();
    for stage in record["stages"].as_array().into_iter().flatten() {
        if let (Some(name), Some(start), Some(end)) = (
            stage["name"].as_str(),
            stage["start_s"].as_f64(),
            stage["end_s"].as_f64(),
        ) {
            *stages.entry(name.to_owned()).or_default() += end - start;
        }
    }
    stages
}

/// Median and worst of every figure; one that a run lacks is of the others.
fn summary(runs: &[Figures]) -> Map<String, Value> {
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

/// Two decimals are more than a launch repeats.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// What slipway's dracut module adds to the initrd as it is shipped: compressed sizes with and
/// without it.
fn initrd_added(image: &Path) -> Result<i64> {
    let with = compressed_size(&image.join("initrd.img"))?;
    let without = compressed_size(&image.join("initrd-base.img"))?;
    Ok(with - without)
}

fn compressed_size(path: &Path) -> Result<i64> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut zstd = Command::new("zstd")
        .args(["-19", "-T0", "--stdout", "--quiet"])
        .stdin(file)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run zstd; is it installed?")?;
    let packed = zstd.stdout.take().context("zstd has no output")?;
    let size = std::io::copy(&mut { packed }, &mut std::io::sink())?;
    ensure!(
        zstd.wait()?.success(),
        "zstd could not compress {}",
        path.display()
    );
    Ok(size.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_worst_of_five() {
        let run = |value| Figures::from([("api_gap_ms".to_owned(), value)]);
        let runs: Vec<_> = [5.0, 1.0, 4.004, 2.0, 300.0].map(run).into();
        assert_eq!(
            summary(&runs)["api_gap_ms"],
            json!({ "median": 4.0, "worst": 300.0 })
        );
    }

    #[test]
    fn stages_of_a_record() {
        let record = json!({ "stages": [
            { "name": "seed", "start_s": 1.0, "end_s": 5.5 },
            { "name": "wait", "start_s": 5.5, "end_s": null },
        ]});
        assert_eq!(stages(&record), Figures::from([("seed".to_owned(), 4.5)]));
    }
}
