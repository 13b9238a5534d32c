//! The cluster made like the asset directory: Secrets first, then what reads them, one at a time.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use super::roll::{self, SECRETS};
use super::{Options, permanent};
use crate::assets::Assets;
use crate::exit::{Exit, fail};
use crate::hash::sha256;
use crate::kube::{self, Change, Client, Error, kubeconfig, name_of};
use crate::node::boot::Boot;
use crate::report::Reporter;
use crate::start::apply::MANAGER;
use crate::start::ready::{Here, Workload};
use crate::start::wait::{Look, Wait, until};
use crate::start::{converge, is_serving, lease, plane};

/// The field manager of annotations that are in no manifest.
const RESTARTS: &str = "slipway-restart";

/// On the API server's pods: of which certificates their kubelet was told. It only makes it look.
const CERTIFICATE: &str = "slipway.dev/certificate";
pub const NEXT_STEP: &str =
    "mend what is named above, then run the same command again: it goes on where this run stopped";

/// A cluster that answers.
pub struct Cluster<'a> {
    pub client: Client,
    options: &'a Options<'a>,
    assets: &'a Assets,
    /// This life of the node.
    pub here: Here,
    /// What others own and this run left to them.
    left: Vec<String>,
}

impl<'a> Cluster<'a> {
    /// Connects with the asset directory's own administrator, whose certificate is as new as can be, to this
    /// node's API server; waits until it answers.
    pub fn connect(
        options: &'a Options<'a>,
        assets: &'a Assets,
        reporter: &mut Reporter,
    ) -> Result<Self> {
        let node = &options.machine.node;
        let door = SocketAddr::new(node.address, options.machine.api.port);
        let (config, connect_to) = match &options.kubeconfig {
            Some(path) => (kubeconfig::load(path)?, None),
            None => (plane::admin(assets)?, Some(door)),
        };
        let client = kube::Options {
            connect_to,
            ..kube::Options::default()
        };
        let cluster = Self {
            client: Client::new(&config, client)
                .context("cannot use the administrator's credentials")?,
            options,
            assets,
            here: Here {
                address: node.address,
                since: Boot::read(Path::new("/"))?.started,
                heard: None,
                recovers: false,
            },
            left: Vec::new(),
        };
        // A static pod is brought up to date without an API, and before it may be nobody answers.
        if !assets.is_static() {
            cluster.await_api(reporter)?;
        }
        Ok(cluster)
    }

    fn await_api(&self, reporter: &mut Reporter) -> Result<()> {
        let what = format!("the API server answers at {}", self.client.server());
        let wait = Wait {
            what: &what,
            deadline: Instant::now() + self.options.machine.timeouts.api,
            every: Duration::from_millis(500),
            changes: None,
            next_step: NEXT_STEP,
        };
        until(reporter, wait, |_| match self.client.status("/readyz") {
            Err(Error::Tls { server, cause }) => {
                Err(fail(Exit::Failed, mistrusted(&server, &cause)))
            }
            _ => Ok(match is_serving(&self.client) {
                Ok(()) => Look::There(()),
                Err(why) => Look::NotYet(why),
            }),
        })
    }

