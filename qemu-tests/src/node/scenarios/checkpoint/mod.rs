//! What checkpoints are for, on one launched node: everything that can happen to a control plane short of a
//! reboot, one thing after the other, and a reboot in the end.

mod add_ons;
mod broken;
mod cut;
mod cycle;
mod disk;
mod files;
pub mod kept;
mod kubelet;
mod loss;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use qemu_tests::probe::Report;
use serde_json::{Map, Value, json};

use crate::node::native::{Node, NodeSpec};
use crate::node::process::Program;
use crate::node::{launch, reboot, secrets};
use crate::scenario::Context;
use crate::scenarios::Kubectl as _;
use crate::scenarios::cluster::{self, Inside};
use crate::scenarios::reboot::{ACTIVE, Host, no_checkpoint_is_active};
use crate::wait;

/// How long each thing may take to be mended, on a machine that is busy.
const MENDING: Duration = Duration::from_secs(240);
/// The components, whose pods bear the label `k8s-app` with their name.
const COMPONENTS: [&str; 3] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
];

/// Long enough for a case that scales a workload away for a moment.
const PATIENT: &str = "checkpoints:\n  gracePeriod: 10m\n";

/// What is done to the node; everything else is the same each time.
type Case = (&'static str, fn(&mut Node) -> Result<()>);
/// The same where the cause is taken away in the end. Says how many seconds later everything was as before.
type Recovery = (&'static str, fn(&mut Node) -> Result<f64>);

/// What costs the least comes first.
const CASES: [Case; 5] = [
    ("files-damaged", files::damaged),
    ("containerd-stopped", loss::containerd_stopped),
    ("killed-9", loss::killed),
    ("all-deleted", loss::all_deleted),
    ("apiserver-deleted", loss::apiserver_deleted),
];

pub fn life(context: &Context) -> Result<()> {
    let mut node = launched(context, PATIENT)?;
    let mut figures = Map::new();
    survive(context, &mut node, &CASES, &mut figures)?;
    let took = reboot::after_power_cut(&mut node).context("the reboot in the end")?;
    figures.insert("reboot".into(), serde_json::to_value(took)?);
    context.keep_result(&Value::Object(figures))?;
    secrets::none_in_logs(&node, &[])
}

/// What people do to a workload on purpose.
pub fn life_cycle(context: &Context) -> Result<()> {
    let mut node = launched(context, cycle::DOCUMENT)?;
    do_all(
        context,
        &mut node,
        &[
            ("checkpointer-rolled", cycle::checkpointer_rolled),
            ("edited-and-renamed", cycle::edited_and_renamed),
            ("changed-upstream", cycle::changed_upstream),
            ("drained", cycle::drained),
        ],
    )?;
    secrets::none_in_logs(&node, &cycle::OIL)
}

/// The node itself is taken out of the cluster.
pub fn node_deleted(context: &Context) -> Result<()> {
    let mut node = launched(context, cycle::DOCUMENT)?;
    do_all(context, &mut node, &[("node-deleted", cycle::node_deleted)])
}

/// Broken revisions of the checkpointer and of the API server.
pub fn broken_image(context: &Context) -> Result<()> {
    let mut node = launched(context, "")?;
    let mut figures = Map::new();
    survive(context, &mut node, &broken::CASES, &mut figures)?;
    let (name, act) = broken::LAST_GOOD;
    let seen = watched(&mut node, act).with_context(|| name)?;
    figures.insert(name.into(), gaps(&seen));
    context.keep_result(&Value::Object(figures.clone()))?;
    broken::within_grace(&figures)?;
    broken::back_after_power_cut(&mut node)?;
    secrets::none_in_logs(&node, &[])
}

/// The add-ons are checkpointed too, and do their work while only checkpoints serve.
pub fn add_ons(context: &Context) -> Result<()> {
    let mut node = launched(context, add_ons::DOCUMENT)?;
    context.keep_result(&add_ons::stand_in(&mut node)?)?;
    secrets::none_in_logs(&node, &[])
}

/// The unit is cut off from the API, the disk is full, and the only checkpoint of the API server is damaged.
pub fn cut_off(context: &Context) -> Result<()> {
    let mut node = launched(context, cut::DOCUMENT)?;
    recover(
        context,
        &mut node,
        &[
            ("cut-off", cut::at_start),
            ("disk-nearly-full", disk::nearly_full),
            ("disk-full-at-reboot", disk::full_at_reboot),
            ("damaged-at-reboot", files::damaged_at_reboot),
        ],
    )?;
    secrets::none_in_logs(&node, &[])
}

/// The unit loses the API for ten minutes.
pub fn cut_off_for_long(context: &Context) -> Result<()> {
    let mut node = launched(context, cut::DOCUMENT)?;
    recover(context, &mut node, &[("cut-off", cut::for_ten_minutes)])
}

/// A kubelet that starts where no API answers.
pub fn uninformed_kubelet(context: &Context) -> Result<()> {
    let mut node = launched(context, "")?;
    do_all(
        context,
        &mut node,
        &[
            ("without-api", kubelet::without_api),
            ("forgotten", kubelet::forgotten),
            ("informed", kubelet::informed),
        ],
    )
}

/// A node that is launched, with these lines in its document.
fn launched(context: &Context, more: &str) -> Result<Node> {
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    launch::up_to_start(&node, &launch::document(node.spec(), more))?;
    launch::start_to_the_end(&node)?;
    cluster::wait_until_ready(&node)?;
    Ok(node)
}

/// Does one after the other, and keeps how long each took.
fn do_all(context: &Context, node: &mut Node, cases: &[Case]) -> Result<()> {
    let mut figures = Map::new();
    for (name, act) in cases {
        let begun = Instant::now();
        act(node).with_context(|| *name)?;
        let took = begun.elapsed().as_secs_f64();
        figures.insert((*name).into(), json!({ "took_s": took }));
        context.keep_result(&Value::Object(figures.clone()))?;
    }
    Ok(())
}

/// Does one after the other, and keeps how long it took until everything was as before.
fn recover(context: &Context, node: &mut Node, cases: &[Recovery]) -> Result<()> {
    let mut figures = Map::new();
    for (name, act) in cases {
        let begun = Instant::now();
        let back = act(node).with_context(|| *name)?;
        let took = begun.elapsed().as_secs_f64();
        figures.insert((*name).into(), json!({ "took_s": took, "back_s": back }));
        context.keep_result(&Value::Object(figures.clone()))?;
    }
    Ok(())
}

/// Does one after the other under the probers, and keeps what they saw, and how long it took but for the cluster's readiness; it has
/// to be well after each.
fn survive(
    context: &Context,
    node: &mut Node,
    cases: &[Case],
    figures: &mut Map<String, Value>,
) -> Result<()> {
    for (name, act) in cases {
        let mut took = Duration::ZERO;
        let whole = |node: &mut Node| {
            let begun = Instant::now();
            act(node)?;
            took = begun.elapsed();
            is_well(node)
        };
        let seen = watched(node, whole).with_context(|| *name)?;
        let mut seen = gaps(&seen);
        seen["took_s"] = took.as_secs_f64().into();
        figures.insert((*name).into(), seen);
        context.keep_result(&Value::Object(figures.clone()))?;
    }
    Ok(())
}

/// What the probers saw from before `act` to its end.
fn watched(node: &mut Node, act: impl FnOnce(&mut Node) -> Result<()>) -> Result<Report> {
    let prober = launch::probe(node)?;
    let done = act(node);
    let report = launch::end_probe(node, prober);
    done?;
    report
}

/// Everything is Ready by the self-hosted API server's word, and nothing stands in for anybody.
fn is_well(node: &mut Node) -> Result<()> {
    cluster::wait_until_ready(node)?;
    no_checkpoint_is_active(node)?;
    cluster::no_mirror_pod_but_etcd(node)?;
    cluster::wait_until_ready(node)
}

/// The longest time without an answer at each door, whoever asked, and the longest without a leader.
fn gaps(report: &Report) -> Value {
    let longest = |loopback: bool| {
        let series = report.series.iter();
        let at_door = series.filter(|one| one.door.starts_with("127.") == loopback);
        at_door
            .map(|one| one.longest_gap_ms / 1e3)
            .fold(0.0, f64::max)
    };
    json!({
        "loopback_gap_s": longest(true),
        "node_address_gap_s": longest(false),
        "leader_gap_s": report.longest_vacancy_ms() / 1e3,
    })
}

/// For as long as that no checkpoint is activated, and whatever else holds.
fn nothing_starts(
    node: &mut Node,
    long: Duration,
    holds: impl Fn(&Node) -> Result<()>,
) -> Result<()> {
    wait::holds(long, || {
        let active = node.shell(ACTIVE)?;
        ensure!(active.is_empty(), "{active} was activated");
        holds(node)
    })
}

/// Whoever answers is on loopback only.
fn answers_inside_only(node: &Node) -> Result<()> {
    Inside(node).answers()?;
    ensure!(node.answers().is_err(), "the node's address answers");
    Ok(())
}

/// Stops the API server's own process, which binds every address, or lets it go on.
fn signal_apiserver(node: &mut Node, signal: &str) -> Result<()> {
    let pids = "grep -lz '^--bind-address=0.0.0.0$' /proc/[0-9]*/cmdline | cut -d/ -f3";
    node.shell(&format!("kill -{signal} $({pids})")).map(drop)
}

/// Whether the unit has said something since its log was this long.
fn says(node: &Node, since: usize, what: &str) -> Result<()> {
    let log = log(node)?;
    let new = log.get(since..).unwrap_or_default();
    ensure!(new.contains(what), "the unit has not said: {what}");
    Ok(())
}

/// All that the unit has said.
fn log(node: &Node) -> Result<String> {
    Ok(fs::read_to_string(node.logs().join("checkpoint.log"))?)
}

/// A command inside that has to succeed.
fn run(node: &Node, command: &[&str]) -> Result<String> {
    node.run(&Program::new(command.iter().copied()))?.success()
}
