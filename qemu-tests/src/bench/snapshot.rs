//! What a look into a large snapshot costs, against what `sha256sum` takes for the same file.
//!
//! The snapshot is a real etcd's and is made once: 9,000 keys of 10 to 100 KB, some of them written twice. The file
//! is in the page cache for both, because sha256sum reads it right before.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{Figures, Results, judged, measured_line, repeated, summary};
use crate::api::etcd::{Etcd, put};
use crate::scenario::Context;
use crate::{build, cache};

/// How often as long a look may take.
const MOST: f64 = 1.5;
/// A look keeps no more than this beside the objects.
const MOST_KIB: f64 = 64.0 * 1024.0;
/// Keys in the snapshot.
const KEYS: usize = 9_000;
/// So many of them are written a second time.
const TWICE: usize = 500;
/// One of so many is looked for.
const WANTED: usize = 100;

/// Five times both, judged.
pub fn run(context: &Context) -> Result<Results> {
    let look = build::example(&context.repo, "snapshot")?;
    let snapshot = made(context)?;
    let runs = repeated("snapshot", |_| both(&look, &snapshot))?;
    let targets = [
        ("snapshot_look_per_sha256sum", MOST),
        ("snapshot_look_peak_rss_kib", MOST_KIB),
    ];
    Ok(judged(summary(&runs), &targets))
}

fn both(look: &Path, snapshot: &Path) -> Result<Figures> {
    let snapshot = snapshot.display().to_string();
    let sum = ["sha256sum".to_owned(), snapshot.clone()];
    let mut figures = measured_line("snapshot_sha256sum", &sum)?;
    let look = [look.display().to_string(), snapshot, "wanted".to_owned()];
    figures.extend(measured_line("snapshot_look", &look)?);
    let wall = |name: &str| figures.get(&format!("snapshot_{name}_wall_ms")).copied();
    let times = wall("look").zip(wall("sha256sum"));
    let (look, sum) = times.context("a time was not measured")?;
    figures.insert("snapshot_look_per_sha256sum".to_owned(), look / sum);
    Ok(figures)
}

/// The snapshot, from the cache if it was made before.
fn made(context: &Context) -> Result<PathBuf> {
    let bin = context.payload.join("bin");
    let key = cache::Key::new(&format!("{KEYS} {TWICE} {WANTED}")).finish();
    let folder = cache::entry("snapshot", &key, |folder| {
        eprintln!("bench: making a snapshot of 500 MB, once");
        let work = tempfile::tempdir_in(&context.work)?;
        let etcd = Etcd::start(&bin, work.path())?;
        for number in (0..KEYS).chain(0..TWICE) {
            let kind = if number.is_multiple_of(WANTED) {
                "wanted"
            } else {
                "other"
            };
            let key = format!("/registry/{kind}/kube-system/number-{number}");
            etcd.change(&[put(&key, &value(number))])?;
        }
        etcd.save(&folder.join("large.db"))
    })?;
    Ok(folder.join("large.db"))
}

/// 10 to 100 KB that differ from key to key.
fn value(number: usize) -> Vec<u8> {
    let len = 10_000 + number * 7919 % 90_000;
    (0..len)
        .map(|at| ((at * (number + 1)) >> 3) as u8)
        .collect()
}
