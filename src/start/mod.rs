//! The launch: from an asset directory to a cluster that runs itself.
//!
//! [`decide`] says what is left to do, as a pure function of what is there; the steps are below. Each
//! can be repeated: it looks first and does what is missing. Killed at any instant, the launch is run
//! again and converges; if it fails, the temporary control plane stays and serves.
//!
//! The road not taken is the original's: create everything, wait for phase Running, tear down in a
//! `defer`. It could not be re-run, called itself done too early, and left the port to be fought over.

mod apply;
mod decide;
mod handover;
mod journal;
mod lease;
mod plane;
mod ready;
#[cfg(test)]
mod ready_tests;
mod seed;
mod wait;
mod watcher;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use crate::assets::Assets;
use crate::config::machine::Timeouts;
use crate::exit::{Exit, WithExit, fail};
use crate::kube::{self, Client, Options as ClientOptions};
use crate::node::boot::Boot;
use crate::node::{files, notify, podlog};
use crate::report::{Outcome, Reporter};
use decide::{Seen, Step, steps};
use journal::Journal;
use plane::{Plane, StaticPod};
use ready::{Here, Lists, Verdict, judge};
use wait::{Look, Wait, until};
use watcher::Changes;

pub use ready::Workload;

/// The journal, below the root.
pub const JOURNAL: &str = "/var/lib/slipway/journal";
/// The done-marker, below the root; slipway-start.service is skipped while it exists.
pub const MARKER: &str = "/var/lib/slipway/handed-over";

/// What must be Ready before the handover, unless `--required-pods` says otherwise.
pub const REQUIRED: &str =
    "kube-system/kube-apiserver,kube-system/kube-scheduler,kube-system/kube-controller-manager";

/// What `slipway start` was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The prefix of every path; `/` on a machine.
    pub root: PathBuf,
    /// The asset directory.
    pub asset_dir: PathBuf,
    /// The kubelet's static pod folder.
    pub pod_manifest_path: PathBuf,
    /// What must be Ready before the handover.
    pub required_pods: Vec<Workload>,
    /// Whether one refused manifest ends the launch.
    pub strict: bool,
    /// Whether fields that others changed since the handover are taken back.
    pub force_conflicts: bool,
    /// How long each wait may take.
    pub timeouts: Timeouts,
}

/// A launch under way.
struct Launch<'a> {
    options: &'a Options,
    plane: Plane,
    /// The admin at 127.0.0.1.
    loopback: Client,
    /// The admin at this node's address.
    node: Client,
    boot: Boot,
    journal: Journal,
    reporter: &'a mut Reporter,
    refused: Vec<apply::Refusal>,
}

/// Carries the assets into a cluster and hands over; says so and touches nothing if that is
/// done already.
pub fn run(options: &Options, assets: &Assets, reporter: &mut Reporter) -> Result<()> {
    let plane = Plane::new(assets)
        .with_context(|| format!("cannot launch from {}", options.asset_dir.display()))?;
    let boot = Boot::read(Path::new("/"))?;
    let loopback = client(&plane.admin, plane.loopback)?;
    let node = client(&plane.admin, plane.node)?;
    let marked = files::below(&options.root, MARKER).exists();
    let here = Here {
        address: plane.node.ip(),
        since: boot.started,
    };
    let seen = Seen {
        serving: is_serving(&loopback).is_ok(),
        temporary: seed::is_in_place(&options.pod_manifest_path, &plane.apiserver),
        ready: is_serving(&node).is_ok() && all_ready(&loopback, &options.required_pods, here),
        marked,
    };
    let steps = steps(seen);
    if steps.is_empty() {
        notify::ready();
        reporter.finish(
            Outcome::HandedOver,
            "already handed over; the cluster answers, nothing to do",
        );
        return Ok(());
    }
    let journal = Journal::open(&files::below(&options.root, JOURNAL), &boot.id)?;
    let mut launch = Launch {
        options,
        plane,
        loopback,
        node,
        boot,
        journal,
        reporter,
        refused: Vec::new(),
    };
    launch.enter("start", &json!({ "seen": format!("{seen:?}") }))?;
    steps.iter().try_for_each(|step| launch.take(*step))
}

fn client(admin: &kube::Config, door: std::net::SocketAddr) -> Result<Client> {
    let options = ClientOptions {
        connect_to: Some(door),
        ..ClientOptions::default()
    };
    Client::new(admin, options).context("cannot use the credentials of auth/kubeconfig")
}

/// Whether an apiserver says that it is ready; otherwise why not.
fn is_serving(client: &Client) -> Result<(), String> {
    match client.status("/readyz") {
        Ok((200, _)) => Ok(()),
        Ok((code, body)) => Err(format!("/readyz answers {code}: {}", failed_checks(&body))),
        Err(error) => Err(error.to_string()),
    }
}

/// The checks of a /readyz body that failed, which are marked `[-]`.
fn failed_checks(body: &str) -> String {
    let failed: Vec<_> = body
        .lines()
        .filter_map(|line| line.strip_prefix("[-]"))
        .collect();
    if failed.is_empty() {
        body.trim().chars().take(200).collect()
    } else {
        failed.join(", ")
    }
}

