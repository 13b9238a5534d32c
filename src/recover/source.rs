//! Where objects are read from: an API server that answers, an etcd that answers, or a snapshot of one.
//!
//! The only part of a recovery that asks others. Nothing is written, and every read has a deadline.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::encryption::Providers;
use super::objects::Objects;
use super::resources::RESOURCES;
use super::snapshot::{Facts, Integrity, Snapshot};
use super::stored::{self, Understood};
use crate::etcd::{self, Endpoints, Values};
use crate::exit::{Exit, fail};
use crate::kube::{Client, Options as ClientOptions, kubeconfig};
use crate::report::Reporter;

/// A source.
#[derive(Clone, Debug)]
pub enum Source {
    /// An API server, by a kubeconfig.
    Api(PathBuf),
    /// An etcd, with every way to be let in that may work, and the prefix of the API server's keys.
    Etcd(Vec<Endpoints>, String),
    /// A snapshot file, and the same prefix.
    Snapshot(PathBuf, String),
}

/// What a source had.
#[derive(Debug)]
pub struct Found {
    /// Where it was, for people.
    pub source: String,
    /// The store's revision.
    pub revision: u64,
    /// What was understood.
    pub understood: Understood,
    /// Of a snapshot: what it says of itself.
    pub facts: Option<Facts>,
}

impl Source {
    /// Whether etcd's data has to be restored from it.
    pub fn is_snapshot(&self) -> bool {
        matches!(self, Self::Snapshot(..))
    }

    /// Reads everything that a recovery needs.
    ///
    /// # Errors
    /// If it does not answer in time, is damaged, or holds what cannot be understood.
    pub fn read(&self, providers: Option<&Providers>, reporter: &mut Reporter) -> Result<Found> {
        match self {
            Self::Api(path) => api(path),
            Self::Etcd(endpoints, prefix) => live(endpoints, prefix, providers),
            Self::Snapshot(path, prefix) => {
                let snapshot = Snapshot::open(path)?;
                verify(&snapshot, path, reporter)?;
                let wanted = stored::prefixes(prefix);
                let mut is_wanted =
                    |key: &[u8]| wanted.iter().any(|prefix| key.starts_with(prefix));
                let (facts, all) = snapshot.examine(&mut is_wanted)?;
                let mut understood = stored::understand(prefix, &all, providers)?;
                understood.notes.extend(facts.warnings.iter().cloned());
                Ok(Found {
                    source: format!("the snapshot {}", path.display()),
                    revision: facts.revision.cast_unsigned(),
                    understood,
                    facts: Some(facts),
                })
            }
        }
    }
}

fn verify(snapshot: &Snapshot, path: &Path, reporter: &mut Reporter) -> Result<()> {
    match snapshot.verify(&mut |_, _| reporter.alive())? {
        Integrity::Verified { .. } => Ok(()),
        Integrity::NoHash => Err(fail(
            Exit::Refused,
            anyhow!(
                "{} has no hash at its end, so nobody can say whether it is whole\nnext step: take a file that \
                 `etcdctl snapshot save` or `slipway backup` wrote, not a member's own database",
                path.display()
            ),
        )),
    }
}

/// The first way that etcd takes; of none, why not the last.
fn let_in(all: &[Endpoints]) -> Result<(&Endpoints, etcd::Client)> {
    let mut why =
        anyhow!("nobody says how etcd lets us in; name --etcd-ca-path and the two beside it");
    for endpoints in all {
        let client = etcd::Client::new(endpoints)?;
        match client.status() {
            Ok(_) => return Ok((endpoints, client)),
            Err(error) => why = error,
        }
    }
    Err(why)
}

fn live(all: &[Endpoints], prefix: &str, providers: Option<&Providers>) -> Result<Found> {
    let (endpoints, client) = let_in(all)?;
    let (mut all, mut revision) = (Vec::new(), 0);
    for below in stored::prefixes(prefix) {
        let seen = client.range(&below, Values::Kept, |one| {
            all.push(one);
            Ok(())
        })?;
        revision = revision.max(seen.revision);
    }
    Ok(Found {
        source: format!("etcd at {}", endpoints.urls.join(", ")),
        revision: revision.cast_unsigned(),
        understood: stored::understand(prefix, &all, providers)?,
        facts: None,
    })
}

/// How long an API server may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);

fn api(path: &Path) -> Result<Found> {
    let config = kubeconfig::load(path)?;
    let options = ClientOptions {
        timeout: TIMEOUT,
        ..ClientOptions::default()
    };
    let client = Client::new(&config, options)?;
    let (mut objects, mut revision) = (Objects::default(), 0);
    for resource in &RESOURCES {
        let list = client.list(&resource.path()).context(
            "next step: if no API server answers, recover from etcd: --etcd-servers, or --snapshot",
        )?;
        revision = revision.max(list.resource_version.parse().unwrap_or(0));
        for mut item in list.items {
            // Items of a list do not say what they are.
            item["apiVersion"] = resource.version.into();
            item["kind"] = resource.kind.into();
            objects.add(item);
        }
    }
    Ok(Found {
        source: format!("the API server at {}", client.server()),
        revision,
        understood: Understood {
            objects,
            ..Understood::default()
        },
        facts: None,
    })
}
