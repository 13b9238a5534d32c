//! `slipway plan --live`: a real API server is asked what a start would do, and nothing is done.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use slipway::kube::Client;
use slipway::start;

use crate::api::Cluster;
use crate::api::cluster::User;
use crate::process;
use crate::scenario::Context;

const DOCUMENT: &str = "apiVersion: slipway.dev/v1alpha1\nkind: Machine\n\
    node: {name: node-a, address: 192.0.2.1}\ncluster: {name: harbour}\n";
/// What needs something that comes with it.
const DEPENDENT: &str = r#"manifests:
- name: yard.yaml
  content: |
    {apiVersion: v1, kind: Namespace, metadata: {name: yard}}
    ---
    {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: yard}}
    ---
    apiVersion: apiextensions.k8s.io/v1
    kind: CustomResourceDefinition
    metadata: {name: hulls.yard.slipway.test}
    spec:
      group: yard.slipway.test
      scope: Cluster
      names: {kind: Hull, plural: hulls, singular: hull}
      versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
    ---
    {apiVersion: yard.slipway.test/v1, kind: Hull, metadata: {name: first}}
"#;
const REPLICAS: &str =
    "patches: [{target: coredns-deployment, strategic: {spec: {replicas: 2}}}]\n";
const UNKNOWN: &str = r#"manifests:
- {name: odd.yaml, content: '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "odd"}, "date": {}}'}
"#;

/// Action and details of every object, by its name.
type Plan = BTreeMap<String, (String, Vec<String>)>;

struct Asker<'a> {
    context: &'a Context,
    kubeconfig: PathBuf,
    document: PathBuf,
    folder: PathBuf,
}

pub fn plan(context: &Context) -> Result<()> {
    let cluster = Cluster::start(context)?;
    let client = cluster.admin()?;
    let asker = Asker {
        context,
        kubeconfig: cluster.kubeconfig(User::Admin),
        document: context.work.join("machine.yaml"),
        folder: context.work.join("assets"),
    };
    a_new_cluster_gets_everything(&asker, &client)?;
    let manifests = asker.render()?;
    for manifest in &manifests {
        client.apply(&manifest.object, start::MANAGER, true)?;
    }
    let same = asker.ask("", 0)?;
    ensure!(same.len() == manifests.len(), "{} objects", same.len());
    ensure!(
        different(&same).is_empty(),
        "a second start would change {:?}",
        different(&same)
    );
    a_change_is_its_field(&asker)?;
    what_another_has_is_left(&asker, &client)?;
    what_no_schema_knows_is_refused(&asker)
}

fn a_new_cluster_gets_everything(asker: &Asker, client: &Client) -> Result<()> {
    let first = asker.ask(DEPENDENT, 7)?;
    let created = first.values().all(|(action, _)| action == "create");
    ensure!(created && first.len() > 30, "{first:?}");
    for (name, what) in [("Hull first", "kind"), ("ConfigMap yard/a", "namespace")] {
        let expected = format!("its {what} comes with these manifests");
        ensure!(first[name].1 == [expected], "{name}: {:?}", first[name]);
    }
    let maps = client
        .list("/api/v1/namespaces/kube-system/configmaps")?
        .items;
    let written = maps.iter().any(|map| map["metadata"]["name"] == "coredns");
    ensure!(!written, "a plan wrote something");
    Ok(())
}

fn a_change_is_its_field(asker: &Asker) -> Result<()> {
    let plan = asker.ask(REPLICAS, 7)?;
    let expected = (
        "change".to_owned(),
        vec![".spec.replicas: 1 → 2".to_owned()],
    );
    let found = different(&plan);
    ensure!(
        found.len() == 1 && found["Deployment kube-system/coredns"] == expected,
        "{found:?}"
    );
    Ok(())
}

fn what_another_has_is_left(asker: &Asker, client: &Client) -> Result<()> {
    let theirs = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 3},
        "metadata": {"name": "coredns", "namespace": "kube-system"},
    });
    client.apply(&theirs, "someone", true)?;
    let plan = asker.ask("", 7)?;
    let expected = vec![".spec.replicas (conflict with \"someone\")".to_owned()];
    let found = different(&plan);
    let (action, details) = &found["Deployment kube-system/coredns"];
    ensure!(
        found.len() == 1 && action == "leave" && *details == expected,
        "{found:?}"
    );
    Ok(())
}

fn what_no_schema_knows_is_refused(asker: &Asker) -> Result<()> {
    let plan = asker.ask(UNKNOWN, 7)?;
    let (action, details) = &plan["ConfigMap odd"];
    ensure!(
        action == "refused" && details[0].contains("date"),
        "{action}: {details:?}"
    );
    Ok(())
}

fn different(plan: &Plan) -> Plan {
    let entries = plan.iter().filter(|(_, (action, _))| action != "same");
    entries
        .map(|(name, entry)| (name.clone(), entry.clone()))
        .collect()
}

impl Asker<'_> {
    fn command(&self, command: &str) -> Command {
        let mut slipway = Command::new(&self.context.slipway);
        slipway.arg(command).arg("--config").arg(&self.document);
        slipway.arg("--asset-dir").arg(&self.folder);
        slipway
    }

    /// The plan for the document with `more` in it; ends with `exit`.
    fn ask(&self, more: &str, exit: i32) -> Result<Plan> {
        fs::write(&self.document, format!("{DOCUMENT}{more}"))?;
        let mut command = self.command("plan");
        command.args(["--live", "--output", "json", "--kubeconfig"]);
        let output = command.arg(&self.kubeconfig).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(exit),
            "{}: {error}",
            output.status
        );
        let answer: Value = serde_json::from_slice(&output.stdout)?;
        let objects = answer["objects"].as_array().context("no objects")?;
        let entry = |object: &Value| -> Result<_> {
            let details = serde_json::from_value(object["details"].clone())?;
            let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
            Ok((text("object"), (text("action"), details)))
        };
        objects.iter().map(entry).collect()
    }

    /// Renders the plain document; the objects in its asset directory.
    fn render(&self) -> Result<Vec<start::Manifest>> {
        fs::write(&self.document, DOCUMENT)?;
        process::output(&mut self.command("render"))?;
        let assets = slipway::render::directory::load(&self.folder)?;
        start::manifests(&assets)
    }
}
