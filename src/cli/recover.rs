//! `slipway recover`: from its options to its room.

mod given;

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Result, anyhow};

use super::parse::Words;
use super::run::{asset_dir, below_root, machine, output, print, root, secrets};
use crate::certs::metrics;
use crate::config::Machine;
use crate::config::machine::Role;
use crate::exit::{Exit, fail};
use crate::node::clock;
use crate::recover::keys::{self, Supplied};
use crate::recover::source::Source;
use crate::recover::{self, Options, Prepared, Task, component, plan};
use crate::recovery;
use crate::render::directory;
use crate::report::{Output, Reporter};
use crate::start::turn;

/// Plans a recovery, or does it.
pub fn run(words: &Words) -> Result<()> {
    let output = output(words)?;
    let mut reporter = Reporter::new("recover", output, None);
    reporter.stage("recover");
    let machine = machine(words)?;
    if machine.role == Role::Worker {
        let next = "a worker has no control plane: join it anew with its document";
        return Err(fail(
            Exit::Refused,
            anyhow!("this node is a worker: {next}"),
        ));
    }
    let given = secrets(&machine, &root(words))?;
    let options = options(words, &machine)?;
    let is_plan = words.has("plan");
    let dated = || -> Result<SystemTime> {
        let limit = machine.timeouts.clock;
        match is_plan {
            true => Ok(SystemTime::now()),
            false => clock::settled(&options.root, machine.clock, limit, |text| {
                log::info!("{text}")
            }),
        }
    };
    let task = Task {
        machine: &machine,
        given: &given,
        dated: &dated,
    };
    let _turn = match is_plan {
        true => None,
        false => Some(turn::take(&options.root, "slipway recover")?),
    };
    let is_at_home = options.is_here && options.root == Path::new("/");
    if !is_plan && is_at_home && matches!(options.source, Source::Etcd(..)) {
        let earlier = directory::load(&options.folder)?;
        recover::resume(&options, &machine, &earlier, &mut reporter)?;
    }
    let prepared = recover::prepare(&options, &task, &mut reporter);
    let prepared = match prepared {
        Err(error) if is_plan && is_begun(&options)? => {
            return Err(error.context(
                "a recovery that began here is not over, so a plan may fail: run `slipway recover` again, which finishes it",
            ));
        }
        prepared => prepared?,
    };
    if is_plan {
        show(&options, &prepared, output)?;
    }
    recover::refuse_rivals(&options, &task, &prepared)?;
    let Some(writing) = &prepared.writing else {
        return Err(incomplete(&prepared, is_plan));
    };
    if is_plan {
        return Ok(());
    }
    tell(&prepared, &mut reporter);
    recover::put(&options, &task, &prepared, writing, &mut reporter)?;
    if options.is_here {
        metrics::write(&writing.assembled.assets, &options.root)?;
    }
    let next = match options.is_here {
        true => "slipway start".to_owned(),
        false => format!("slipway start --asset-dir {}", options.folder.display()),
    };
    reporter.stage("done");
    reporter.line(format!("recovered; next: {next}"));
    Ok(())
}

/// Whether a run before this one wrote an asset directory. If it was killed then, etcd may not know its new certificates yet.
fn is_begun(options: &Options) -> Result<bool> {
    Ok(directory::load(&options.folder)?
        .get(recovery::FILE)
        .is_some())
}

fn show(options: &Options, prepared: &Prepared, output: Output) -> Result<()> {
    match output {
        Output::Text => print(&plan::text(options, prepared)),
        Output::Json => print(&format!("{}\n", plan::json(options, prepared))),
    }
}

fn tell(prepared: &Prepared, reporter: &mut Reporter) {
    let found = &prepared.found;
    let count = found.understood.objects.len();
    reporter.line(format!(
        "{} · revision {} · {count} objects",
        found.source, found.revision
    ));
    for node in prepared.nodes.iter().filter(|node| !node.is_here) {
        reporter.line(format!("node {}", node.text()));
    }
    plan::notes(prepared).for_each(|note| reporter.line(note));
}

/// Everything that is missing; a plan has shown it already.
fn incomplete(prepared: &Prepared, is_shown: bool) -> anyhow::Error {
    let mut text = match prepared.missing.len() {
        1 => "1 thing is missing; nothing was written".to_owned(),
        count => format!("{count} things are missing; nothing was written"),
    };
    if !is_shown {
        for missing in &prepared.missing {
            text += &format!("\n  {missing}");
        }
    }
    fail(Exit::Refused, anyhow!(text))
}

fn options(words: &Words, machine: &Machine) -> Result<Options> {
    let folder = words.path("recovery-dir");
    let source = given::source(words, machine)?;
    let bundle = given::bundle(words, &source)?;
    let providers = given::encryption(words, bundle.as_ref())?;
    Ok(Options {
        root: root(words),
        source,
        bundle,
        is_here: folder.is_none(),
        folder: folder.unwrap_or_else(|| asset_dir(words)),
        pod_manifest_path: words
            .path("pod-manifest-path")
            .unwrap_or_else(|| below_root(words, "/etc/kubernetes/manifests")),
        supplied: Supplied {
            encryption_key: providers
                .as_ref()
                .and_then(|(bytes, _)| keys::secretbox(bytes)),
            ..given::supplied(words)?
        },
        encryption: providers.as_ref().map(|(bytes, _)| bytes.clone()),
        providers: providers.map(|(_, providers)| providers),
        components: components(words)?,
        forget_nodes: list(words, "forget-node")?,
    })
}

fn list(words: &Words, flag: &str) -> Result<Vec<String>> {
    let list = words
        .text(flag)?
        .into_iter()
        .flat_map(|list| list.split(','));
    Ok(list
        .filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect())
}

fn components(words: &Words) -> Result<Vec<String>> {
    let all = list(words, "component")?;
    let known: Vec<_> = component::names().collect();
    match all.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(all),
        Some(other) => {
            let known = known.join(", ");
            let error = anyhow!("--component {other}: components are {known}");
            Err(fail(Exit::Usage, error))
        }
    }
}
