//! A cluster of the Kubernetes before the payload's becomes one of the payload's, as its version skew policy wants it:
//! the API server first, then whoever asks it, the kubelet last. The kubelet belongs to the OS image, so that step is a reboot.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};
use slipway::render::images;

use super::probed::{seen, under_the_probers, unrefused};
use super::{PATIENCE, SERVER, restarted_since, restarts};
use crate::node::native::{Node, NodeSpec};
use crate::node::process::Program;
use crate::node::scenarios::checkpoint::kept;
use crate::node::{launch, reboot};
use crate::payload::{self, Previous};
use crate::scenario::Context;
use crate::scenarios::cluster::{self, pods_of};
use crate::scenarios::{Kubectl, pods, reboot as back, rollout};
use crate::wait;

/// In this order.
const WORKLOADS: [&str; 4] = [
    SERVER,
    "deployment/kube-controller-manager",
    "deployment/kube-scheduler",
    "daemonset/kube-proxy",
];
/// Where a node looks for its kubelet first.
const KUBELET: &str = "/opt/harness/bin/kubelet";
/// Where a node is shown what it imports.
const ARCHIVES: &str = "/opt/harness/images";
/// Objects that come and go by themselves.
const FLEETING: [&str; 3] = ["pod/", "event/", "event.events.k8s.io/"];

pub fn from_previous(context: &Context) -> Result<()> {
    let previous = payload::previous(&context.repo)?;
    let (old, new) = (&previous.version, &payload::kubernetes_version()?);
    let mut node = launched(context, &previous)?;
    let mut figures = Map::new();
    is_all_of(&node, old, old)?;
    figures.insert("deprecated".into(), deprecated(&node, new)?);
    let before = Known::of(&node)?;
    // As long as nobody has followed, the API server can go back.
    for version in [new, old] {
        step(context, &node, &mut figures, SERVER, version)?;
    }
    workloads(context, &node, &mut figures, new)?;
    figures.insert("known".into(), before.beside(&Known::of(&node)?));
    is_all_of(&node, new, old)?;
    checkpoints_are_of(&node, new)?;
    let took = another_kubelet(context, &mut node, [old, new])?;
    figures.insert("reboot".into(), took);
    context.keep_result(&Value::Object(figures))?;
    is_all_of(&node, new, new)?;
    checkpoints_are_of(&node, new)?;
    before.is_all_in(&Known::of(&node)?)?;
    pods::resolve_and_reach(&node)?;
    nothing_is_left_to_do(&node)
}

/// Everything but the kubelet, beside a pod that asks the API too.
fn workloads(
    context: &Context,
    node: &Node,
    figures: &mut Map<String, Value>,
    version: &str,
) -> Result<()> {
    pods::deploy(node, pods::INTERVAL)?;
    cluster::wait_until_ready(node)?;
    let restarts = restarts(node)?;
    for workload in WORKLOADS {
        step(context, node, figures, workload, version)?;
    }
    let in_pod = pods::report_of_many(node)?;
    figures.insert("in-pod".into(), seen(&in_pod));
    let more = restarted_since(node, &restarts)?;
    figures.insert("restarts".into(), more.into());
    context.keep_result(&Value::Object(figures.clone()))?;
    unrefused(&in_pod).context("in the pod")?;
    ensure!(more == 0, "containers were restarted {more} times");
    super::the_unit_helps(node, 4)
}

/// One roll under the probers. The figures are numbered, so that they stay in their order.
fn step(
    context: &Context,
    node: &Node,
    figures: &mut Map<String, Value>,
    workload: &str,
    version: &str,
) -> Result<()> {
    let name = format!("{} {workload} {version}", figures.len());
    let report = under_the_probers(node, |node| roll(node, workload, version));
    let report = report.with_context(|| name.clone())?;
    figures.insert(name.clone(), seen(&report));
    context.keep_result(&Value::Object(figures.clone()))?;
    unrefused(&report).context(name)
}

/// A node that was launched with everything of the version before.
fn launched(context: &Context, previous: &Previous) -> Result<Node> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.show(previous.bin.join("kubelet"), KUBELET);
    let mut inside = Vec::new();
    for archive in previous.images(&context.repo)? {
        let name = archive.file_name().context("an archive has a name")?;
        let path = Path::new(ARCHIVES).join(name).display().to_string();
        node.show(archive, &path);
        inside.push(path);
    }
    node.boot()?;
    let more = format!("kubernetes:\n  version: {}\n", previous.version);
    launch::up_to_start(&node, &launch::document(node.spec(), &more))?;
    for archive in &inside {
        let import = ["ctr", "--namespace=k8s.io", "images", "import", archive];
        node.run(&Program::new(import))?.success()?;
    }
    launch::start_to_the_end(&node)?;
    cluster::wait_until_ready(&node)?;
    Ok(node)
}

/// Gives a workload another image and waits until the cluster is well again and, of who leads, a new process does.
fn roll(node: &Node, workload: &str, version: &str) -> Result<()> {
    let name = name_of(workload);
    rollout::set_image(node, workload, &images::kubernetes(name, version))?;
    rollout::status(node, workload)?;
    cluster::wait_until_ready(node)?;
    is_of(node, workload, version)?;
    let pods = pods_of(node, name)?;
    let [pod] = pods.as_slice() else {
        anyhow::bail!("there are {} of {name}", pods.len());
    };
    let started = &pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"];
    let started = started.as_str().context("it does not run")?;
    match back::LEADERS.contains(&name) {
        true => wait::until("leader of the new version", PATIENCE, || {
            back::leads_since(node, &[name], started)
        }),
        false => Ok(()),
    }
}