    /// What all of it works on.
    pub fn options(&self) -> &Options<'a> {
        self.options
    }

    /// What the cluster is to be like.
    pub fn assets(&self) -> &'a Assets {
        self.assets
    }

    /// Where this node's API server is reached.
    pub fn door(&self) -> SocketAddr {
        let machine = self.options.machine;
        SocketAddr::new(machine.node.address, machine.api.port)
    }

    /// Brings every part up to date: its Secrets, then itself if they are new to it.
    pub fn update(&mut self, reporter: &mut Reporter) -> Result<()> {
        permanent::update(self, reporter)?;
        self.await_api(reporter)?;
        for object in roll::beside(self.assets, SystemTime::now())? {
            self.apply(&object, reporter)?;
        }
        for part in roll::parts(self.assets)? {
            for secret in &part.secrets {
                self.apply(secret, reporter)?;
            }
            let there = self.mark(&part.workload, SECRETS, &part.mark, reporter)?;
            if there && part.serves() {
                self.hurry(&part.workload)?;
                self.await_new_certificate(reporter)?;
            }
        }
        Ok(())
    }

    /// Has the kubelets look at a workload's pods now, who put a changed Secret into them within a minute and a
    /// half otherwise: a pod that changed is looked at once.
    fn hurry(&self, workload: &plane::Manifest) -> Result<()> {
        let name = roll::name(workload);
        let lists = converge::lists(&self.client, &name.namespace, self.here)?;
        // What it serves with, and whom it takes.
        let files = [
            file(self.assets, "tls/apiserver.crt")?,
            file(self.assets, "tls/ca.crt")?,
        ];
        let mark = sha256(&files.concat());
        for pod in roll::pods(&name, &lists) {
            if pod["metadata"]["annotations"][CERTIFICATE] != mark.as_str() {
                let path = format!(
                    "/api/v1/namespaces/{}/pods/{}",
                    name.namespace,
                    plane::name(pod)
                );
                let patch = json!({"metadata": {"annotations": {CERTIFICATE: mark}}});
                let patched = self.client.merge_patch(&path, &patch);
                patched.with_context(|| format!("cannot annotate {path}"))?;
            }
        }
        Ok(())
    }

    /// The parts that do not run with the Secrets of the asset directory.
    pub fn outdated(&self) -> Result<Vec<String>> {
        let mut outdated = permanent::outdated(self)?;
        for part in roll::parts(self.assets)? {
            outdated.extend(self.lacks(&part.workload, SECRETS, &part.mark)?);
        }
        Ok(outdated)
    }

    /// What this run left to other managers, as an error: a certificate that is not in its Secret ends one day.
    pub fn judge(self) -> Result<()> {
        if self.left.is_empty() {
            return Ok(());
        }
        let left = self.left.join("\n");
        Err(fail(
            Exit::Failed,
            anyhow!(
                "left as another manager has it: {left}\nnext step: see who changes it, or take it back with --force-conflicts"
            ),
        ))
    }

    /// Applies an object; what another manager owns is left and noted.
    fn apply(&mut self, manifest: &plane::Manifest, reporter: &mut Reporter) -> Result<()> {
        let name = name_of(&manifest.object);
        match self
            .client
            .apply(&manifest.object, MANAGER, self.options.force)
        {
            Ok(applied) if applied.change == Change::Unchanged => {}
            Ok(_) => reporter.line(format!("{name} changed")),
            Err(Error::Status(status)) if status.code == 409 => {
                let fields = status.causes.iter().map(|cause| cause.field.as_str());
                let fields: Vec<_> = fields.collect();
                reporter.line(format!(
                    "{name} left alone: another manager owns {}",
                    fields.join(", ")
                ));
                self.left.push(name);
            }
            Err(error) => return Err(error).with_context(|| format!("cannot apply {name}")),
        }
        Ok(())
    }

    /// Writes an annotation into a workload's pod template, which replaces its pods if it said something else,
    /// and waits until they are replaced. Of the object nothing else changes: a renewal is no upgrade.
    /// Returns whether the workload exists.
    pub fn mark(
        &self,
        workload: &plane::Manifest,
        annotation: &str,
        value: &str,
        reporter: &mut Reporter,
    ) -> Result<bool> {
        let name = name_of(&workload.object);
        let Some(live) = self.live(workload)? else {
            return Ok(false);
        };
        if *marked(&live, annotation) != value {
            // What `start` applies as well has to have the same owner, and all else must not.
            let manager = match marked(&workload.object, annotation) {
                Value::Null => RESTARTS,
                _ => MANAGER,
            };
            let mut ours = kube::applied_by(&live, manager);
            ours["spec"]["template"]["metadata"]["annotations"][annotation] = json!(value);
            reporter.line(format!("{name} restarts"));
            // Nobody but slipway writes these annotations, so there is nobody to take one from.
            let applied = self.client.apply(&ours, manager, true);
            applied.with_context(|| format!("cannot restart {name}"))?;
        }
        let workload = roll::name(workload);
        let since = self.await_rolled(&workload, reporter)?;
        self.release_lease(&workload.name, since)?;
        Ok(true)
    }

    /// Releases a controller's Lease that a process took which is gone: nobody leads until it ends, which takes
    /// a minute. It is known by its age, so a run that was killed before it came here is no obstacle.
    fn release_lease(&self, name: &str, since: Option<i64>) -> Result<()> {
        if !lease::LEASES.contains(&name) {
            return Ok(());
        }
        match lease::former_holder(&self.client, name, since) {
            Ok(Some(holder)) => Ok(lease::release(&self.client, name, &holder)?),
            // Without an answer it ends by itself.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Says so if a workload that exists does not have this annotation on its pod template.
    pub fn lacks(
        &self,
        workload: &plane::Manifest,
        annotation: &str,
        value: &str,
    ) -> Result<Option<String>> {
        self.is_not(workload, annotation, |marked| *marked != value)
    }

    /// As [`Self::lacks`], but one that never had the annotation is all right.
    pub fn differs(
        &self,
        workload: &plane::Manifest,
        annotation: &str,
        value: &str,
    ) -> Result<Option<String>> {
        self.is_not(workload, annotation, |marked| {
            !marked.is_null() && *marked != value
        })
    }

    fn is_not(
        &self,
        workload: &plane::Manifest,
        annotation: &str,
        is_wrong: impl FnOnce(&Value) -> bool,
    ) -> Result<Option<String>> {
        let live = self.live(workload)?;
        let wrong = live.is_some_and(|live| is_wrong(marked(&live, annotation)));
        Ok(wrong.then(|| format!("{} was not restarted", name_of(&workload.object))))
    }

    fn live(&self, workload: &plane::Manifest) -> Result<Option<Value>> {
        let live = self.client.find(&self.client.path_of(&workload.object)?);
        live.with_context(|| format!("cannot read {}", name_of(&workload.object)))
    }

    /// Waits until the pods of a workload are those that its object asks for, and no others; returns when the
    /// first of them was started.
    fn await_rolled(&self, workload: &Workload, reporter: &mut Reporter) -> Result<Option<i64>> {
        let what = format!("{workload} was replaced and its former pod is gone");
        let wait = Wait {
            what: &what,
            deadline: Instant::now() + self.options.machine.timeouts.pods,
            every: Duration::from_millis(500),
            changes: None,
            next_step: NEXT_STEP,
        };
        until(reporter, wait, |_| {
            let lists = match converge::lists(&self.client, &workload.namespace, self.here) {
                Ok(lists) => lists,
                Err(error) => return Ok(Look::NotYet(error.to_string())),
            };
            Ok(match roll::is_rolled(workload, &lists, self.here) {
                Ok(since) => Look::There(since),
                Err(why) => Look::NotYet(why),
            })
        })
    }
}

/// A file of the asset directory.
pub fn file<'a>(assets: &'a Assets, path: &str) -> Result<&'a [u8]> {
    let asset = assets.get(path);
    let asset = asset.with_context(|| format!("the asset directory has no {path}"))?;
    Ok(asset.bytes.expose())
}

fn marked<'a>(workload: &'a Value, annotation: &str) -> &'a Value {
    &workload["spec"]["template"]["metadata"]["annotations"][annotation]
}

fn mistrusted(server: &str, cause: &str) -> anyhow::Error {
    anyhow!(
        "the API server at {server} is not trusted: {cause}\nnext step: if its certificate has expired, run \
         `slipway start`, which launches the control plane anew from the asset directory with the certificates \
         that are there now; what the cluster holds stays"
    )
}
