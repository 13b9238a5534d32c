//! `slipway backup`: the word after it chooses what is done.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};

use super::parse::Words;
use super::run::{asset_dir, below_root, output, print, root};
use crate::age::{self, Identity, Recipient};
use crate::backup::{self, Options, metrics};
use crate::config::machine::{Backup, Machine, Role};
use crate::exit::{Exit, WithExit, fail};
use crate::metadata;
use crate::node::files::{below, read_if_there};
use crate::report::Reporter;
use crate::secret::Secret;

/// Takes, lists or verifies.
pub fn run(words: &Words) -> Result<()> {
    let arguments = words.arguments()?;
    match arguments.split_first() {
        None | Some((&"list", [])) => list(words),
        Some((&"take", [])) => take(words),
        Some((&"verify", names)) => verify(words, names),
        Some(_) => Err(fail(
            Exit::Usage,
            anyhow!(
                "backup does not know {:?}; see slipway backup --help",
                arguments.join(" ")
            ),
        )),
    }
}

/// The machine document as it is kept, and what it says; neither need be there.
fn kept(words: &Words) -> Result<Option<(Secret, Machine)>> {
    let path = below_root(words, metadata::KEPT);
    let Some(text) = read_if_there(&path)? else {
        return Ok(None);
    };
    let machine = metadata::document(&path)?.machine;
    Ok(Some((Secret::new(text), machine)))
}

fn settings(kept: Option<&(Secret, Machine)>) -> Backup {
    kept.map_or_else(Backup::default, |(_, machine)| machine.backup.clone())
}

/// Where backups lie: as the command line says, or below the root as the document says.
fn folder(words: &Words, settings: &Backup) -> PathBuf {
    let given = words.path("folder");
    given.unwrap_or_else(|| below(&root(words), &settings.folder))
}

fn take(words: &Words) -> Result<()> {
    let mut reporter = Reporter::new("backup", output(words)?, None);
    reporter.stage("backup");
    let kept = kept(words)?;
    let settings = settings(kept.as_ref());
    let machine = kept.as_ref().map(|(_, machine)| machine);
    if machine.is_some_and(|machine| machine.role == Role::Worker) {
        let error = anyhow!(
            "this node is a worker and has no etcd; take backups on the control plane's node"
        );
        return Err(fail(Exit::Refused, error));
    }
    let node = match machine {
        Some(machine) => machine.node.name.clone(),
        None => nix::unistd::gethostname()
            .context("this node has no name")?
            .to_string_lossy()
            .into_owned(),
    };
    let options = Options {
        asset_dir: asset_dir(words),
        folder: folder(words, &settings),
        keep: settings.keep,
        recipients: recipients(words, &settings)?,
        document: kept.map(|(text, _)| text),
        node,
        // What goes elsewhere, for once, is not what somebody watches.
        metrics: (words.path("folder").is_none()).then(|| below_root(words, metrics::FILE)),
    };
    backup::take(&options, &mut reporter)
}

fn recipients(words: &Words, settings: &Backup) -> Result<Vec<Recipient>> {
    let Some(list) = words.text("recipients")? else {
        return Ok(settings.recipients.clone());
    };
    let keys = list.split(',').map(str::parse);
    keys.collect::<Result<_>>()
        .context("--recipients")
        .exit(Exit::Usage)
}

fn list(words: &Words) -> Result<()> {
    let settings = settings(kept(words)?.as_ref());
    print(&backup::show(&folder(words, &settings), output(words)?)?)
}

fn verify(words: &Words, names: &[&str]) -> Result<()> {
    let mut reporter = Reporter::new("backup", output(words)?, None);
    reporter.stage("verify");
    let settings = settings(kept(words)?.as_ref());
    let identities = identities(words)?;
    backup::verify(&folder(words, &settings), names, &identities, &mut reporter)
}

fn identities(words: &Words) -> Result<Vec<Identity>> {
    let Some(path) = words.path("identity") else {
        return Ok(Vec::new());
    };
    let file = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    age::identities(&file).with_context(|| format!("cannot use {}", path.display()))
}
