//! `./x demo`: one machine, from a document to a cluster, shown live.

use crate::scenario::EXAMPLE;
use crate::vm::launch::{self, Launched};
use crate::vm::machine::Machine;
use crate::vm::media::Medium;
use crate::vm::{Line, by_slipway};
use crate::{build, cache, image, prereq};
use anyhow::{Context, Result};
use qemu_tests::probe::Report;
use serde_json::{Value, json};
use slipway::report::Record;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many columns the longest bar of the printed timeline has.
const BAR: f64 = 50.0;
/// How long the guest may take to end its pods and services, on a free machine with KVM.
const POWER_OFF: Duration = Duration::from_secs(90);
/// A demo is left on for as long as somebody looks at it.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// What is asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The machine document; `None`: examples/single-node.yaml.
    pub config: Option<PathBuf>,
    /// Power off after the handover instead of waiting for Ctrl-C.
    pub once: bool,
    /// Where result.json, timeline.svg, console.log and kubeconfig go; `None`: target/demo.
    pub out: Option<PathBuf>,
}

/// Builds everything, launches the document, and keeps the machine or powers it off.
pub fn run(repo: &Path, options: &Options) -> Result<()> {
    let example = repo.join(EXAMPLE);
    let config = options.config.as_ref().unwrap_or(&example);
    let document = fs::read(config).with_context(|| format!("cannot read {}", config.display()))?;
    prereq::emulator()?;
    let image = image::ensure(repo)?;
    let prober = build::prober(repo)?;
    let work = repo.join("target/demo");
    cache::empty(&work)?;
    let out = folder(options.out.as_ref().unwrap_or(&work))?;
    let mut machine = Machine::create(&image, &work, Medium::FwCfg, Some(&document))?;
    machine.spec.log = out.join("console.log");
    machine.add_prober(&prober)?;
    eprintln!("\n{} in QEMU ({}):", config.display(), machine.accel.name());
    let launched = launch::launch(&mut machine, show);
    let launched = launched.inspect_err(|error| {
        // The launch's own error is the one that counts.
        let _ = write_result(&out, &failure(&machine, error));
    })?;
    write_results(&out, &machine, &launched)?;
    finish(options, &machine, launched)
}

/// The folder with its full path, made if it is not there.
fn folder(path: &Path) -> Result<PathBuf> {
    fs::create_dir_all(path)
        .and_then(|()| fs::canonicalize(path))
        .with_context(|| format!("cannot create {}", path.display()))
}

/// Shows what slipway says in the guest.
fn show(line: &Line) {
    if let Some(text) = by_slipway(&line.text) {
        eprintln!("{:6.1}s | {text}", line.at.as_secs_f64());
    }
}

fn finish(options: &Options, machine: &Machine, launched: Launched) -> Result<()> {
    if options.once {
        return launched.vm.power_off(machine.accel.scale(POWER_OFF));
    }
    eprintln!("\nThe machine runs until Ctrl-C.");
    launched.vm.console.wait_off(FOREVER)
}

fn write_results(out: &Path, machine: &Machine, launched: &Launched) -> Result<()> {
    let timeline = out.join("timeline.svg");
    fs::write(&timeline, &launched.timeline)
        .with_context(|| format!("cannot write {}", timeline.display()))?;
    let kubeconfig = out.join("kubeconfig");
    if kubeconfig != launched.kubeconfig {
        let private = slipway::node::files::PRIVATE;
        let bytes = fs::read(&launched.kubeconfig).context("cannot read the kubeconfig")?;
        slipway::node::files::write(&kubeconfig, &bytes, private)?;
    }
    let result = success(machine, launched, &kubeconfig);
    write_result(out, &result)?;
    let kubectl = launch::kubectl();
    println!("\n{}", timeline_text(launched.total, &launched.record));
    println!("API         {}", launched.url);
    println!("kubeconfig  {}", kubeconfig.display());
    println!("timeline    {}", timeline.display());
    println!(
        "try         {} --kubeconfig {} get pods -A",
        kubectl.display(),
        kubeconfig.display()
    );
    Ok(())
}

fn write_result(out: &Path, result: &Value) -> Result<()> {
    let path = out.join("result.json");
    fs::write(&path, format!("{result:#}\n"))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Gaps are the prober's, which asks seldom under emulation; `./x bench` measures milliseconds.
fn success(machine: &Machine, launched: &Launched, kubeconfig: &Path) -> Value {
    let report = launched.report.as_ref();
    json!({
        "outcome": "handed-over",
        "total_s": tenths(launched.total.as_secs_f64()),
        "stages": launch::stages(launched.total, &launched.record),
        "api_gap_ms": report.map(Report::longest_gap_ms),
        "lease_gap_ms": report.map(Report::longest_vacancy_ms),
        "accel": machine.accel.name(),
        "kubeconfig": kubeconfig,
    })
}

fn failure(machine: &Machine, error: &anyhow::Error) -> Value {
    json!({
        "outcome": "failed",
        "error": format!("{error:#}"),
        "accel": machine.accel.name(),
    })
}

fn tenths(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

/// A bar for the boot and each stage of the launch.
fn timeline_text(total: Duration, record: &Record) -> String {
    let total = total.as_secs_f64().max(f64::EPSILON);
    let end = record
        .stages
        .iter()
        .filter_map(|stage| stage.end_s)
        .fold(0.0, f64::max);
    let boot = (total - end).max(0.0);
    let mut rows = vec![("boot".to_owned(), 0.0, boot)];
    rows.extend(record.stages.iter().map(|stage| {
        let stop = stage.end_s.unwrap_or(stage.start_s);
        (stage.name.clone(), boot + stage.start_s, boot + stop)
    }));
    rows.iter()
        .map(|(name, start, stop)| row(name, *start, *stop, total))
        .collect()
}

fn row(name: &str, start: f64, stop: f64, total: f64) -> String {
    // In range: both factors are between 0 and BAR.
    let column = |seconds: f64| (seconds / total * BAR).round().clamp(0.0, BAR) as usize;
    let (before, length) = (column(start), (column(stop) - column(start)).max(1));
    format!(
        "{name:<10} {:6.1}s  {}{}\n",
        stop - start,
        " ".repeat(before),
        "█".repeat(length)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeline_has_a_row_for_each_stage() {
        let record = launch::tests::record(&[("seed", 0.0, 10.0), ("done", 10.0, 10.0)]);
        let text = timeline_text(Duration::from_secs(20), &record);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 3);
        assert!(rows[0].starts_with("boot         10.0s  ███"), "{text}");
        assert!(rows[1].ends_with(&"█".repeat(25)), "{text}");
    }
}
