//! `slipway plan`: what render or start would change.

use std::time::SystemTime;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::parse::Words;
use super::run::{asset_dir, below_root, machine, output, print, root, secrets};
use crate::assets::Assets;
use crate::exit::{Exit, fail};
use crate::kube::{Client, Options, kubeconfig};
use crate::plan::{self, live};
use crate::render::directory::{self, Planned};
use crate::report::Output;
use crate::{metadata, start};

/// Shows the difference that was asked for; [`Exit::Differences`] if there is one.
pub fn plan(words: &Words) -> Result<()> {
    let output = output(words)?;
    if words.has("live") {
        return cluster(words, output);
    }
    let files = plan::files(&planned(words)?);
    let different = files.iter().filter(|file| file.is_difference()).count();
    show(
        output,
        "files",
        files.iter().map(|file| (file.text(), file.json())),
    )?;
    end(different, "files would change")
}

fn planned(words: &Words) -> Result<Planned> {
    let machine = machine(words)?;
    let given = secrets(&machine, &root(words))?;
    // What is dated in a plan is thrown away with it, so no clock is waited for.
    let now = || Ok(SystemTime::now());
    directory::plan(
        &machine,
        &given,
        &asset_dir(words),
        now,
        words.has("overwrite"),
    )
}

fn cluster(words: &Words, output: Output) -> Result<()> {
    let manifests = start::manifests(&to_apply(words)?)?;
    let file = words.path("kubeconfig");
    let file = file.unwrap_or_else(|| asset_dir(words).join("auth/kubeconfig"));
    let client = Client::new(&kubeconfig::load(&file)?, Options::default())?;
    let objects = live::objects(&client, &manifests)?;
    let different = objects
        .iter()
        .filter(|object| object.is_difference())
        .count();
    show(
        output,
        "objects",
        objects.iter().map(|object| (object.text(), object.json())),
    )?;
    end(different, "objects differ from the cluster's")
}

/// What render would leave in the asset directory; without a document, what is in it, as `start` takes it.
fn to_apply(words: &Words) -> Result<Assets> {
    let is_kept = below_root(words, metadata::KEPT).exists();
    match words.path("config").is_some() || is_kept {
        true => Ok(planned(words)?.merged.assets),
        false => directory::load(&asset_dir(words)),
    }
}

fn show(output: Output, what: &str, all: impl Iterator<Item = (String, Value)>) -> Result<()> {
    match output {
        Output::Text => print(&all.map(|(text, _)| text).collect::<String>()),
        Output::Json => {
            let all: Vec<_> = all.map(|(_, json)| json).collect();
            print(&format!("{}\n", json!({ what: all })))
        }
    }
}

fn end(different: usize, what: &str) -> Result<()> {
    match different {
        0 => Ok(()),
        count => Err(fail(Exit::Differences, anyhow!("{count} {what}"))),
    }
}
