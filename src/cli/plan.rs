//! `slipway plan`: what render or start would change.

use std::time::SystemTime;

use anyhow::{Result, anyhow};
use serde_json::{Map, Value, json};

use super::parse::Words;
use super::run::{asset_dir, below_root, machine, output, print, root, secrets};
use crate::assets::Assets;
use crate::exit::{Exit, fail};
use crate::kube::{Client, Options, kubeconfig};
use crate::pki::Waiting;
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
    let planned = planned(words)?;
    let files = plan::files(&planned);
    let different = files.iter().filter(|file| file.is_difference()).count();
    let waiting = planned.secrets.map(|secrets| secrets.waiting());
    let waiting = waiting.unwrap_or_default();
    let mut lists = vec![(
        "files",
        part(files.iter().map(|file| (file.text(), file.json()))),
    )];
    if !waiting.is_empty() {
        lists.push(("waiting", part(waiting.iter().map(waits))));
    }
    show(output, lists)?;
    if waiting.is_empty() {
        return end(different, "files would change");
    }
    let count = waiting.len();
    let error = anyhow!(
        "{different} files would change; {count} certificates have to be signed by somebody else before the rest is rendered"
    );
    Err(fail(Exit::Differences, error))
}

fn waits(waiting: &Waiting) -> (String, Value) {
    let Waiting {
        request,
        certificate,
        reason,
    } = waiting;
    let json = json!({"request": request, "certificate": certificate, "reason": reason});
    (format!("would wait: {waiting}\n"), json)
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
    let all = part(objects.iter().map(|object| (object.text(), object.json())));
    show(output, vec![("objects", all)])?;
    end(different, "objects differ from the cluster's")
}

/// What render would leave in the asset directory; without a document, what is in it, as `start` takes it.
fn to_apply(words: &Words) -> Result<Assets> {
    let is_kept = below_root(words, metadata::KEPT).exists();
    match words.path("config").is_some() || is_kept {
        true => {
            let planned = planned(words)?;
            // Without the certificates that somebody else has to sign, it is not known.
            planned
                .secrets
                .map_or(Ok(()), |secrets| secrets.complete())?;
            Ok(planned.merged.assets)
        }
        false => directory::load(&asset_dir(words)),
    }
}

/// The same for a person and for a program.
type Part = (String, Vec<Value>);

fn part(all: impl Iterator<Item = (String, Value)>) -> Part {
    all.unzip()
}

fn show(output: Output, lists: Vec<(&str, Part)>) -> Result<()> {
    match output {
        Output::Text => lists.iter().try_for_each(|(_, (text, _))| print(text)),
        Output::Json => {
            let lists = lists.into_iter();
            let lists: Map<_, _> = lists
                .map(|(name, (_, json))| (name.to_owned(), json.into()))
                .collect();
            print(&format!("{}\n", Value::from(lists)))
        }
    }
}

fn end(different: usize, what: &str) -> Result<()> {
    match different {
        0 => Ok(()),
        count => Err(fail(Exit::Differences, anyhow!("{count} {what}"))),
    }
}
