//! What rendering costs: with fresh keys, again, and with hundreds of manifests of the user's own.
//!
//! Processor time is what slipway can do something about. The time on the wall holds the one sync of
//! the file system too, which is why it stands beside it, together with what a sync costs alone.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Figures, Results, disk, judged, measured, repeated, summary};
use crate::cache;
use crate::scenario::Context;

/// What a figure may be; the median is held against it.
const TARGETS: [(&str, f64); 4] = [
    ("render_fresh_cpu_ms", 20.0),
    ("render_fresh_peak_rss_kib", 12.0 * 1024.0),
    ("render_again_cpu_ms", 5.0),
    ("render_500_manifests_cpu_ms", 60.0),
];

/// How many manifests a large document has.
const MANIFESTS: usize = 500;

/// Five times everything, judged.
pub fn run(context: &Context) -> Result<Results> {
    let work = context.work.join("render");
    cache::empty(&work)?;
    let disk = disk::mount(&work)?;
    let small = work.join("small.yaml");
    fs::write(&small, context.example()?)?;
    let large = work.join("large.yaml");
    let manifests = tempfile::tempdir()?;
    fs::write(&large, large_document(context, manifests.path())?)?;
    let runs = repeated("render", |number| {
        let small_assets = disk.join(format!("small-{number}"));
        let large_assets = disk.join(format!("large-{number}"));
        let mut figures = Figures::new();
        for (name, document, assets) in [
            ("fresh", &small, &small_assets),
            ("again", &small, &small_assets),
            ("500_manifests", &large, &large_assets),
        ] {
            let options = [
                ("--config", document.as_path()),
                ("--asset-dir", assets.as_path()),
            ];
            let name = format!("render_{name}");
            figures.extend(measured(context, &name, "render", &options)?);
        }
        ensure!(
            fs::read_dir(large_assets.join("manifests"))?.count() > MANIFESTS,
            "the manifests were not written"
        );
        figures.insert("render_sync_alone_ms".to_owned(), sync(&disk)?);
        Ok(figures)
    })?;
    Ok(judged(summary(&runs), &TARGETS))
}

/// The example and 500 manifests of some size, which lie in `folder`: a document has at most 64 KiB.
fn large_document(context: &Context, folder: &Path) -> Result<String> {
    let mut document = String::from_utf8(context.example()?)?;
    document += "\nmanifests:\n";
    for number in 0..MANIFESTS {
        let file = folder.join(number.to_string());
        let text = "x".repeat(400);
        let object = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: own-{number}\n  namespace: kube-system\n\
             data:\n  text: {text}\n"
        );
        fs::write(&file, object)?;
        document += &format!("- {{name: own-{number}.yaml, file: {}}}\n", file.display());
    }
    Ok(document)
}

/// What a sync of the file system costs after one small file.
fn sync(folder: &Path) -> Result<f64> {
    let file = fs::File::create(folder.join("one"))?;
    let begun = Instant::now();
    nix::unistd::syncfs(&file)?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}
