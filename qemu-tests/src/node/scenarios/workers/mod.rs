//! Two workers outlive what becomes of their only control plane: a power cut, and an address that stays closed for
//! longer than a worker may be silent before its pods are evicted. Nobody calls a pod of theirs unready, deletes it
//! or starts it again.
//!
//! A packet filter on the control plane closes its address to everybody, itself too, from before its kubelet starts:
//! to the unit and to the workers that is an API server of its own that does not come. A broken image or a port that somebody else
//! has would do the same, but who opens those waits for the kubelet's next attempt.

mod inside;
mod seen;
mod times;

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use qemu_tests::probe::now;
use serde_json::{Value, json};

use super::join::{NODES, joining};
use crate::node::native::{Node, NodeSpec};
use crate::node::network::Network;
use crate::node::process::Program;
use crate::node::{launch, reboot, services};
use crate::scenario::Context;
use crate::scenarios::cluster::Inside;
use crate::scenarios::reboot::{Host as _, identities, is_back, no_checkpoint_is_active};
use crate::scenarios::{Kubectl, cluster, rollout};
use crate::wait;
use seen::{EVICTED, STEADY, Seen};
use times::{DEFAULT, SHORT, Times};

/// Two looks of node-lifecycle.
const TWO_LOOKS: f64 = 10.0;

/// How long anything may take that takes seconds, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// Looking costs the control plane a list of everything.
const BETWEEN_LOOKS: Duration = Duration::from_secs(3);

/// What ends for want of an API is not kept waiting for minutes by its kubelet once there is one.
const CONTROL_PLANE: &str =
    "kubelet:\n  config: {crashLoopBackOff: {maxContainerRestartPeriod: 10s}}\n";
/// Takes from the controller-manager's checkpoint what it does differently while the address is closed.
const ALWAYS_OPEN: &str = "patches:\n- target: kube-controller-manager\n  strategic: {spec: {template: {metadata: \
    {annotations: {slipway.dev/checkpoint-arguments-closed: \"[]\"}}}}}\n";
/// Prints the checkpoints of today that call nobody dead.
const CLOSED_FORM: &str =
    "grep -l -e -node-lifecycle-controller /etc/kubernetes/manifests/*.json || true";

pub fn stay(context: &Context) -> Result<()> {
    survive(context, SHORT)
}

/// The same with the times that everybody has.
pub fn stay_six_minutes(context: &Context) -> Result<()> {
    survive(context, DEFAULT)
}

/// The same without a reboot: whoever led until then has heard the workers, and remembers when.
pub fn stay_while_it_runs(context: &Context) -> Result<()> {
    let mut cluster = Cluster::launch(context, SHORT, "")?;
    let before = seen::look(&cluster.control_plane)?;
    close(&cluster.control_plane)?;
    let closed = cluster.outlast(SHORT, &before, now(), |node| {
        no_checkpoint_is_active(node)?;
        cluster::wait_until_ready(node)
    })?;
    context.keep_result(&json!({ "closed": closed }))?;
    cluster.takes_more_pods()
}

/// What those above would see if the checkpoint were not another while the address is closed.
pub fn are_evicted(context: &Context) -> Result<()> {
    let mut cluster = Cluster::launch(context, SHORT, ALWAYS_OPEN)?;
    let before = seen::look(&cluster.control_plane)?;
    let since = cluster.reboot_closed()?;
    let inside = cluster.inside();
    let led = inside.leads_since(since)?;
    let evicted = wait::until("evictions", PATIENCE, || {
        let seen = seen::look(&inside)?;
        let count = seen::count(&seen, EVICTED);
        ensure!(count > 0, "nobody was evicted: {seen:?}");
        Ok(seen)
    })?;
    ensure!(
        seen::unchanged(&inside, &before).is_err(),
        "nobody would have noticed"
    );
    let dead = inside.called_dead()?;
    context.keep_result(&json!({
        "control_plane_led_s": hundredths(led - since),
        "called_dead_after_s": dead.iter().map(|at| hundredths(at - led)).collect::<Vec<_>>(),
        "evicted_within_s": hundredths(now() - led),
        "seen": evicted,
    }))
}

fn survive(context: &Context, times: Times) -> Result<()> {
    let mut cluster = Cluster::launch(context, times, "")?;
    let before = seen::look(&cluster.control_plane)?;
    let cut = reboot::after_power_cut(&mut cluster.control_plane).context("the power cut")?;
    cluster.is_as(&before).context("after the power cut")?;
    let mut figures = json!({ "power_cut": cut });
    context.keep_result(&figures)?;
    let pods = identities(&cluster.control_plane)?;
    let since = cluster.reboot_closed()?;
    let is_itself = |node: &mut Node| is_back(node, &pods, since);
    let closed = cluster.outlast(times, &before, since, is_itself);
    figures["closed"] = closed.context("the closed address")?;
    context.keep_result(&figures)?;
    cluster.takes_more_pods()
}

/// A control plane, and two workers that have pods.
struct Cluster {
    control_plane: Node,
    workers: [Node; 2],
}

