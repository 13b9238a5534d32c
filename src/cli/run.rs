//! From an invocation to the rooms: builds their requests, prints their results.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use super::parse::{Invocation, Words};
use super::{backup, certs, checkpoint, complete, document, help, plan};
use crate::certs::metrics;
use crate::config::machine::{Encryption, Etcd, Launch, Role, Timeouts};
use crate::config::sensitive::Sensitive;
use crate::config::{AUTHORITY_KEY, ENCRYPTION_KEY, ETCD_KEY, Machine, SERVICE_ACCOUNT_KEY, TOKEN};
use crate::exit::{Exit, WithExit, fail};
use crate::node::secrets::Finder;
use crate::node::{clock, files, kmsg};
use crate::pki::Given;
use crate::render::directory::{self, What};
use crate::render::{extra, install};
use crate::report::{Outcome, Output, Reporter};
use crate::{metadata, recover, report, start};

/// Where the launch's record lies, below the root.
const STATE: &str = "/var/lib/slipway";

/// Does what was asked for.
pub fn run(invocation: Invocation) -> Result<()> {
    let words = match invocation {
        Invocation::Help(command) => return print(&help::help(command)),
        Invocation::Version => return print(concat!("slipway ", env!("CARGO_PKG_VERSION"), "\n")),
        Invocation::Run(words) => words,
    };
    kmsg::install(words.verbose);
    match words.command.name {
        "fetch" => document::fetch(&words),
        "validate" => document::validate(&words),
        "convert" => document::convert(&words),
        "schema" => document::print_schema(),
        "render" => render(&words),
        "plan" => plan::plan(&words),
        "start" => launch(&words),
        "recover" => super::recover::run(&words),
        "status" => report::status::show(
            &below_root(&words, STATE),
            output(&words)?,
            words.has("watch"),
        ),
        "backup" => backup::run(&words),
        "certs" => certs::run(&words),
        "checkpoint" => checkpoint::run(&words),
        "completions" => completions(&words),
        _ => print(&help::man()),
    }
}

pub(super) fn print(text: &str) -> Result<()> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever closed the pipe has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot print"),
    }
}

pub(super) fn output(words: &Words) -> Result<Output> {
    match words.text("output")? {
        None | Some("text") => Ok(Output::Text),
        Some("json") => Ok(Output::Json),
        Some(other) => Err(anyhow!("--output is text or json, not {other:?}")).exit(Exit::Usage),
    }
}

pub(super) fn root(words: &Words) -> PathBuf {
    words.path("root").unwrap_or_else(|| "/".into())
}

pub(super) fn below_root(words: &Words, path: &str) -> PathBuf {
    files::below(&root(words), path)
}

fn render(words: &Words) -> Result<()> {
    let mut reporter = Reporter::new("render", output(words)?, None);
    reporter.stage("render");
    let given = words.path("config");
    let machine = machine(words)?;
    let asset_dir = asset_dir(words);
    let is_elsewhere = given.is_some() && words.path("asset-dir").is_some();
    if machine.launch == Launch::Wait && !is_elsewhere && !asset_dir.exists() {
        reporter.line(
            "nothing is rendered: the document says launch: wait, and this machine waits for `slipway recover`",
        );
        return Ok(());
    }
    if !is_elsewhere && is_launched(words) {
        directory::refuse_conversion(&machine, &asset_dir)?;
    }
    let overwrite = words.has("overwrite");
    let secrets = secrets(&machine, &root(words))?;
    let dated = || {
        let limit = machine.timeouts.clock;
        clock::settled(&root(words), machine.clock, limit, |text| {
            reporter.line(text)
        })
    };
    let rendered = directory::to_directory(&machine, &secrets, &asset_dir, dated, overwrite)?;
    reporter.line(rendered.summary());
    (rendered.token.iter()).for_each(|news| reporter.line(news.as_str()));
    // Of a new directory everything is new; of an old one each change is worth a line.
    let news = rendered
        .changes
        .iter()
        .filter(|change| rendered.changes.len() < rendered.files || change.what != What::Added);
    news.for_each(|change| reporter.line(change.to_string()));
    if words.path("config").is_none() {
        let installed = install::install(&rendered.assets, &root(words))?;
        metrics::write(&rendered.assets, &root(words))?;
        let count = installed.len();
        reporter.line(format!(
            "{count} files of the kubelet and of static pods installed or changed"
        ));
    }
    Ok(())
}

/// The document that is named, or kept, with the files that it names.
pub(super) fn machine(words: &Words) -> Result<Machine> {
    let given = words.path("config");
    let kept = below_root(words, metadata::KEPT);
    if given.is_none() && !kept.exists() {
        let next = "run `slipway fetch` first, or name a document with --config FILE";
        let error = anyhow!("no machine document is kept at {}; {next}", kept.display());
        return Err(fail(Exit::NotFound, error));
    }
    let mut machine = metadata::document(given.as_ref().unwrap_or(&kept))?.machine;
    extra::read(&mut machine, &root(words))?;
    Ok(machine)
}