/// Cuts the power, and boots with the kubelet that a newer OS image would have. A person has changed the document first, so
/// that the stage `render` of that boot writes what runs.
fn another_kubelet(context: &Context, node: &mut Node, versions: [&str; 2]) -> Result<Value> {
    let document = node.path(launch::MACHINE);
    let text = fs::read_to_string(&document)?;
    let [old, new] = versions.map(|version| format!("version: {version}"));
    ensure!(text.contains(&old), "the kept document has no {old}");
    fs::write(&document, text.replace(&old, &new))?;
    node.show(context.payload.join("bin/kubelet"), KUBELET);
    let took = reboot::after_power_cut(node).context("the reboot")?;
    Ok(serde_json::to_value(took)?)
}

/// Everybody runs this version: the API server and who asks it, and the kubelet its own.
fn is_all_of(node: &Node, version: &str, kubelet: &str) -> Result<()> {
    for workload in WORKLOADS {
        is_of(node, workload, version)?;
    }
    for one in node.list("/api/v1/nodes")? {
        let runs = &one["status"]["nodeInfo"]["kubeletVersion"];
        ensure!(*runs == format!("v{kubelet}"), "the kubelet is {runs}");
    }
    Ok(())
}

fn is_of(node: &Node, workload: &str, version: &str) -> Result<()> {
    let name = name_of(workload);
    let image = images::kubernetes(name, version);
    let pods = pods_of(node, name)?;
    ensure!(!pods.is_empty(), "there is no {name}");
    for pod in &pods {
        let runs = &pod["status"]["containerStatuses"][0]["image"];
        ensure!(*runs == image, "{} runs {runs}", cluster::name(pod));
    }
    if workload == SERVER {
        let says = &node.get("/version")?["gitVersion"];
        ensure!(*says == format!("v{version}"), "the API is {says}");
    }
    Ok(())
}

/// What an API server was asked for that a later one will not have; nothing of it may end with `next`.
fn deprecated(node: &Node, next: &str) -> Result<Value> {
    let metrics = node.kubectl(&["get", "--raw", "/metrics"], "")?;
    let asked = metrics
        .lines()
        .filter(|line| line.starts_with("apiserver_requested_deprecated_apis{"));
    let asked: Vec<_> = asked.collect();
    let minor = next.rsplit_once('.').map_or(next, |(minor, _)| minor);
    let ends = format!("removed_release=\"{minor}\"");
    let ending = asked.iter().find(|line| line.contains(&ends));
    ensure!(ending.is_none(), "somebody asks for {ending:?}");
    Ok(json!(asked))
}

/// Waits until each checkpoint that is kept was taken from the pod that runs now, and has its image.
fn checkpoints_are_of(node: &Node, version: &str) -> Result<()> {
    kept::exactly(node, &[])?;
    wait::until("checkpoints of the new pods", PATIENCE, || {
        for workload in kept::CONTROL_PLANE {
            let name = name_of(workload);
            let manifest = kept::of_its_pod(node, workload)?;
            let image = &manifest["spec"]["containers"][0]["image"];
            ensure!(
                *image == images::kubernetes(name, version),
                "the checkpoint of {name} starts {image}"
            );
        }
        Ok(())
    })
}

/// What the document says is what is rendered and what the cluster has.
fn nothing_is_left_to_do(node: &Node) -> Result<()> {
    for plan in [&["slipway", "plan"][..], &["slipway", "plan", "--live"]] {
        node.run(&Program::new(plan.iter().copied()))?.success()?;
    }
    Ok(())
}

fn name_of(workload: &str) -> &str {
    workload.split_once('/').map_or(workload, |(_, name)| name)
}

/// What an API server knows: groups with their versions, and every object that it can list.
struct Known {
    versions: BTreeSet<String>,
    objects: BTreeSet<String>,
}

impl Known {
    fn of(node: &Node) -> Result<Self> {
        let groups = node.get("/apis")?;
        let groups = groups["groups"].as_array().into_iter().flatten();
        let versions = groups.flat_map(|group| group["versions"].as_array());
        let versions = versions.flatten().map(|version| &version["groupVersion"]);
        let kinds = node.kubectl(&["api-resources", "--verbs=list", "--output=name"], "")?;
        let kinds = kinds.split_whitespace().collect::<Vec<_>>().join(",");
        let all = ["get", &kinds, "--all-namespaces", "--output=name"];
        let objects = node.kubectl(&all, "")?;
        let lasting = |name: &&str| !FLEETING.iter().any(|kind| name.starts_with(kind));
        Ok(Self {
            versions: versions
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            objects: objects.lines().filter(lasting).map(str::to_owned).collect(),
        })
    }

    /// What changed, in numbers and names.
    fn beside(&self, after: &Self) -> Value {
        json!({
            "objects": self.objects.len(),
            "objects_gone": self.objects.difference(&after.objects).collect::<Vec<_>>(),
            "objects_new": after.objects.difference(&self.objects).collect::<Vec<_>>(),
            "versions_gone": self.versions.difference(&after.versions).collect::<Vec<_>>(),
            "versions_new": after.versions.difference(&self.versions).collect::<Vec<_>>(),
        })
    }

    fn is_all_in(&self, after: &Self) -> Result<()> {
        let gone: Vec<_> = self.objects.difference(&after.objects).collect();
        ensure!(gone.is_empty(), "the upgrade lost {gone:?}");
        Ok(())
    }
}