fn all_ready(client: &Client, required: &[Workload], here: Here) -> bool {
    verdicts(client, required, here)
        .is_ok_and(|all| all.iter().all(|(_, verdict)| verdict.is_ready()))
}

/// Judges every required workload by what the API says now.
fn verdicts<'a>(
    client: &Client,
    required: &'a [Workload],
    here: Here,
) -> Result<Vec<(&'a Workload, Verdict)>, kube::Error> {
    let mut namespaces = BTreeMap::new();
    for workload in required {
        if !namespaces.contains_key(&workload.namespace) {
            namespaces.insert(
                workload.namespace.clone(),
                lists(client, &workload.namespace)?,
            );
        }
    }
    let judged = required.iter().map(|workload| {
        (
            workload,
            judge(workload, &namespaces[&workload.namespace], here),
        )
    });
    Ok(judged.collect())
}

fn lists(client: &Client, namespace: &str) -> Result<Lists, kube::Error> {
    let apps = |plural: &str| {
        client
            .list(&format!("/apis/apps/v1/namespaces/{namespace}/{plural}"))
            .map(|list| list.items)
    };
    Ok(Lists {
        daemonsets: apps("daemonsets")?,
        deployments: apps("deployments")?,
        replicasets: apps("replicasets")?,
        revisions: apps("controllerrevisions")?,
        pods: client
            .list(&format!("/api/v1/namespaces/{namespace}/pods"))?
            .items,
    })
}