/// Whether a control plane was begun on this node: static pods that stay need no launch to run.
fn is_launched(words: &Words) -> bool {
    let signs = [
        start::JOURNAL,
        "/etc/kubernetes/manifests/kube-apiserver.yaml",
    ];
    signs.iter().any(|sign| below_root(words, sign).exists())
}

/// The document's secrets, from wherever it says they are.
pub(super) fn secrets(machine: &Machine, root: &Path) -> Result<Given> {
    let finder = Finder::new(root);
    let find = |path: &str, secret: Option<&Sensitive>| {
        secret.map(|secret| finder.find(path, secret)).transpose()
    };
    let authority = machine.certificates.authority.as_ref();
    let etcd = match &machine.etcd {
        Etcd::External(etcd) => Some(&etcd.key),
        Etcd::Local => None,
    };
    let encryption = match &machine.encryption {
        Encryption::Secretbox(key) => key.as_ref(),
        Encryption::None => None,
    };
    let service_account = machine.cluster.service_account_key.as_ref();
    Ok(Given {
        service_account_key: find(SERVICE_ACCOUNT_KEY, service_account)?,
        authority_key: find(
            AUTHORITY_KEY,
            authority.and_then(|authority| authority.key.as_ref()),
        )?,
        etcd_key: find(ETCD_KEY, etcd)?,
        token: find(TOKEN, machine.join.token.as_ref())?,
        encryption_key: find(ENCRYPTION_KEY, encryption)?,
    })
}

pub(super) fn asset_dir(words: &Words) -> PathBuf {
    words
        .path("asset-dir")
        .unwrap_or_else(|| below_root(words, "/var/lib/slipway/assets"))
}

fn launch(words: &Words) -> Result<()> {
    let mut reporter = Reporter::new("start", output(words)?, Some(below_root(words, STATE)));
    let list = words.text("required-pods")?;
    let required = list
        .into_iter()
        .flat_map(|list| list.split(','))
        .map(str::parse)
        .collect::<Result<Vec<_>>>()
        .exit(Exit::Usage)?;
    let kept = below_root(words, metadata::KEPT);
    // A hand-made asset directory needs no document; its waits have the default deadlines.
    let machine = if kept.exists() {
        Some(metadata::document(&kept)?.machine)
    } else {
        None
    };
    if machine
        .as_ref()
        .is_some_and(|machine| machine.role == Role::Worker)
    {
        let next = "its kubelet joins by itself; `journalctl -u kubelet` tells how far it is";
        return Err(fail(
            Exit::Refused,
            anyhow!("this node is a worker and needs no start: {next}"),
        ));
    }
    let options = start::Options {
        root: root(words),
        asset_dir: asset_dir(words),
        pod_manifest_path: words
            .path("pod-manifest-path")
            .unwrap_or_else(|| below_root(words, "/etc/kubernetes/manifests")),
        required_pods: required,
        strict: words.has("strict"),
        force_conflicts: words.has("force-conflicts"),
        timeouts: machine
            .as_ref()
            .map_or_else(Timeouts::default, |machine| machine.timeouts),
    };
    let name = machine
        .as_ref()
        .map(|m| format!(" · {} · cluster {}", m.node.name, m.cluster.name));
    reporter.title(&format!(
        "slipway {}{}",
        env!("CARGO_PKG_VERSION"),
        name.unwrap_or_default()
    ));
    let outcome = start_alone(&options, &mut reporter, machine.as_ref());
    if let Err(error) = &outcome {
        reporter.finish(Outcome::Failed, &format!("failed: {error:#}"));
    }
    outcome
}

/// Launches once nobody else is at work on the cluster, from the asset directory as it is then.
fn start_alone(
    options: &start::Options,
    reporter: &mut Reporter,
    machine: Option<&Machine>,
) -> Result<()> {
    let limit = options.timeouts.api;
    let _turn = start::turn::wait(&options.root, "slipway start", limit, reporter)?;
    let assets = directory::load(&options.asset_dir)?;
    start::run(options, &assets, reporter)?;
    machine.map_or(Ok(()), |machine| settle(options, machine))
}

/// A recovery that is over leaves nothing in the asset directory.
fn settle(options: &start::Options, machine: &Machine) -> Result<()> {
    let mut machine = machine.clone();
    extra::read(&mut machine, &options.root)?;
    let limit = machine.timeouts.clock;
    let task = recover::Task {
        machine: &machine,
        given: &secrets(&machine, &options.root)?,
        dated: &|| {
            clock::settled(&options.root, machine.clock, limit, |text| {
                log::info!("{text}")
            })
        },
    };
    recover::settle(&options.asset_dir, &task)
}

fn completions(words: &Words) -> Result<()> {
    let shell = words.argument()?.to_string_lossy();
    let script = complete::script(&shell);
    print(
        &script
            .with_context(|| format!("no completions for {shell}: bash, zsh or fish"))
            .exit(Exit::Usage)?,
    )
}
