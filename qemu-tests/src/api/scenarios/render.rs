//! A real API server accepts every object that slipway renders: by a server-side dry run with
//! strict field validation, without a warning. kubectl asks, so that the YAML is read by a parser
//! that is not slipway's.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::api::cluster::{Cluster, Setup, User};
use crate::api::rendered::Rendered;
use crate::payload;
use crate::process;
use crate::scenario::Context;

/// By the version that the payload has.
pub fn accepted(context: &Context) -> Result<()> {
    accepted_by(context, &context.payload.join("bin/kube-apiserver"))
}

/// By the version before it.
pub fn accepted_by_previous(context: &Context) -> Result<()> {
    let previous = payload::previous(&context.repo)?;
    accepted_by(context, &previous.bin.join("kube-apiserver"))
}

fn accepted_by(context: &Context, apiserver: &Path) -> Result<()> {
    // A Service's address has to lie in the server's network: one server for each set of networks.
    let mut by_services: BTreeMap<String, Vec<Rendered>> = BTreeMap::new();
    for rendered in Rendered::all(context)? {
        let networks = rendered.machine.cluster.service_cidrs.iter();
        let networks: Vec<_> = networks.map(ToString::to_string).collect();
        by_services
            .entry(networks.join(","))
            .or_default()
            .push(rendered);
    }
    for (number, (services, documents)) in by_services.into_iter().enumerate() {
        let cluster = Cluster::with(Setup {
            work: context.work.join(format!("server-{number}")),
            services,
            apiserver: apiserver.to_owned(),
            bin: context.payload.join("bin"),
            restricts_nodes: false,
            flags: Vec::new(),
            rendered: None,
        })?;
        refuses(context, &cluster)?;
        for document in documents {
            accepts(context, &cluster, &document)
                .with_context(|| format!("tests/golden/{}", document.name))?;
        }
    }
    Ok(())
}

/// A field that is not there and a label that is out of use are noticed: who accepts everything shows
/// nothing.
fn refuses(context: &Context, cluster: &Cluster) -> Result<()> {
    let pod = |more: Value| {
        let mut spec = more;
        spec["containers"] = json!([{"name": "x", "image": "x"}]);
        let meta = json!({"name": "x", "namespace": "kube-system"});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}).to_string()
    };
    for (wrong, expected) in [
        (json!({"nodeNaem": "x"}), "nodeNaem"),
        (
            json!({"nodeSelector": {"beta.kubernetes.io/os": "linux"}}),
            "deprecated",
        ),
    ] {
        let mut command = apply(context, cluster);
        command.args(["--dry-run=server", "--filename=-"]);
        let Err(error) = process::output_with(&mut command, &pod(wrong)) else {
            bail!("a pod was accepted that should have been refused for {expected}");
        };
        ensure!(format!("{error:#}").contains(expected), "{error:#}");
    }
    Ok(())
}

fn accepts(context: &Context, cluster: &Cluster, document: &Rendered) -> Result<()> {
    let objects = document.objects()?;
    ensure!(
        document.machine.role == slipway::config::machine::Role::Worker || objects.len() > 20,
        "only {} objects",
        objects.len()
    );
    if objects.is_empty() {
        return Ok(());
    }
    // Nothing can be tried in a namespace, or of a kind, that is not there.
    let come_first = ["Namespace", "CustomResourceDefinition"];
    let first: Vec<_> = objects
        .into_iter()
        .map(|(_, object)| object)
        .filter(|object| come_first.iter().any(|kind| object["kind"] == *kind))
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": first});
    if !first.is_empty() {
        let mut command = apply(context, cluster);
        process::output_with(command.arg("--filename=-"), &list.to_string())?;
    }
    let mut command = apply(context, cluster);
    command.args(["--dry-run=server", "--recursive"]);
    for folder in document.folders() {
        command.arg("--filename").arg(folder);
    }
    process::output(&mut command).map(drop)
}

fn apply(context: &Context, cluster: &Cluster) -> Command {
    let mut kubectl = Command::new(context.payload.join("bin/kubectl"));
    kubectl.args([
        "apply",
        "--server-side",
        "--field-manager=slipway",
        "--force-conflicts",
        "--validate=strict",
        "--warnings-as-errors",
    ]);
    kubectl
        .env("KUBECONFIG", cluster.kubeconfig(User::Admin))
        .env("HOME", &context.work);
    kubectl
}
