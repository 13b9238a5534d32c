//! Bringing up the temporary control plane: etcd, the apiserver when etcd answers, the controllers when
//! the apiserver does.
//!
//! Not all at once: a controller-manager that finds no API exits, and the kubelet's back-off then
//! costs more than waiting for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::plane::{self, StaticPod};
use super::wait::{Look, Wait, until};
use super::{Launch, is_serving, seed};
use crate::etcd;
use crate::kube::{self, Client, Options as ClientOptions};
use crate::node::{files, podlog};

/// How long etcd may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(5);

impl Launch<'_> {
    pub(super) fn seed_etcd(&mut self) -> Result<()> {
        self.reporter.stage("seed");
        self.refuse_empty_etcd()?;
        self.enter("seed-etcd", &Value::Null)?;
        let folder = &self.options.pod_manifest_path;
        if let Some(etcd) = &self.plane.etcd_pod
            && !seed::is_in_place(folder, etcd)
        {
            let bytes =
                serde_json::to_vec_pretty(&etcd.pod).context("cannot serialise etcd's pod")?;
            files::write(&folder.join(&etcd.file), &bytes, files::PRIVATE)?;
        }
        let (root, plane) = (&self.options.root, self.plane);
        let what = format!("etcd answers at {}", plane.etcd.urls.join(", "));
        self.reporter.line(format!("waiting until {what}"));
        let wait = Wait {
            what: &what,
            deadline: Instant::now() + self.options.timeouts.api,
            every: Duration::from_millis(100),
            changes: None,
            next_step: "see whether the kubelet runs (journalctl -u kubelet) and what etcd writes to \
                        /var/log/pods, or correct --etcd-servers; then run `slipway start` again",
        };
        until(self.reporter, wait, |_| {
            Ok(match plane.etcd.answers() {
                Ok(()) => Look::There(()),
                Err(why) => Look::NotYet(with_last_words(root, plane.etcd_pod.as_ref(), why)),
            })
        })?;
        self.refuse_older_etcd()
    }

    pub(super) fn seed_apiserver(&mut self) -> Result<()> {
        seed::place_secrets(&self.options.root, &self.plane.secrets)?;
        self.place(
            "seed-apiserver",
            std::slice::from_ref(&self.plane.apiserver),
        )?;
        self.await_apiserver("the temporary apiserver")?;
        self.note_what_was_before()
    }

    /// Waits until loopback answers.
    pub(super) fn await_apiserver(&mut self, who: &str) -> Result<()> {
        let (root, pod) = (&self.options.root, &self.plane.apiserver);
        let what = format!("{who} answers at https://{}/readyz", self.plane.loopback);
        self.reporter
            .line(format!("etcd answers; waiting until {what}"));
        self.enter("api", &Value::Null)?;
        let wait = Wait {
            what: &what,
            deadline: Instant::now() + self.options.timeouts.api,
            every: Duration::from_millis(100),
            changes: None,
            next_step: "see what the apiserver writes to /var/log/pods and whether the kubelet runs \
                        (journalctl -u kubelet); then run `slipway start` again",
        };
        let loopback = &self.loopback;
        until(self.reporter, wait, |_| {
            Ok(match is_serving(loopback) {
                Ok(()) => Look::There(()),
                Err(why) => Look::NotYet(with_last_words(root, Some(pod), why)),
            })
        })
    }

    pub(super) fn seed_controllers(&mut self) -> Result<()> {
        self.reporter.stage("seed");
        self.clear_former()?;
        if self.recovery().is_some() {
            // Pods that controllers make before it would read of addresses and authorities that are gone, and keep them.
            self.apply_first_wave()?;
            self.reporter.stage("seed");
        }
        seed::place_secrets(&self.options.root, &self.plane.secrets)?;
        let pods = self.recovered_controllers();
        self.place("seed-controllers", &pods)?;
        let names: Vec<_> = pods.iter().map(|pod| component(&pod.name)).collect();
        self.reporter.line(format!(
            "the apiserver answers; {} follow",
            names.join(" and ")
        ));
        self.release_silent_leases()
    }

    /// The temporary controllers, less those that nobody asked to recover.
    fn recovered_controllers(&self) -> Vec<StaticPod> {
        let covers = |pod: &&StaticPod| {
            let recovery = self.recovery();
            recovery.is_none_or(|recovery| recovery.covers(component(&pod.name)))
        };
        self.plane
            .controllers
            .iter()
            .filter(covers)
            .cloned()
            .collect()
    }

    /// Puts static pods in place, noting their UIDs first, so that they can be found however this ends.
    fn place(&mut self, step: &str, pods: &[StaticPod]) -> Result<()> {
        let folder = &self.options.pod_manifest_path;
        let mut uids = BTreeMap::new();
        let mut new = Vec::new();
        for pod in pods {
            let uid = match seed::uid_in_place(folder, pod)? {
                Some(uid) => uid,
                None => {
                    let uid = seed::new_uid()?;
                    new.push((pod, uid.clone()));
                    uid
                }
            };
            uids.insert(pod.file.clone(), uid);
        }
        self.enter(step, &json!({ "uids": uids }))?;
        new.iter()
            .try_for_each(|(pod, uid)| seed::place(folder, pod, uid))
    }
}

/// Which component a temporary pod stands in for.
fn component(pod: &str) -> &str {
    pod.strip_prefix("bootstrap-").unwrap_or(pod)
}

/// `why`, with what the pod itself last said about it.
pub(super) fn with_last_words(root: &Path, pod: Option<&StaticPod>, why: String) -> String {
    let Some(pod) = pod else { return why };
    match podlog::folder(root, &pod.namespace, &pod.name) {
        None => format!(
            "{why}\nthe kubelet has not started the pod {}; does it run?",
            pod.name
        ),
        Some(folder) => match podlog::last_words(&folder) {
            Some(words) => format!("{why}\n{} says: {words}", pod.name),
            None => format!("{why}\n{} has said nothing yet", pod.name),
        },
    }
}

impl plane::Etcd {
    /// Whether any of the URLs answers /health with success; otherwise why the last one does not.
    fn answers(&self) -> Result<(), String> {
        let mut why = "no etcd URL is configured".to_owned();
        for url in &self.urls {
            match self.ask(url) {
                Ok((200, _)) => return Ok(()),
                Ok((code, body)) => why = format!("{url}/health answers {code}: {}", body.trim()),
                Err(error) => why = format!("{error:#}"),
            }
        }
        Err(why)
    }

    fn ask(&self, url: &str) -> Result<(u16, String)> {
        Ok(self.client(url, TIMEOUT)?.status("/health")?)
    }

    /// What the first member that answers says of itself.
    pub(super) fn status(&self) -> Result<etcd::Status> {
        etcd::Client::new(&self.endpoints(TIMEOUT))?.status()
    }

    /// A client of the member at `url`, for what etcd serves beside its own API.
    pub(crate) fn client(&self, url: &str, timeout: Duration) -> Result<Client> {
        let endpoints = self.endpoints(timeout);
        let config = kube::Config {
            server: kube::kubeconfig::server(url)?,
            tls_server_name: None,
            ca_pem: endpoints.ca_pem,
            certificate: endpoints.certificate,
            token: None,
        };
        let options = ClientOptions {
            timeout,
            ..ClientOptions::default()
        };
        Ok(Client::new(&config, options)?)
    }
}
