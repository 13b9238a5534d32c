//! What `slipway recover` is given: a source, and keys beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::age;
use crate::backup::bundle::{self, Bundle};
use crate::backup::{BUNDLE, SNAPSHOT};
use crate::cli::parse::Words;
use crate::cli::run::{asset_dir, below_root, root, secrets};
use crate::config::Machine;
use crate::config::machine::Etcd;
use crate::etcd::Endpoints;
use crate::exit::{Exit, WithExit, fail};
use crate::node::files::read_if_there;
use crate::recover::encryption::Providers;
use crate::recover::keys::{self, Supplied};
use crate::recover::source::Source;
use crate::recover::stored;
use crate::secret::Secret;

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

/// Where objects are read from: one of three, this machine's etcd if none is named.
pub fn source(words: &Words, machine: &Machine) -> Result<Source> {
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
            let urls: Vec<String> = match (servers, &machine.etcd) {
                (Some(servers), _) => servers.split(',').map(str::to_owned).collect(),
                (None, Etcd::External(etcd)) => etcd.endpoints.clone(),
                (None, Etcd::Local) => vec![LOCAL.to_owned()],
            };
            Ok(Source::Etcd(endpoints(words, machine, &urls)?, prefix))
        }
        _ => {
            let error = anyhow!("give one source: --kubeconfig, --etcd-servers or --snapshot");
            Err(fail(Exit::Usage, error))
        }
    }
}

/// The ways to be let in to etcd: what is named, else what this machine has, else what the document says.
fn endpoints(words: &Words, machine: &Machine, urls: &[String]) -> Result<Vec<Endpoints>> {
    let flags = [
        "etcd-ca-path",
        "etcd-certificate-path",
        "etcd-private-key-path",
    ];
    let named: Vec<_> = flags.iter().filter_map(|flag| words.path(flag)).collect();
    let folder = asset_dir(words);
    let clients = CLIENTS.map(|path| folder.join(path)).to_vec();
    let member = MEMBER.map(|path| below_root(words, path)).to_vec();
    let with = |ca_pem, certificate| Endpoints {
        urls: urls.to_vec(),
        ca_pem,
        certificate,
        timeout: TIMEOUT,
    };
    let paths = match named.len() {
        0 => vec![clients, member],
        3 => vec![named],
        _ => {
            let error = anyhow!("give all three or none of --{}", flags.join(", --"));
            return Err(fail(Exit::Usage, error));
        }
    };
    let mut all = Vec::new();
    let is_there =
        |paths: &&Vec<PathBuf>| paths.len() == 3 && paths.iter().all(|path| path.exists());
    for paths in paths.iter().filter(is_there) {
        let [ca, certificate, key] = &paths[..] else {
            continue;
        };
        all.push(with(
            read(ca)?,
            Some((read(certificate)?, Secret::new(read(key)?))),
        ));
    }
    if let (Etcd::External(etcd), Some(key)) =
        (&machine.etcd, secrets(machine, &root(words))?.etcd_key)
    {
        all.push(with(
            etcd.authority.clone().into(),
            Some((etcd.certificate.clone().into(), key)),
        ));
    }
    if all.is_empty() && urls.iter().all(|url| url.starts_with("http:")) {
        all.push(with(Vec::new(), None));
    }
    Ok(all)
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
pub fn bundle(words: &Words, source: &Source) -> Result<Option<Bundle>> {
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
pub fn encryption(words: &Words, bundle: Option<&Bundle>) -> Result<Option<(Vec<u8>, Providers)>> {
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

/// The keys that are named.
pub fn supplied(words: &Words) -> Result<Supplied> {
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
