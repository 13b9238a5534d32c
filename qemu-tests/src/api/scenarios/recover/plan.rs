//! `slipway recover --plan` says everything and does nothing; and the three sources lead to the same asset directory.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use slipway::exit::Exit;
use slipway::recovery::{FILE, Recovery};
use slipway::render::directory;

use super::left::{Left, ends};
use super::shape::Shape;
use super::tree::Tree;
use crate::scenario::Context;

const ROOT: &str = "root";
const API: &str = "registry.example.com/kube-apiserver:changed";
const SCHEDULER: &str = "registry.example.com/kube-scheduler:changed";
/// Where a temporary component lies in an asset directory.
const BOOTSTRAP: &str = "bootstrap-manifests/bootstrap-";

pub fn plan(context: &Context) -> Result<()> {
    let mut left = Left::of(context)?;
    left.set_image("daemonset/kube-apiserver", API)?;
    left.set_image("deployment/kube-scheduler", SCHEDULER)?;
    nothing_changes(&left)?;
    all_lead_to_the_same(&left)?;
    one_component_alone(&left)?;
    another_etcd_is_refused(&left)?;
    what_is_missing_is_listed(&mut left)
}

/// A command for each source, in words of a person.
fn sources(left: &Left) -> Result<[(&'static str, Command); 3]> {
    let root = left.root(ROOT);
    Ok([
        ("api", left.recover_from_api(&root)),
        ("etcd", left.recover_from_etcd(&root)?),
        ("snapshot", left.recover_from_snapshot(&root)?),
    ])
}

/// Neither where there is an asset directory nor where there is nothing.
fn nothing_changes(left: &Left) -> Result<()> {
    for start in [&left.with_assets()?, &Tree::default()] {
        start.write(&left.root(ROOT))?;
        let before = Tree::read(&left.root(ROOT))?;
        for (name, mut command) in sources(left)? {
            left.kept.supply(&mut command);
            let (text, _) = ends(command.arg("--plan"), Exit::Done)?;
            ensure!(
                Tree::read(&left.root(ROOT))? == before,
                "{name}: it changed"
            );
            for words in [API, SCHEDULER, "kube-controller-manager, image", "node-a"] {
                ensure!(text.contains(words), "{name}: no {words} in\n{text}");
            }
            let restores = text.contains("\nrestores ");
            ensure!(restores == (name == "snapshot"), "{name}:\n{text}");
        }
    }
    Ok(())
}

/// But for what is new each time and for the record, and with what people changed. Etcd's data stays as it is.
fn all_lead_to_the_same(left: &Left) -> Result<()> {
    let with_assets = Tree::read(&left.assets)?;
    let kept = left.authorities()?;
    for (what, start) in [("complete", &with_assets), ("empty", &Tree::default())] {
        let mut first: Option<(Tree, Shape<'_>)> = None;
        for (name, mut command) in sources(left)? {
            let folder = left.root(ROOT).join(format!("{what}-{name}"));
            start.write(&folder)?;
            left.kept.supply(&mut command);
            ends(command.arg("--recovery-dir").arg(&folder), Exit::Done)?;
            let (plan, _) = ends(command.arg("--plan"), Exit::Done)?;
            ensure!(!plan.contains("\nrestores "), "{name}:\n{plan}");
            let assets = directory::load(&folder)?;
            let recovery = Recovery::of(&assets)?.context("no record")?;
            ensure!(
                recovery.snapshot.is_none() && recovery.revision > 1,
                "{name}: {recovery:?}"
            );
            let mut tree = Tree::read(&folder)?;
            tree.0.remove(FILE);
            image(&tree, "apiserver", API)?;
            image(&tree, "scheduler", SCHEDULER)?;
            let shape = Shape::new(&assets, &kept)?;
            let Some((expected, expected_shape)) = &first else {
                first = Some((tree, shape));
                continue;
            };
            let is_new = what == "empty";
            let differs = expected.differs(&tree, |one, other| {
                is_new && expected_shape.of(one) == shape.of(other)
            });
            if !differs.is_empty() {
                left.show(expected, "expected")?;
                left.show(&tree, "found")?;
            }
            ensure!(differs.is_empty(), "{what}, {name}: {differs:#?}");
        }
    }
    Ok(())
}

fn image(tree: &Tree, component: &str, image: &str) -> Result<()> {
    let text = String::from_utf8_lossy(tree.file(&format!("{BOOTSTRAP}{component}.yaml"))?);
    ensure!(text.contains(&format!("image: {image}\n")), "{text}");
    Ok(())
}

/// The others are as the document renders them.
fn one_component_alone(left: &Left) -> Result<()> {
    let start = Tree::read(&left.assets)?;
    let folder = left.root(ROOT).join("alone");
    start.write(&folder)?;
    let mut command = left.recover_from_api(&left.root(ROOT));
    left.kept.supply(&mut command);
    command.args(["--component", "kube-scheduler"]);
    ends(command.arg("--recovery-dir").arg(&folder), Exit::Done)?;
    let found = Tree::read(&folder)?;
    image(&found, "scheduler", SCHEDULER)?;
    let own = ["scheduler", FILE, "tls/secrets is", "tls/config-maps is"];
    let mut more = start.differs(&found, |_, _| false);
    more.retain(|one| !own.iter().any(|own| one.contains(own)));
    ensure!(more.is_empty(), "more than one: {more:#?}");
    let recovery = Recovery::of(&directory::load(&folder)?)?;
    let components = recovery.context("no record")?.components;
    ensure!(components == ["kube-scheduler"], "{components:?}");
    let mut unknown = left.recover_from_api(&left.root(ROOT));
    let (_, error) = ends(unknown.args(["--component", "etcd"]), Exit::Usage)?;
    ensure!(error.contains("kube-controller-manager"), "{error}");
    Ok(())
}

/// Nothing of it would be in this machine's own; it is not even asked.
fn another_etcd_is_refused(left: &Left) -> Result<()> {
    let servers = "https://192.0.2.9:2379";
    let mut command = left.recover_from_etcd_at(&left.root(ROOT), servers);
    let (_, error) = ends(&mut command, Exit::Refused)?;
    ensure!(error.contains("another etcd's"), "{error}");
    Ok(())
}

/// All at once, with what supplies it: keys, and what a component needs beside them.
fn what_is_missing_is_listed(left: &mut Left) -> Result<()> {
    let from = json!([{ "configMapRef": { "name": "nowhere" } }]);
    let container = json!([{ "name": "kube-scheduler", "envFrom": from }]);
    let patch = json!({ "spec": { "template": { "spec": { "containers": container } } } });
    left.patch("deployment/kube-scheduler", &patch)?;
    let client = left.cluster.admin()?;
    client.delete("/api/v1/namespaces/kube-system/secrets/kube-controller-manager")?;
    let from_api = left.recover_from_api(&left.root(ROOT));
    let without = "--component LIST without it";
    lacks(left, from_api, &["--etcd-ca FILE", "--ca FILE", without])?;
    left.stop_api()?;
    let mut readable = left.recover_from_etcd(&left.root(ROOT))?;
    left.kept.supply(&mut readable);
    lacks(left, readable, &["--ca FILE", without])?;
    let all = [
        "--encryption-config FILE",
        "--ca FILE",
        "--service-account-key FILE",
    ];
    for command in [
        left.recover_from_etcd(&left.root(ROOT))?,
        left.recover_from_snapshot(&left.root(ROOT))?,
    ] {
        lacks(left, command, &all)?;
    }
    Ok(())
}

/// The plan tells these flags, for a person and for a program, and so does a run, which writes nothing.
fn lacks(left: &Left, mut command: Command, flags: &[&str]) -> Result<()> {
    let start = Tree::default().below(&["var", "var/lib", "var/lib/slipway"]);
    start.write(&left.root(ROOT))?;
    let before = Tree::read(&left.root(ROOT))?;
    let (_, error) = ends(&mut command, Exit::Refused)?;
    ensure!(error.contains("nothing was written"), "{error}");
    let (text, _) = ends(command.arg("--plan"), Exit::Refused)?;
    let (answer, _) = ends(command.arg("--output=json"), Exit::Refused)?;
    let answer: Value = serde_json::from_str(&answer)?;
    let missing = answer["missing"].as_array().context("no list")?;
    let supply: Vec<_> = missing
        .iter()
        .map(|one| one["supply"].as_str().unwrap_or_default())
        .collect();
    ensure!(
        supply.len() == flags.len()
            && supply
                .iter()
                .zip(flags)
                .all(|(one, flag)| one.starts_with(flag)),
        "{supply:#?}"
    );
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("missing "))
        .collect();
    ensure!(
        lines.len() == flags.len() && answer["writes"] == json!(null),
        "{text}"
    );
    for one in supply {
        ensure!(
            text.contains(one) && error.contains(one),
            "no {one} in\n{text}{error}"
        );
    }
    let differs = before.differs(&Tree::read(&left.root(ROOT))?, |_, _| false);
    ensure!(differs.is_empty(), "something was written: {differs:#?}");
    Ok(())
}
