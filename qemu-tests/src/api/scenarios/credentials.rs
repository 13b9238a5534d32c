//! What each credential of a control-plane node may do, against the table of docs/certificates.md: every verb that the
//! table gives succeeds, every other one is refused.
//!
//! Requests, not reviews of access: what admission refuses (NodeRestriction, the signer of an approval) counts too.
//! They are dry runs, so none spoils the next. An account is asked by its checkpoint's certificate and by its pod's
//! token, because one line of the table stands for both.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use slipway::assets::Assets;
use slipway::config::yaml;
use slipway::kube::{Client, Error, Options, kubeconfig};
use slipway::pki::CHECKPOINTS;
use std::collections::BTreeSet;
use std::time::Duration;

use super::approve;
use crate::api::Cluster;
use crate::scenario::Context;
use crate::wait;

mod objects;
mod page;
mod things;

use objects::NODE;
use things::{THINGS, Thing};

const LIMIT: Duration = Duration::from_secs(30);
/// Of what is rendered: who may do what, and workloads to do it to.
const KINDS: [&str; 7] = [
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "DaemonSet",
    "Deployment",
];

pub fn credentials(context: &Context) -> Result<()> {
    let cluster = Cluster::start_restricting_nodes(context)?;
    let admin = cluster.admin()?;
    let assets = approve::rendered()?;
    apply_rendered(&admin, &assets)?;
    every_account_has_its_column(&assets)?;
    for object in objects::all()? {
        admin.create(&object)?;
    }
    let rows = page::rows()?;
    let mut wrong = Vec::new();
    for (column, user) in page::USERS.into_iter().enumerate() {
        for (how, client) in clients(&cluster, &admin, user)? {
            for row in &rows {
                let asked = Asked {
                    client: &client,
                    admin: &admin,
                    thing: row.thing,
                };
                let problems = asked.differs(&row.may[column])?;
                wrong.extend(
                    problems
                        .into_iter()
                        .map(|it| format!("{user} by {how}: {it}")),
                );
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "not as the page says:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

fn apply_rendered(admin: &Client, assets: &Assets) -> Result<()> {
    for (_, asset) in assets.below("manifests/") {
        let text = std::str::from_utf8(asset.bytes.expose())?;
        for object in yaml::documents(text).ok().context("it is no YAML")? {
            if KINDS.iter().any(|kind| object["kind"] == *kind) {
                admin.apply(&object, "api-tier", true)?;
            }
        }
    }
    Ok(())
}

/// Whoever has a certificate for a checkpoint is asked, and nobody else.
fn every_account_has_its_column(assets: &Assets) -> Result<()> {
    let folder = format!("{CHECKPOINTS}kube-system/");
    let certificates = assets.below(&folder).map(|(path, _)| path);
    let accounts: BTreeSet<_> = certificates
        .filter_map(|path| path.rsplit('/').next()?.strip_suffix(".crt"))
        .collect();
    let columns = page::USERS
        .into_iter()
        .filter(|user| *user != page::NODE_USER);
    let columns: BTreeSet<_> = columns.collect();
    ensure!(
        accounts == columns,
        "certificates have {accounts:?}, columns {columns:?}"
    );
    Ok(())
}

/// A client for each credential of one column.
fn clients(cluster: &Cluster, admin: &Client, user: &str) -> Result<Vec<(&'static str, Client)>> {
    if user == page::NODE_USER {
        let name = format!("system:node:{NODE}");
        return Ok(vec![(
            "certificate",
            cluster.client_of(&name, &["system:nodes"])?,
        )]);
    }
    let name = format!("system:serviceaccount:kube-system:{user}");
    let review =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let path = format!("/api/v1/namespaces/kube-system/serviceaccounts/{user}/token");
    let issued = admin.post(&path, &review)?;
    let config = cluster.kubeconfig_with(&json!({"token": issued["status"]["token"]}));
    let config = kubeconfig::parse_embedded(config.to_string().as_bytes())?;
    Ok(vec![
        ("certificate", cluster.client_of(&name, &[])?),
        ("token", Client::new(&config, Options::default())?),
    ])
}

/// One cell.
struct Asked<'a> {
    client: &'a Client,
    admin: &'a Client,
    thing: &'a Thing,
}

impl Asked<'_> {
    /// In what it is not as the cell says. What is allowed comes first: authorizers learn of objects by watches, and until
    /// then refuse what they know nothing of.
    fn differs(&self, may: &[String]) -> Result<Vec<String>> {
        let on = self.thing.phrase;
        if let Some(verb) = may
            .iter()
            .find(|verb| !self.thing.verbs.contains(&verb.as_str()))
        {
            bail!("{verb} is not tried on {on}");
        }
        let is_allowed = |verb: &&&str| may.iter().any(|it| it == **verb);
        let mut problems = Vec::new();
        for verb in self.thing.verbs.iter().filter(is_allowed) {
            if let Err(error) = wait::until("permission", LIMIT, || self.ask(verb)) {
                problems.push(format!("{verb} {on} is said to succeed: {error:#}"));
            }
        }
        for verb in self.thing.verbs.iter().filter(|verb| !is_allowed(verb)) {
            match self.ask(verb) {
                Err(error) if is_forbidden(&error) => {}
                Err(error) => problems.push(format!("{verb} {on} failed otherwise: {error:#}")),
                Ok(()) => problems.push(format!("{verb} {on} is said to be refused")),
            }
        }
        Ok(problems)
    }

    /// One request, changing nothing.
    fn ask(&self, verb: &str) -> Result<()> {
        let Thing {
            collection, item, ..
        } = self.thing;
        let all = |query: &str| match collection.contains('?') {
            true => format!("{collection}&{query}"),
            false => format!("{collection}?{query}"),
        };
        let dry = format!("{item}?dryRun=All");
        match verb {
            "get" => self.client.get(item).map(drop)?,
            "list" => self.client.list(collection).map(drop)?,
            "watch" => self.watch(&all("watch=true&timeoutSeconds=1"))?,
            "create" => {
                let body = (self.thing.body)()?;
                self.client.post(&all("dryRun=All"), &body).map(drop)?;
            }
            "update" => self.client.replace(&dry, &self.changed()?).map(drop)?,
            "patch" => self.client.merge_patch(&dry, &json!({})).map(drop)?,
            "delete" => self.client.delete(&dry).map(drop)?,
            "deletecollection" => self.client.delete(&all("dryRun=All")).map(drop)?,
            other => bail!("nobody knows the verb {other}"),
        }
        Ok(())
    }

    /// It ends by itself; what it says does not matter.
    fn watch(&self, path: &str) -> Result<()> {
        self.client.text(path)?;
        Ok(())
    }

    /// What is there, as an update of it sends it.
    fn changed(&self) -> Result<Value> {
        let mut object = self.admin.get(self.thing.item)?;
        if self.thing.item.ends_with("/approval") {
            object["status"]["conditions"] =
                json!([{"type": "Approved", "status": "True", "reason": "Asked"}]);
        }
        Ok(object)
    }
}

fn is_forbidden(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Error>()
        .is_some_and(Error::is_forbidden)
}
