//! This node's pods as the API tells of them, and whether it tells anything at all.
//!
//! One watch does both: as long as it is open an API server answers, and the moment it breaks there is reason to look. So nothing
//! is asked every few seconds on a cluster that is well. The watch is the kubelet's user's, who may see the pods of this node and no others.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::serving::is_gated;
use super::workload::is_parent;
use crate::kube::{self, Client, EventKind, encode, kubeconfig};

/// The kubelet's kubeconfig: the node's own user, through loopback.
pub const KUBECONFIG: &str = "/etc/kubernetes/kubeconfig";
/// How long one watch lasts. With the next one credentials are read again.
const WATCH_SECONDS: u32 = 300;
/// The pause after a failure. A refused connection costs nobody anything.
const PAUSE: Duration = Duration::from_millis(500);
/// When the certificate is read again; until then a connection serves many looks.
const AGAIN: Duration = Duration::from_secs(30);
/// A server that accepts a connection and says nothing is no server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the watch tells.
#[derive(Debug)]
pub enum News {
    /// All parents on this node, and all gated pods.
    All(Vec<Value>),
    /// One is new or changed.
    Changed(Value),
    /// One is gone, or is neither any more: its namespace and name.
    Gone(String, String),
    /// The API server does not answer, and why.
    Silent(String),
}

/// Whose pods are followed.
#[derive(Clone, Debug)]
pub struct Source {
    /// The kubelet's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The node's name.
    pub node: String,
    /// Where parents are looked for.
    pub namespaces: Vec<String>,
}

impl Source {
    /// Follows until the receiver is dropped.
    pub fn follow(self) -> Receiver<News> {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            loop {
                let why = match self.once(&sender) {
                    Ok(true) => continue,
                    Ok(false) => return,
                    Err(error) => format!("{error:#}"),
                };
                if sender.send(News::Silent(why)).is_err() {
                    return;
                }
                thread::sleep(PAUSE);
            }
        });
        receiver
    }

    /// All pods of the node at this moment, parents or not, by the API server's own word and not its cache's.
    pub fn list(&self, client: &Client) -> Result<kube::List> {
        Ok(client.list(&self.path())?)
    }

    /// Pods are asked for everywhere: a node may ask for its own only.
    fn path(&self) -> String {
        format!(
            "/api/v1/pods?fieldSelector={}",
            encode(&format!("spec.nodeName={}", self.node))
        )
    }

    /// One list and one watch; false once nobody listens.
    fn once(&self, sender: &Sender<News>) -> Result<bool> {
        let client = client(&self.kubeconfig)?;
        let there = self.list(&client)?;
        let is_ours = |pod: &Value| is_parent(pod, &self.namespaces) || is_gated(pod);
        let ours = there.items.into_iter().filter(is_ours).collect();
        if sender.send(News::All(ours)).is_err() {
            return Ok(false);
        }
        let changes = client.watch(&self.path(), &there.resource_version, WATCH_SECONDS)?;
        for change in changes {
            let change = match change {
                Err(error) if error.is_gone() => return Ok(true),
                change => change?,
            };
            let news = match change.kind {
                EventKind::Bookmark => continue,
                EventKind::Added | EventKind::Modified if is_ours(&change.object) => {
                    News::Changed(change.object)
                }
                _ => gone(&change.object),
            };
            if sender.send(news).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn gone(pod: &Value) -> News {
    let field = |name: &str| super::workload::text(&pod["metadata"][name]).to_owned();
    News::Gone(field("namespace"), field("name"))
}

/// A client that serves for a while: its certificate is renewed on disk, and nobody tells.
#[derive(Default)]
pub struct Lasting(Option<(Instant, Client)>);

impl Lasting {
    /// The client, made anew where it is old.
    pub fn get(&mut self, make: impl FnOnce() -> Result<Client>) -> Result<Client> {
        match &self.0 {
            Some((made, client)) if made.elapsed() < AGAIN => Ok(client.clone()),
            _ => {
                let client = make()?;
                self.0 = Some((Instant::now(), client.clone()));
                Ok(client)
            }
        }
    }
}

/// The kubelet's own client.
pub fn client(path: &Path) -> Result<Client> {
    if !path.exists() {
        bail!(
            "{} is not there; `slipway render` writes it, before the kubelet starts",
            path.display()
        );
    }
    let options = kube::Options {
        timeout: TIMEOUT,
        ..kube::Options::default()
    };
    Ok(Client::new(&kubeconfig::load(path)?, options)?)
}
