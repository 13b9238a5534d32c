//! `slipway recover`: from its options to its room.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};

use super::parse::Words;
use super::run::{asset_dir, below_root, machine, output, print, root, secrets};
use crate::age;
use crate::backup::bundle::{self, Bundle};
use crate::backup::{BUNDLE, SNAPSHOT};
use crate::certs::metrics;
use crate::config::Machine;
use crate::config::machine::{Etcd, Role};
use crate::etcd::Endpoints;
use crate::exit::{Exit, WithExit, fail};
use crate::node::clock;
use crate::node::files::read_if_there;
use crate::recover::encryption::Providers;
use crate::recover::keys::{self, Supplied};
use crate::recover::source::Source;
use crate::recover::{self, Options, Prepared, Task, component, plan, stored};
use crate::report::{Output, Reporter};
use crate::secret::Secret;
use crate::start::turn;

/// How long etcd may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// This machine's own etcd.
const LOCAL: &str = "https://127.0.0.1:2379";
/// Who may read etcd: a certificate of its clients, or on this machine that of the member itself.
const CLIENTS: [&str; 3] = [
    "tls/etcd-client-ca.crt",
    "tls/etcd-client.crt",
    "tls/etcd-client.key",
];
const MEMBER: [&str; 3] = [
    "/etc/kubernetes/etcd/server-ca.crt",
    "/etc/kubernetes/etcd/peer.crt",
    "/etc/kubernetes/etcd/peer.key",
];

/// Where an asset directory has the API server's encryption configuration.
const ENCRYPTION: &str = "tls/encryption.yaml";

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
    let prepared = recover::prepare(&options, &task, &mut reporter)?;
    if is_plan {
        show(&options, &prepared, output)?;
    }
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
    let source = source(words, machine)?;
    let bundle = bundle(words, &source)?;
    let providers = encryption(words, bundle.as_ref())?;
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
            ..supplied(words)?
        },
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

fn source(words: &Words, machine: &Machine) -> Result<Source> {
    let prefix = words
        .text("etcd-prefix")?
        .unwrap_or(stored::PREFIX)
        .to_owned();
    match (
        words.path("kubeconfig"),
        words.text("etcd-servers")?,
        words.path("snapshot"),
    ) {
        (Some(kubeconfig), None, None) => Ok(Source::Api(kubeconfig)),
        (None, None, Some(snapshot)) => Ok(Source::Snapshot(in_backup(snapshot, SNAPSHOT), prefix)),
        (None, servers, None) => {
            let urls = match (servers, &machine.etcd) {
                (Some(servers), _) => servers.split(',').map(str::to_owned).collect(),
                (None, Etcd::External(etcd)) => etcd.endpoints.clone(),
                (None, Etcd::Local) => vec![LOCAL.to_owned()],
            };
            Ok(Source::Etcd(endpoints(words, urls)?, prefix))
        }
        _ => {
            let error = anyhow!("give one source: --kubeconfig, --etcd-servers or --snapshot");
            Err(fail(Exit::Usage, error))
        }
    }
}

/// Etcd's TLS: what is named, else what this machine has.
fn endpoints(words: &Words, urls: Vec<String>) -> Result<Endpoints> {
    let flags = [
        "etcd-ca-path",
        "etcd-certificate-path",
        "etcd-private-key-path",
    ];
    let named: Vec<_> = flags.iter().filter_map(|flag| words.path(flag)).collect();
    let folder = asset_dir(words);
    let clients = CLIENTS.map(|path| folder.join(path)).to_vec();
    let member = MEMBER.map(|path| below_root(words, path)).to_vec();
    let paths = match named.len() {
        0 => [clients, member]
            .into_iter()
            .find(|paths| paths.iter().all(|path| path.exists()))
            .unwrap_or_default(),
        3 => named,
        _ => {
            let error = anyhow!("give all three or none of --{}", flags.join(", --"));
            return Err(fail(Exit::Usage, error));
        }
    };
    let mut files = paths
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>>>()?
        .into_iter();
    let ca_pem = files.next().unwrap_or_default();
    Ok(Endpoints {
        urls,
        ca_pem,
        certificate: files.next().zip(files.next().map(Secret::new)),
        timeout: TIMEOUT,
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path)
        .with_context(|| format!("cannot read {}", path.display()))
        .exit(Exit::NotFound)
}

/// The file of a backup, if it is the backup's folder that was named.
fn in_backup(path: PathBuf, file: &str) -> PathBuf {
    match path.is_dir() {
        true => path.join(file),
        false => path,
    }
}

/// The bundle that is named, else the one that lies beside the snapshot, if it can be opened.
fn bundle(words: &Words, source: &Source) -> Result<Option<Bundle>> {
    let beside = match source {
        Source::Snapshot(path, _) => Some(path.with_file_name(BUNDLE)).filter(|path| path.exists()),
        _ => None,
    };
    let named = words.path("bundle").map(|path| in_backup(path, BUNDLE));
    let (path, identity) = match (named, beside, words.path("identity")) {
        (Some(path), _, Some(identity)) | (None, Some(path), Some(identity)) => (path, identity),
        (None, _, None) => return Ok(None),
        (Some(_), _, None) => {
            let error = anyhow!("--bundle needs --identity FILE, the key that it is sealed to");
            return Err(fail(Exit::Usage, error));
        }
        (None, None, Some(_)) => {
            let error = anyhow!("--identity opens a bundle; name it with --bundle FILE");
            return Err(fail(Exit::Usage, error));
        }
    };
    let identities = age::identities(&read(&identity)?)
        .with_context(|| format!("cannot use {}", identity.display()))
        .exit(Exit::Refused)?;
    bundle::open(&read(&path)?, &identities)
        .with_context(|| format!("cannot open {}", path.display()))
        .exit(Exit::Refused)
        .map(Some)
}

/// The API server's encryption configuration: the one that is named, else the bundle's, else that of the asset directory.
fn encryption(words: &Words, bundle: Option<&Bundle>) -> Result<Option<(Vec<u8>, Providers)>> {
    let own = asset_dir(words).join(ENCRYPTION);
    let kept = bundle.and_then(|bundle| bundle.assets.get(ENCRYPTION));
    let (path, bytes) = match (words.path("encryption-config"), kept) {
        (Some(path), _) => (path.display().to_string(), Some(read(&path)?)),
        (None, Some(kept)) => (
            format!("{ENCRYPTION} of the bundle"),
            Some(kept.bytes.expose().to_vec()),
        ),
        (None, None) => (own.display().to_string(), read_if_there(&own)?),
    };
    let Some(bytes) = bytes else { return Ok(None) };
    let providers = Providers::parse(&bytes)
        .with_context(|| format!("cannot use {path}"))
        .exit(Exit::Refused)?;
    Ok(Some((bytes, providers)))
}

fn supplied(words: &Words) -> Result<Supplied> {
    let pair = |flag: &str| {
        let Some(path) = words.path(flag) else {
            return Ok(None);
        };
        keys::pair(&read(&path)?)
            .with_context(|| format!("--{flag} {}", path.display()))
            .exit(Exit::Refused)
            .map(Some)
    };
    let key = words.path("service-account-key").map(|path| read(&path));
    Ok(Supplied {
        ca: pair("ca")?,
        etcd_ca: pair("etcd-ca")?,
        front_proxy_ca: pair("front-proxy-ca")?,
        service_account_key: key.transpose()?.map(Secret::new),
        encryption_key: None,
    })
}
