//! The cluster made like the asset directory: Secrets first, then what reads them, one at a time.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::json;

use super::Options;
use super::roll::{self, Part, SECRETS};
use crate::assets::Assets;
use crate::exit::{Exit, fail};
use crate::kube::{self, Change, Client, Error, kubeconfig, name_of};
use crate::node::boot::Boot;
use crate::report::Reporter;
use crate::start::apply::MANAGER;
use crate::start::ready::{Here, Workload};
use crate::start::wait::{Look, Wait, until};
use crate::start::{converge, is_serving, plane};
use crate::tls;

const NEXT_STEP: &str =
    "mend what is named above, then run the same command again: it goes on where this run stopped";

/// A cluster that answers.
pub struct Cluster<'a> {
    pub client: Client,
    options: &'a Options<'a>,
    assets: &'a Assets,
    here: Here,
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
            },
            left: Vec::new(),
        };
        cluster.await_api(reporter)?;
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

    /// Brings every part up to date: its Secrets, then itself if they are new to it.
    pub fn update(&mut self, reporter: &mut Reporter) -> Result<()> {
        for part in roll::parts(self.assets)? {
            for secret in &part.secrets {
                self.apply(secret, reporter)?;
            }
            self.restart(&part, reporter)?;
            let workload = part.name();
            self.await_rolled(&workload, reporter)?;
            if part.serves() {
                self.await_new_certificate(reporter)?;
            }
        }
        Ok(())
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
    pub fn apply(&mut self, manifest: &plane::Manifest, reporter: &mut Reporter) -> Result<()> {
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

    /// Tells a workload which Secrets there are now, which replaces its pods if those were others. Of its
    /// object nothing else changes: a renewal is no upgrade.
    fn restart(&self, part: &Part, reporter: &mut Reporter) -> Result<()> {
        let object = &part.workload.object;
        let name = name_of(object);
        let live = match self.client.get(&self.client.path_of(object)?) {
            Err(error) if error.is_not_found() => {
                reporter.line(format!("{name} is not in the cluster; nothing to restart"));
                return Ok(());
            }
            live => live.with_context(|| format!("cannot read {name}"))?,
        };
        if live["spec"]["template"]["metadata"]["annotations"][SECRETS] == part.mark.as_str() {
            return Ok(());
        }
        let mut ours = kube::applied_by(&live, MANAGER);
        ours["spec"]["template"]["metadata"]["annotations"][SECRETS] = json!(part.mark);
        reporter.line(format!("{name} restarts with its new Secret"));
        // Nobody but slipway writes this annotation, so there is nobody to take it from.
        let applied = self.client.apply(&ours, MANAGER, true);
        applied
            .map(drop)
            .with_context(|| format!("cannot restart {name}"))
    }

    /// Waits until the pods of a workload are those that its object asks for, and no others.
    pub fn await_rolled(&self, workload: &Workload, reporter: &mut Reporter) -> Result<()> {
        let what = format!("{workload} runs with its new Secret and the former pod is gone");
        let wait = Wait {
            what: &what,
            deadline: Instant::now() + self.options.machine.timeouts.pods,
            every: Duration::from_millis(500),
            changes: None,
            next_step: NEXT_STEP,
        };
        until(reporter, wait, |_| {
            let lists = match converge::lists(&self.client, &workload.namespace) {
                Ok(lists) => lists,
                Err(error) => return Ok(Look::NotYet(error.to_string())),
            };
            Ok(match roll::is_rolled(workload, &lists, self.here) {
                Ok(()) => Look::There(()),
                Err(why) => Look::NotYet(why),
            })
        })
    }

    /// Waits until the API server shows this node's certificate of the asset directory.
    fn await_new_certificate(&self, reporter: &mut Reporter) -> Result<()> {
        let machine = self.options.machine;
        let door = SocketAddr::new(machine.node.address, machine.api.port);
        let file = |path: &str| {
            let asset = self.assets.get(path);
            asset.with_context(|| format!("the asset directory has no {path}"))
        };
        let roots = tls::authorities(file("tls/ca.crt")?.bytes.expose())?;
        let wanted = tls::certificates(file("tls/apiserver.crt")?.bytes.expose())?;
        let wait = Wait {
            what: "the API server shows its new certificate",
            deadline: Instant::now() + machine.timeouts.handover,
            every: Duration::from_millis(200),
            changes: None,
            next_step: NEXT_STEP,
        };
        until(reporter, wait, |_| {
            Ok(match tls::shown(door, &roots) {
                Ok(shown) if shown.first() == wanted.first() => Look::There(()),
                Ok(_) => Look::NotYet(format!("{door} shows another certificate")),
                Err(error) => Look::NotYet(format!("{door}: {error:#}")),
            })
        })
    }
}

fn mistrusted(server: &str, cause: &str) -> anyhow::Error {
    anyhow!(
        "the API server at {server} is not trusted: {cause}\nnext step: if its certificate has expired, run \
         `slipway start`, which launches the control plane anew from the asset directory with the certificates \
         that are there now; what the cluster holds stays"
    )
}
