//! An upgrade of the only API server, `kubectl set image`, under the probers: nobody is refused, whoever is reset asks once
//! more, and an image that never listens ends nothing.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use qemu_tests::probe::{Failure, Kind, Report, Series};
use serde_json::{Map, Value, json};

use crate::node::launch;
use crate::node::native::{Node, NodeSpec};
use crate::node::process::Program;
use crate::scenario::Context;
use crate::scenarios::{Kubectl, cluster, pods};
use crate::wait;

const NAMESPACE: &str = "--namespace=kube-system";
const SERVER: &str = "daemonset/kube-apiserver";
const PODS: &str = "/api/v1/namespaces/kube-system/pods";
/// The new image's pods say nothing at the port; see `payload::images`.
const SILENT: &str = crate::payload::images::SILENT;
/// The condition that the node's unit sets.
const GATE: &str = "slipway.dev/serving";
/// What the issue allows an upgrade: requests on connections that the old process had just accepted.
const RESETS_ALLOWED: usize = 2;
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
        let report = under_the_probers(&node, act).with_context(|| name)?;
        figures.insert(name.into(), seen(&report));
        context.keep_result(&Value::Object(figures.clone()))?;
        unrefused(&report).with_context(|| name)?;
    }
    checkpoint_follows(&node)?;
    the_unit_helps(&node)?;
    let in_pod = pods::report_of_many(&node)?;
    figures.insert("in-pod".into(), seen(&in_pod));
    let more = self::restarts(&node)? - restarts;
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
    set_image(node, &next)?;
    status(node)
}

fn set_image(node: &Node, image: &str) -> Result<()> {
    let image = format!("kube-apiserver={image}");
    node.kubectl(&["set", "image", NAMESPACE, SERVER, &image], "")?;
    Ok(())
}

fn status(node: &Node) -> Result<()> {
    let timeout = node.timeout(240);
    node.kubectl(&["rollout", "status", NAMESPACE, &timeout, SERVER], "")?;
    Ok(())
}

/// Its containers are ready by the kubelet's word, which has the old process' answers; it is not, and the old pod stays.
fn never_listens(node: &Node) -> Result<()> {
    let before = servers(node)?;
    set_image(node, SILENT)?;
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
    status(node)?;
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
    let [pod] = all.as_slice() else {
        anyhow::bail!("there are {} API servers", all.len());
    };
    let name = cluster::name(pod);
    let kept = format!("/etc/kubernetes/inactive-manifests/kube-system-{name}.json");
    wait::until("checkpoint of the new pod", PATIENCE, || {
        ensure!(node.path(&kept).exists(), "{kept} is not there");
        Ok(())
    })
}

/// Every new process had its word, and the kernel took the program that keeps callers from it until then.
fn the_unit_helps(node: &Node) -> Result<()> {
    let log = fs::read_to_string(node.logs().join("checkpoint.log"))?;
    let served = log
        .lines()
        .filter(|line| line.contains("serves: kube-system/kube-apiserver-"));
    let served = served.filter(|line| !line.contains("does not")).count();
    ensure!(served == 3, "{served} API servers had their own word");
    let spread = log
        .lines()
        .find(|line| line.contains("connections before it serves"));
    ensure!(spread.is_none(), "{spread:?}");
    Ok(())
}

/// What the probers on the node saw from before `act` until the cluster is well again; where one pod waits, until `act` is over.
fn under_the_probers(node: &Node, act: fn(&Node) -> Result<()>) -> Result<Report> {
    let prober = launch::probe(node)?;
    let done = act(node).and_then(|()| match servers(node)?.iter().any(is_silent) {
        true => Ok(()),
        false => cluster::wait_until_ready(node),
    });
    let report = launch::end_probe(node, prober);
    done?;
    report
}

fn is_silent(pod: &Value) -> bool {
    pod["spec"]["containers"][0]["image"] == SILENT
}

/// The outcomes that are promised; how long anything took is a figure.
fn unrefused(report: &Report) -> Result<()> {
    let failures: Vec<_> = report.failures().collect();
    let of = |kind: Kind| failures.iter().filter(|(_, one)| one.kind == kind).count();
    ensure!(of(Kind::Refused) == 0, "somebody was refused: {failures:?}");
    ensure!(
        of(Kind::Closed) <= RESETS_ALLOWED,
        "too many connections were reset: {failures:?}"
    );
    // A process that starts knows nobody's roles; but for loopback, where it is its own client, nobody is sent to it.
    let is_forbidden = |one: &&(&Series, &Failure)| one.1.kind == Kind::Forbidden;
    let outside = failures.iter().filter(is_forbidden);
    let outside = outside.map(|(series, _)| &series.door);
    let outside: Vec<_> = outside.filter(|door| !door.starts_with("127.")).collect();
    ensure!(outside.is_empty(), "the next one was met at {outside:?}");
    let lost = failures
        .iter()
        .find(|(_, one)| one.kind != Kind::Forbidden && !one.cured);
    ensure!(lost.is_none(), "one retry did not cure {lost:?}");
    let emptied = &report.endpoints.emptied;
    ensure!(
        emptied.is_empty(),
        "default/kubernetes was emptied at {emptied:?}"
    );
    Ok(())
}

/// Everything in numbers, by who asked where.
fn seen(report: &Report) -> Value {
    let series: Vec<_> = report
        .series
        .iter()
        .map(|one| {
            let of = |kind: Kind| one.failures.iter().filter(|it| it.kind == kind).count();
            json!({
                "user": one.user,
                "door": one.door,
                "requests": one.requests,
                "longest_gap_s": one.longest_gap_ms / 1e3,
                "refused": of(Kind::Refused),
                "reset": of(Kind::Closed),
                "forbidden": of(Kind::Forbidden),
                "timed_out": of(Kind::TimedOut),
                "status": of(Kind::Status),
                "says": one.failures.iter().map(|it| &*it.message).collect::<BTreeSet<_>>(),
                "uncured": one.failures.iter().filter(|it| !it.cured).count(),
            })
        })
        .collect();
    json!({
        "series": series,
        "endpoints_emptied": report.endpoints.emptied.len(),
        "leader_gap_s": report.longest_vacancy_ms() / 1e3,
        "old_process_s": old_process(report),
    })
}

/// How long the process that was rolled out lived on after the next pod, if there is one, was seen Ready.
fn old_process(report: &Report) -> Option<f64> {
    let is_server = |name: &str| name == "kube-apiserver";
    let mut all = report.processes.iter().filter(|it| is_server(&it.name));
    let (seen, ended) = all.find_map(|process| Some((process.seen, process.ended?)))?;
    let next = report.ready_pods.iter();
    let mut next = next.filter(|it| is_server(&it.workload) && it.started >= seen.floor());
    Some(ended - next.next()?.ready)
}

fn servers(node: &Node) -> Result<Vec<Value>> {
    let all = node.list(PODS)?;
    let is_one = |pod: &Value| {
        pod["metadata"]["labels"]["k8s-app"] == "kube-apiserver" && !cluster::is_mirror(pod)
    };
    Ok(all.into_iter().filter(is_one).collect())
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

/// How often containers other than the API server's were restarted.
fn restarts(node: &Node) -> Result<i64> {
    let all = node.list("/api/v1/pods")?;
    let others = all
        .iter()
        .filter(|pod| pod["metadata"]["labels"]["k8s-app"] != "kube-apiserver");
    let counts = others
        .flat_map(|pod| pod["status"]["containerStatuses"].as_array())
        .flatten()
        .filter_map(|container| container["restartCount"].as_i64());
    Ok(counts.sum())
}
