//! An upgrade of the only API server, `kubectl set image`, under the probers: nobody is refused, whoever is reset asks once
//! more, and an image that never listens ends nothing.

mod previous;
mod probed;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value};

use crate::node::launch;
use crate::node::native::{Node, NodeSpec};
use crate::node::process::Program;
use crate::node::scenarios::checkpoint::kept;
use crate::scenario::Context;
use crate::scenarios::cluster::{self, pods_of};
use crate::scenarios::{Kubectl, pods, rollout};
use crate::wait;
pub use previous::from_previous;
use probed::{seen, under_the_probers, unrefused};

const NAMESPACE: &str = "--namespace=kube-system";
const SERVER: &str = "daemonset/kube-apiserver";
const APISERVER: &str = "kube-apiserver";
/// The new image's pods say nothing at the port; see `payload::images`.
const SILENT: &str = crate::payload::images::SILENT;
/// The condition that the node's unit sets.
const GATE: &str = "slipway.dev/serving";
/// How long each thing may take, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(240);

pub fn roll_apiserver_image(context: &Context) -> Result<()> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launch::launch(&node)?;
    pods::deploy(&node, pods::INTERVAL)?;
    cluster::wait_until_ready(&node)?;
    let restarts = restarts(&node)?;
    let mut figures = Map::new();
    for (name, act) in [
        ("roll-1", roll::<1> as fn(&Node) -> Result<()>),
        ("roll-2", roll::<2>),
        ("never-listens", never_listens),
        ("undo", undo),
    ] {
        let report = under_the_probers(&node, |node| until_well(node, act));
        let report = report.with_context(|| name)?;
        figures.insert(name.into(), seen(&report));
        context.keep_result(&Value::Object(figures.clone()))?;
        unrefused(&report).with_context(|| name)?;
    }
    checkpoint_follows(&node)?;
    the_unit_helps(&node, 3)?;
    let in_pod = pods::report_of_many(&node)?;
    figures.insert("in-pod".into(), seen(&in_pod));
    let more = restarted_since(&node, &restarts)?;
    figures.insert("restarts-of-others".into(), more.into());
    context.keep_result(&Value::Object(figures))?;
    unrefused(&in_pod).context("in the pod")?;
    ensure!(more == 0, "others were restarted {more} times");
    Ok(())
}

/// The same program by another name is another image.
fn roll<const NUMBER: u32>(node: &Node) -> Result<()> {
    let set = node.get("/apis/apps/v1/namespaces/kube-system/daemonsets/kube-apiserver")?;
    let image = &set["spec"]["template"]["spec"]["containers"][0]["image"];
    let image = image.as_str().context("a container without image")?;
    let next = format!("{image}-{NUMBER}");
    let tag = ["ctr", "--namespace=k8s.io", "images", "tag", image, &next];
    node.run(&Program::new(tag))?.success()?;
    rollout::set_image(node, SERVER, &next)?;
    rollout::status(node, SERVER)
}

/// Its containers are ready by the kubelet's word, which has the old process' answers; it is not, and the old pod stays.
fn never_listens(node: &Node) -> Result<()> {
    let before = servers(node)?;
    rollout::set_image(node, SERVER, SILENT)?;
    wait::until("word that the new pod does not listen", PATIENCE, || {
        let all = servers(node)?;
        let new = all
            .iter()
            .find(|pod| !before.iter().any(|old| uid(old) == uid(pod)));
        let new = new.context("there is no new pod")?;
        ensure!(
            status_of(new, "ContainersReady") == "True",
            "{}",
            new["status"]
        );
        let gate = condition(new, GATE);
        ensure!(
            gate.is_some_and(|gate| gate["reason"] == "NotListening"),
            "its gate is {gate:?}"
        );
        ensure!(status_of(new, "Ready") == "False", "it is Ready");
        Ok(())
    })?;
    let after = servers(node)?;
    for old in &before {
        let still = after.iter().find(|pod| uid(pod) == uid(old));
        let still = still.context("the old pod is gone")?;
        ensure!(
            status_of(still, "Ready") == "True" && still["metadata"]["deletionTimestamp"].is_null(),
            "the old pod is told to end: {}",
            still["metadata"]
        );
    }
    Ok(())
}

fn undo(node: &Node) -> Result<()> {
    node.kubectl(&["rollout", "undo", NAMESPACE, SERVER], "")?;
    rollout::status(node, SERVER)?;
    // The pod that serves is of the revision that is wanted now, so there is nothing to wait for but the other's end.
    wait::until("end of the pod that does not serve", PATIENCE, || {
        let left = servers(node)?.iter().any(is_silent);
        ensure!(!left, "it is there");
        Ok(())
    })
}

/// The checkpoint that is kept is of the pod that serves now.
fn checkpoint_follows(node: &Node) -> Result<()> {
    let all = servers(node)?;
    ensure!(all.len() == 1, "there are {} API servers", all.len());
    wait::until("checkpoint of the new pod", PATIENCE, || {
        kept::of_its_pod(node, kept::CONTROL_PLANE[0])
    })?;
    kept::exactly(node, &[])
}

/// Every new process had its word, and the kernel took the program that keeps callers from it until then.
fn the_unit_helps(node: &Node, processes: usize) -> Result<()> {
    let log = fs::read_to_string(node.logs().join("checkpoint.log"))?;
    let served = log
        .lines()
        .filter(|line| line.contains("serves: kube-system/kube-apiserver-"));
    let served = served.filter(|line| !line.contains("does not")).count();
    ensure!(
        served == processes,
        "{served} API servers had their own word"
    );
    let spread = log
        .lines()
        .find(|line| line.contains("connections before it serves"));
    ensure!(spread.is_none(), "{spread:?}");
    Ok(())
}

/// Does it, and waits until the cluster is well again; where one pod waits, only until it is done.
fn until_well(node: &Node, act: fn(&Node) -> Result<()>) -> Result<()> {
    act(node)?;
    match servers(node)?.iter().any(is_silent) {
        true => Ok(()),
        false => cluster::wait_until_ready(node),
    }
}

fn is_silent(pod: &Value) -> bool {
    pod["spec"]["containers"][0]["image"] == SILENT
}

fn servers(node: &Node) -> Result<Vec<Value>> {
    pods_of(node, APISERVER)
}

fn uid(pod: &Value) -> &Value {
    &pod["metadata"]["uid"]
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = pod["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
}

fn status_of<'a>(pod: &'a Value, kind: &str) -> &'a str {
    let found = condition(pod, kind).and_then(|condition| condition["status"].as_str());
    found.unwrap_or_default()
}

/// How often each container was restarted, but for the API server's: by pod and name.
fn restarts(node: &Node) -> Result<BTreeMap<(String, String), i64>> {
    let mut counts = BTreeMap::new();
    for pod in node.list("/api/v1/pods")? {
        if pod["metadata"]["labels"]["k8s-app"] == APISERVER {
            continue;
        }
        let containers = pod["status"]["containerStatuses"].as_array();
        for container in containers.into_iter().flatten() {
            let key = (uid(&pod).to_string(), container["name"].to_string());
            counts.insert(key, container["restartCount"].as_i64().unwrap_or_default());
        }
    }
    Ok(counts)
}

/// How often any of them was since; those of pods that are new from their beginning.
fn restarted_since(node: &Node, before: &BTreeMap<(String, String), i64>) -> Result<i64> {
    let now = restarts(node)?;
    let more = now
        .iter()
        .map(|(container, count)| count - before.get(container).unwrap_or(&0));
    Ok(more.sum())
}
