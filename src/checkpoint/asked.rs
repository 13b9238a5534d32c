//! What the unit asks for itself, beside the watch: doors, Leases, workloads, the kubelet.
//!
//! It asks as the checkpointer's own user, whom its certificate in the asset directory names; the kubelet's user may not ask about
//! workloads and Leases. Where that certificate is missing (a hand-made asset directory), Leases are unknown, and so is who wants
//! a pod that is not here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde_json::Value;

use super::decide::{Door, Lease, Wanted};
use super::keeper::Options;
use super::pods::{self, KUBECONFIG, Lasting, Source};
use super::since::Since;
use super::take::account;
use super::wanted;
use super::workload::{Workload, workload_of};
use crate::kube::{self, Client, kubeconfig};
use crate::node::{cri, files};
use crate::start::{is_serving, lease};

/// The checkpointer's ServiceAccount.
const ACCOUNT: (&str, &str) = ("kube-system", "pod-checkpointer");
/// A door that does not answer in this time is shut.
const PATIENCE: Duration = Duration::from_secs(3);
/// The API server's answers are waited for a little longer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Whom to ask, and what the answers were before.
pub struct Asked {
    root: PathBuf,
    asset_dir: PathBuf,
    address: SocketAddr,
    source: Source,
    account: Lasting,
    kubelet: Lasting,
    door: Since<Option<bool>>,
    opened: Option<SystemTime>,
    wanted: BTreeMap<Workload, Since<bool>>,
    dead: BTreeMap<String, Since<bool>>,
}

impl Asked {
    /// On a node that was asked nothing yet.
    pub fn new(options: &Options, source: Source) -> Self {
        Self {
            root: options.root.clone(),
            asset_dir: options.asset_dir.clone(),
            address: options.address,
            source,
            account: Lasting::default(),
            kubelet: Lasting::default(),
            door: Since::new(None),
            opened: None,
            wanted: BTreeMap::new(),
            dead: BTreeMap::new(),
        }
    }

    /// The API through loopback as the checkpointer's user.
    pub fn account(&mut self) -> Option<Client> {
        let (kubeconfig, asset_dir) = (files::below(&self.root, KUBECONFIG), &self.asset_dir);
        let made = self.account.get(|| open(&kubeconfig, asset_dir));
        let log = |error: &anyhow::Error| {
            log::debug!("no client for the checkpointer's user: {error:#}");
        };
        made.inspect_err(log).ok()
    }

    /// Whether an API server is ready at the node's address.
    pub fn address(&mut self, ask: bool) -> Door {
        let answer = ask.then(|| self.knock()).and_then(|answer| {
            let log = |error: &anyhow::Error| log::debug!("cannot ask at the address: {error:#}");
            answer.inspect_err(log).ok()
        });
        match (self.door.get().0, answer) {
            (Some(false), Some(true)) => self.opened = Some(SystemTime::now()),
            (_, Some(true)) => {}
            _ => self.opened = None,
        }
        self.door.set(answer);
        Door::of(self.door.get())
    }

    /// Since when one is, if it was seen that none was before.
    pub fn opened(&self) -> Option<SystemTime> {
        self.opened
    }

    /// Whether anybody answers. Who has nothing to ask with has no answer.
    fn knock(&self) -> Result<bool> {
        let config = kubeconfig::load(&files::below(&self.root, KUBECONFIG))?;
        let options = kube::Options {
            connect_to: Some(self.address),
            timeout: PATIENCE,
            ..kube::Options::probe()
        };
        Ok(is_serving(&Client::new(&config, options)?).is_ok())
    }

    /// Whether the cluster wants a pod here of a workload, of which there is one (`is_here`) or not, if the watch is fresh.
    pub fn wanted(
        &mut self,
        client: Option<&Client>,
        workload: &Workload,
        is_here: Option<bool>,
    ) -> Wanted {
        let wants = match (is_here, client) {
            (Some(true), _) => Some(true),
            (Some(false), Some(client)) => {
                self.is_wanted(client, workload).unwrap_or_else(|error| {
                    log::debug!("whether {workload} is wanted here: {error:#}");
                    None
                })
            }
            _ => None,
        };
        let Some(wants) = wants else {
            // An answer that is missing is none that counts.
            self.wanted.remove(workload);
            return Wanted::Unknown;
        };
        let known = self
            .wanted
            .entry(workload.clone())
            .or_insert_with(|| Since::new(wants));
        known.set(wants);
        match known.get() {
            (true, _) => Wanted::Yes,
            (false, long) => Wanted::No(long),
        }
    }

    fn is_wanted(&mut self, client: &Client, workload: &Workload) -> Result<Option<bool>> {
        // The watch says that no pod is here; what takes a checkpoint away is the API server's word, not its cache's.
        let kubelet = || pods::client(&files::below(&self.root, KUBECONFIG));
        let pods = self.source.list(&self.kubelet.get(kubelet)?)?.items;
        let is_one = |pod: &Value| {
            super::workload::is_parent(pod, &self.source.namespaces)
                && workload_of(pod) == *workload
        };
        if pods.iter().any(is_one) {
            return Ok(Some(true));
        }
        let Some(path) = wanted::path(workload) else {
            return Ok(wanted::without_owner(workload));
        };
        let owner = client.find(&path)?;
        let node = client.find(&format!("/api/v1/nodes/{}", self.source.node))?;
        let pods = format!("/api/v1/namespaces/{}/pods", workload.namespace);
        let pods = client.list(&pods)?.items;
        Ok(Some(wanted::is_wanted(
            workload,
            owner.as_ref(),
            node.as_ref(),
            wanted::elsewhere(&pods, workload, &self.source.node),
        )))
    }

    /// Whether somebody holds a Lease, in this life of the machine (since `booted`); and the Lease, if there is one.
    pub fn lease(&mut self, client: &Client, name: &str, booted: SystemTime) -> (Lease, Value) {
        let found = match client.find(&lease::path(name)) {
            Ok(found) => found.unwrap_or(Value::Null),
            Err(error) => {
                log::debug!("the Lease {name}: {error}");
                self.dead.remove(name);
                return (Lease::Unknown, Value::Null);
            }
        };
        let is_dead = !lease::is_live(&found, booted, SystemTime::now());
        let known = self
            .dead
            .entry(name.to_owned())
            .or_insert_with(|| Since::new(is_dead));
        known.set(is_dead);
        let judged = match known.get() {
            (true, long) => Lease::Dead(long),
            (false, _) => Lease::Live,
        };
        (judged, found)
    }

    /// Whether this kubelet knows one of these pods, which only the API can have told it of.
    pub fn informed<'a>(
        &self,
        mut pods: impl Iterator<Item = &'a (String, String)>,
    ) -> Option<bool> {
        match cri::kubelet_pods(&files::below(&self.root, cri::KUBELET)) {
            Ok(known) => Some(pods.any(|pod| known.contains(pod))),
            Err(error) => {
                log::debug!("the kubelet: {error:#}");
                None
            }
        }
    }
}

/// A client of the checkpointer's own user.
fn open(kubeconfig: &Path, asset_dir: &Path) -> Result<Client> {
    let mut config = kubeconfig::load(kubeconfig)?;
    let (namespace, name) = ACCOUNT;
    let account = account(asset_dir, namespace, name)?;
    let account = account.context("the asset directory has no certificate of it")?;
    config.certificate = Some((account.certificate, account.key));
    let options = kube::Options {
        timeout: TIMEOUT,
        ..kube::Options::default()
    };
    Ok(Client::new(&config, options)?)
}