impl Cluster {
    fn launch(context: &Context, times: Times, more: &str) -> Result<Self> {
        let network = Network::create(context)?;
        let node = |spec: NodeSpec| Node::create(context, spec.on(&network));
        let mut cluster = Self {
            control_plane: node(NodeSpec::default())?,
            workers: [
                node(NodeSpec::new("worker-1", "10.77.0.3"))?,
                node(NodeSpec::new("worker-2", "10.77.0.4"))?,
            ],
        };
        let control_plane = &mut cluster.control_plane;
        control_plane.boot()?;
        let document = format!("{NODES}{CONTROL_PLANE}{}{more}", times.arguments());
        launch::up_to_start(
            control_plane,
            &launch::document(control_plane.spec(), &document),
        )?;
        launch::start_to_the_end(control_plane)?;
        for worker in &mut cluster.workers {
            worker.boot()?;
            launch::up_to_start(worker, &joining(control_plane, worker.spec())?)?;
        }
        cluster.deploy(times)?;
        Ok(cluster)
    }

    fn deploy(&self, times: Times) -> Result<()> {
        let api = &self.control_plane;
        wait::until("Nodes of the workers", PATIENCE, || {
            let nodes = api.list("/api/v1/nodes")?.len();
            ensure!(nodes == 1 + self.workers.len(), "there are {nodes}");
            Ok(())
        })?;
        cluster::wait_until_ready(api)?;
        let pods = include_str!("steady.yaml").replace("@TOLERATIONS@", &times.tolerations());
        api.kubectl(&["apply", "--server-side", "--filename=-"], &pods)?;
        self.rolled_out()?;
        cluster::wait_until_ready(api)
    }

    fn rolled_out(&self) -> Result<()> {
        let namespace = format!("--namespace={STEADY}");
        rollout::status_in(&self.control_plane, &namespace, "deployment/steady", 180)
    }

    /// Boots the control plane after a power cut with its address closed; returns when its kubelet was started.
    fn reboot_closed(&mut self) -> Result<f64> {
        let node = &mut self.control_plane;
        reboot::boot_again(node)?;
        close(node)?;
        services::start_before_kubelet(node)?;
        let since = now();
        services::start_kubelet(node)?;
        Ok(since)
    }

    /// After the address was closed at `since`: until every worker's pods would have been evicted. Then it opens, and
    /// `is_back` waits until the control plane is what it was.
    fn outlast(
        &mut self,
        times: Times,
        before: &Seen,
        since: f64,
        is_back: impl FnOnce(&mut Node) -> Result<()>,
    ) -> Result<Value> {
        let led = self.hold(times, before, since)?;
        let heard = self.inside().reports()?.into_iter().fold(0.0, f64::max);
        ensure!(heard < since, "a worker was heard at {heard}, not {since}");
        let opened = now();
        open(&self.control_plane)?;
        let reported = self.inside().reported_since(opened)?;
        is_back(&mut self.control_plane)?;
        let leads = self.inside().leads_since(opened)?;
        self.is_as(before)?;
        let reported: Vec<_> = reported.iter().map(|at| hundredths(at - opened)).collect();
        Ok(json!({
            "checkpoint_led_from_s": hundredths(led - since),
            "opened_at_s": hundredths(opened - since),
            "workers_silent_s": hundredths(opened - heard),
            "workers_reported_after_opening_s": reported,
            "own_leader_after_opening_s": hundredths(leads - opened),
        }))
    }

    /// While the address is closed the workers are silent, a checkpoint leads that does not mind, and they are as
    /// `before`, for as long as it takes to evict everybody. Returns since when it led.
    fn hold(&mut self, times: Times, before: &Seen, since: f64) -> Result<f64> {
        let led = self.inside().leads_since(since)?;
        let form = self.control_plane.shell(CLOSED_FORM)?;
        ensure!(form.contains("kube-controller-manager"), "it is {form:?}");
        while now() < led + times.until_eviction() {
            seen::unchanged(&self.inside(), before)?;
            thread::sleep(BETWEEN_LOOKS);
        }
        let outside = self.control_plane.answers();
        ensure!(outside.is_err(), "the node's address answers");
        let inside = self.inside();
        let leads = inside.leads_since(since)?;
        ensure!(leads == led, "another leads since {leads}");
        Ok(led)
    }

    /// The workers are as `before`, and stay so: whoever leads has heard each of them since its second look, so none
    /// is called dead for the silence that was.
    fn is_as(&self, before: &Seen) -> Result<()> {
        let led = self.inside().leads_since(0.0)?;
        self.inside().reported_since(led + TWO_LOOKS)?;
        seen::unchanged(&self.control_plane, before)
    }

    /// Each worker's kubelet hears of pods again, and its word of them is heard.
    fn takes_more_pods(&self) -> Result<()> {
        let namespace = format!("--namespace={STEADY}");
        let scale = ["scale", &namespace, "--replicas=6", "deployment/steady"];
        self.control_plane.kubectl(&scale, "")?;
        self.rolled_out()
    }

    fn inside(&self) -> Inside<'_> {
        Inside(&self.control_plane)
    }
}

/// Refuses whoever knocks at the node's address, as if nobody listened.
pub fn close(node: &Node) -> Result<()> {
    let rules = format!(
        "table inet closed {{\nchain input {{\ntype filter hook input priority -100\n\
         ip daddr {} tcp dport 6443 reject with tcp reset\n}}\n}}\n",
        node.spec().address
    );
    let close = Program::new(["nft", "-f", "-"]).input(rules);
    node.run(&close)?.success().map(drop)
}

/// Refuses nobody any more.
pub fn open(node: &Node) -> Result<()> {
    let open = Program::new(["nft", "delete", "table", "inet", "closed"]);
    node.run(&open)?.success().map(drop)
}

/// No moment is known better.
fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}