impl Launch<'_> {
    fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Etcd => self.seed_etcd(),
            Step::Apiserver => self.seed_apiserver(),
            Step::Controllers => self.seed_controllers(),
            Step::Apply => self.apply(),
            Step::Wait => self.wait(),
            Step::Handover => self.hand_over(),
        }
    }

    fn enter(&mut self, step: &str, facts: &Value) -> Result<()> {
        self.journal.enter(step, facts)
    }

    fn here(&self) -> Here {
        Here {
            address: self.plane.node.ip(),
            since: self.boot.started,
        }
    }

    fn seed_etcd(&mut self) -> Result<()> {
        self.reporter.stage("seed");
        self.enter("seed-etcd", &Value::Null)?;
        let folder = &self.options.pod_manifest_path;
        if let Some(etcd) = &self.plane.etcd_pod
            && !seed::is_in_place(folder, etcd)
        {
            let bytes =
                serde_json::to_vec_pretty(&etcd.pod).context("cannot serialise etcd's pod")?;
            files::write(&folder.join(&etcd.file), &bytes, files::PRIVATE)?;
        }
        let what = format!("etcd answers at {}", self.plane.etcd.urls.join(", "));
        self.reporter.line(format!("waiting until {what}"));
        let (root, etcd, local) = (
            self.options.root.clone(),
            self.plane.etcd.clone(),
            self.plane.etcd_pod.clone(),
        );
        let wait = Wait {
            what: &what,
            deadline: Instant::now() + self.options.timeouts.api,
            every: Duration::from_millis(100),
            next_step: "see whether the kubelet runs (journalctl -u kubelet) and what etcd writes to \
                        /var/log/pods, or correct --etcd-servers; then run `slipway start` again",
        };
        until(self.reporter, wait, |_| {
            Ok(match etcd.answers() {
                Ok(()) => Look::There(()),
                Err(why) => Look::NotYet(with_last_words(&root, local.as_ref(), why)),
            })
        })
    }

    fn seed_apiserver(&mut self) -> Result<()> {
        let pod = self.plane.apiserver.clone();
        seed::place_secrets(&self.options.root, &self.plane.secrets)?;
        self.place("seed-apiserver", std::slice::from_ref(&pod))?;
        let what = format!(
            "the temporary apiserver answers at https://{}/readyz",
            self.plane.loopback
        );
        self.reporter
            .line(format!("etcd answers; waiting until {what}"));
        self.enter("api", &Value::Null)?;
        let wait = Wait {
            what: &what,
            deadline: Instant::now() + self.options.timeouts.api,
            every: Duration::from_millis(100),
            next_step: "see what the apiserver writes to /var/log/pods and whether the kubelet runs \
                        (journalctl -u kubelet); then run `slipway start` again",
        };
        let (root, loopback) = (self.options.root.clone(), self.loopback.clone());
        until(self.reporter, wait, |_| {
            Ok(match is_serving(&loopback) {
                Ok(()) => Look::There(()),
                Err(why) => Look::NotYet(with_last_words(&root, Some(&pod), why)),
            })
        })
    }

    fn seed_controllers(&mut self) -> Result<()> {
        self.reporter.stage("seed");
        let pods = self.plane.controllers.clone();
        seed::place_secrets(&self.options.root, &self.plane.secrets)?;
        self.place("seed-controllers", &pods)?;
        self.reporter
            .line("the apiserver answers; controller-manager and scheduler follow");
        Ok(())
    }

    /// Puts static pods in place, noting their UIDs first, so that they can be found however this ends.
    fn place(&mut self, step: &str, pods: &[StaticPod]) -> Result<()> {
        let folder = self.options.pod_manifest_path.clone();
        let mut uids = BTreeMap::new();
        let mut new = Vec::new();
        for pod in pods {
            let uid = match seed::uid_in_place(&folder, pod)? {
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
            .try_for_each(|(pod, uid)| seed::place(&folder, pod, uid))
    }

    fn apply(&mut self) -> Result<()> {
        self.reporter.stage("apply");
        self.enter("apply", &Value::Null)?;
        let policy = apply::Policy {
            strict: self.options.strict,
            force: self.options.force_conflicts || !self.journal.ever("done"),
            deadline: Instant::now() + self.options.timeouts.api,
        };
        let summary = apply::run(&self.loopback, &self.plane.manifests, policy, self.reporter)?;
        self.reporter.line(summary.to_string());
        for left in &summary.left {
            self.reporter.line(format!(
                "left alone: {left}; --force-conflicts takes it back"
            ));
        }
        for refused in &summary.refused {
            self.reporter.line(format!("refused: {}", refused.text));
        }
        self.refused = summary.refused;
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        self.reporter.stage("wait");
        self.enter("wait", &Value::Null)?;
        self.hopeless()?;
        let namespaces = self
            .options
            .required_pods
            .iter()
            .map(|workload| &workload.namespace);
        let mut paths: Vec<_> = namespaces
            .map(|ns| format!("/api/v1/namespaces/{ns}/pods"))
            .collect();
        paths.sort();
        paths.dedup();
        let changes = Changes::watch(&self.loopback, &paths);
        let wait = Wait {
            what: "every required workload is Ready",
            deadline: Instant::now() + self.options.timeouts.pods,
            every: Duration::ZERO,
            next_step: "mend what is named above, then run `slipway start` again; the temporary control \
                        plane stays up (kubectl works at the loopback address)",
        };
        let (here, root) = (self.here(), self.options.root.clone());
        let (loopback, node, required) = (&self.loopback, &self.node, &self.options.required_pods);
        until(self.reporter, wait, |reporter| {
            let look = look_at_workloads(loopback, node, required, here, &root, reporter);
            if matches!(look, Look::NotYet(_)) {
                changes.wait(Duration::from_secs(1));
            }
            Ok(look)
        })?;
        let elapsed = self.reporter.elapsed();
        self.reporter.fact("ready_s", elapsed);
        Ok(())
    }

    /// A required workload that the server refused never becomes Ready: say so now, not in 20 minutes.
    fn hopeless(&self) -> Result<()> {
        let required = &self.options.required_pods;
        let refused = self
            .refused
            .iter()
            .find(|refused| required.iter().any(|w| w.name == refused.name));
        refused.map_or(Ok(()), |refused| {
            let text = &refused.text;
            Err(anyhow!("a required workload was refused: {text}\nnext step: correct it and run `slipway start` again"))
                .exit(Exit::Failed)
        })
    }
}

/// A line of the counts whenever they change, and the reason of the first that is not Ready.
fn look_at_workloads(
    loopback: &Client,
    node: &Client,
    required: &[Workload],
    here: Here,
    root: &Path,
    reporter: &mut Reporter,
) -> Look<()> {
    let verdicts = match verdicts(loopback, required, here) {
        Ok(verdicts) => verdicts,
        Err(error) => return Look::NotYet(error.to_string()),
    };
    let counts = verdicts.iter().map(|(workload, verdict)| {
        format!("{} {}/{}", workload.name, verdict.ready, verdict.desired)
    });
    reporter.line(counts.collect::<Vec<_>>().join(" · "));
    if let Some((workload, verdict)) = verdicts.iter().find(|(_, verdict)| !verdict.is_ready()) {
        let words = verdict
            .pod
            .as_ref()
            .and_then(|pod| podlog::folder(root, &workload.namespace, pod));
        let words = words.and_then(|folder| podlog::last_words(&folder));
        let words = words
            .map(|words| format!("\nlast words: {words}"))
            .unwrap_or_default();
        return Look::NotYet(format!("{workload}: {}{words}", verdict.why));
    }
    match is_serving(node) {
        Ok(()) => Look::There(()),
        Err(why) => Look::NotYet(format!("the self-hosted apiserver: {why}")),
    }
}

/// `why`, with what the pod itself last said about it.
fn with_last_words(root: &Path, pod: Option<&StaticPod>, why: String) -> String {
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
        let config = kube::Config {
            server: kube::kubeconfig::server(url)?,
            tls_server_name: None,
            ca_pem: self
                .tls
                .as_ref()
                .map(|(ca, _, _)| ca.bytes.expose().to_vec())
                .unwrap_or_default(),
            certificate: self.tls.as_ref().map(|(_, certificate, key)| {
                (certificate.bytes.expose().to_vec(), key.bytes.clone())
            }),
            token: None,
        };
        let options = ClientOptions {
            timeout: Duration::from_secs(5),
            ..ClientOptions::default()
        };
        Ok(Client::new(&config, options)?.status("/health")?)
    }
}

/// An error that ends the launch because going on could lose something.
fn refuse(text: String) -> anyhow::Error {
    fail(Exit::Refused, anyhow!(text))
}
