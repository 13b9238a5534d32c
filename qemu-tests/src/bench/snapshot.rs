//! What a plan from a large snapshot costs, against what `sha256sum` takes for the same file.
//!
//! The snapshot is that of a real cluster with a control plane of its own and 9,000 ConfigMaps of 10 to 100 KB, and is made
//! once. The file is in the page cache for both, because sha256sum reads it right before.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Figures, Results, judged, measured_line, repeated, summary};
use crate::api::scenarios::recover::kept::Kept;
use crate::api::scenarios::recover::left::Left;
use crate::cache;
use crate::scenario::Context;
use crate::scenarios::seeded::create_all;

/// How often as long a plan may take.
const MOST: f64 = 1.5;
/// A plan keeps no more than this beside the objects.
const MOST_KIB: f64 = 64.0 * 1024.0;
/// ConfigMaps that nothing of the control plane needs.
const MAPS: usize = 9_000;
const NAMESPACE: &str = "cargo";

/// Five times both, judged.
pub fn run(context: &Context) -> Result<Results> {
    let kept = Kept::in_folder(&made(context)?, &context.slipway);
    let empty = tempfile::tempdir_in(&context.work)?;
    let mut plan = kept.recover_from_snapshot(empty.path());
    kept.supply(&mut plan);
    let plan = line(plan.arg("--plan"));
    let sum = line(Command::new("sha256sum").arg(kept.snapshot()));
    let runs = repeated("snapshot", |_| both(&plan, &sum))?;
    let targets = [
        ("snapshot_plan_per_sha256sum", MOST),
        ("snapshot_plan_peak_rss_kib", MOST_KIB),
    ];
    Ok(judged(summary(&runs), &targets))
}

fn both(plan: &[String], sum: &[String]) -> Result<Figures> {
    let mut figures = measured_line("snapshot_sha256sum", sum)?;
    figures.extend(measured_line("snapshot_plan", plan)?);
    let wall = |name: &str| figures.get(&format!("snapshot_{name}_wall_ms")).copied();
    let times = wall("plan").zip(wall("sha256sum"));
    let (plan, sum) = times.context("a time was not measured")?;
    figures.insert("snapshot_plan_per_sha256sum".to_owned(), plan / sum);
    Ok(figures)
}

fn line(command: &Command) -> Vec<String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// The folder with the snapshot and the keys to it, from the cache if it was made before.
fn made(context: &Context) -> Result<PathBuf> {
    let key = cache::Key::new(&format!("plan {MAPS}")).finish();
    cache::entry("snapshot", &key, |folder| {
        eprintln!("bench: making a snapshot of 500 MB, once");
        let work = tempfile::tempdir_in(&context.work)?;
        let context = Context {
            work: work.path().to_owned(),
            ..context.clone()
        };
        let left = Left::of(&context)?;
        let client = left.cluster.admin()?;
        client.create(&object("Namespace", NAMESPACE, json!({})))?;
        create_all(&client, &(0..MAPS).map(map).collect::<Vec<_>>())?;
        let kept = Kept::begin(folder, &context.slipway)?;
        kept.take(&left.assets)?;
        kept.take_snapshot(&left.cluster)
    })
}

fn object(kind: &str, name: &str, data: Value) -> Value {
    let mut object = json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name } });
    if kind == "ConfigMap" {
        object["metadata"]["namespace"] = NAMESPACE.into();
        object["data"] = data;
    }
    object
}

/// 10 to 100 KB that differ from one to the next.
fn map(number: usize) -> Value {
    let letter = |at: usize| char::from(b'a' + ((at * (number + 1)) >> 3) as u8 % 26);
    let text: String = (0..10_000 + number * 7919 % 90_000).map(letter).collect();
    object(
        "ConfigMap",
        &format!("number-{number}"),
        json!({ "text": text }),
    )
}
