//! The readiness gate of API servers: a pod is Ready once its *own* process says that it serves.
//!
//! In a rolling update the old process answers the new pod's probes, so the kubelet calls a pod Ready that may never
//! listen, and the old one is told to end. The pods therefore have a gate ([`GATE`]), a condition that nobody but this unit sets:
//! it knows which processes are the pod's, and asks one of them ([`super::word`]). It does so as the kubelet's
//! user, who may write the status of this node's own pods and of no others. From then on the kernel gives new connections to
//! whoever has listened longest ([`crate::node::steer`]), so a process that starts meets nobody before its time.
//!
//! What is not known is no reason to write. A gate that is open stays so while its container lives: whether the API server
//! is well later is for the kubelet's probes. The road not taken is a probe of the container's own: it runs in the pod's network,
//! which is the node's, and meets the same two processes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::keeper::Options;
use super::pods;
use super::word::{Address, Word};
use super::workload::text;
use crate::kube::kubeconfig;
use crate::node::{files, processes, sockets, steer};
use crate::start::ready::{GATE, condition, moment};

/// What any process may take until it listens and serves before anybody is told that it does not.
const STARTING: Duration = Duration::from_secs(10);
/// For how long a status that cannot be written is nothing to talk about.
const PASSING: Duration = Duration::from_secs(10);
/// Why the gate is as it is; the API's word for it.
const SERVING: &str = "Serving";
const NOT_LISTENING: &str = "NotListening";
const NOT_READY: &str = "NotReady";

/// Whether a pod waits for its gate.
pub fn is_gated(pod: &Value) -> bool {
    let gates = pod["spec"]["readinessGates"].as_array();
    let mut gates = gates.into_iter().flatten();
    gates.any(|gate| gate["conditionType"] == GATE)
}

/// What is heard of a pod's processes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    /// None of them listens.
    Nothing,
    /// One does.
    Word(Word),
}

/// What is done with a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is asked again.
    Wait,
    /// It is open, and may stay so.
    Settled,
    /// It is opened.
    Open,
    /// It is closed, or stays so and says why.
    Shut(&'static str, String),
}

/// What to do with the gate of a pod whose container has run for so long. `gate` is the condition as it is.
fn judge(gate: Option<&Value>, age: Duration, heard: Heard) -> Verdict {
    let (reason, why) = match heard {
        Heard::Word(Word::Ready) if gate.is_some_and(is_open) => return Verdict::Settled,
        Heard::Word(Word::Ready) => return Verdict::Open,
        Heard::Word(Word::Unknown(_)) => return Verdict::Wait,
        Heard::Word(Word::NotReady(why)) => (NOT_READY, why),
        Heard::Nothing => (NOT_LISTENING, "no process of it listens".to_owned()),
    };
    // What exactly it waits for changes by the second, and each writing wakes who watches pods.
    let is_said = gate.is_some_and(|gate| !is_open(gate) && gate["reason"] == reason);
    match age < STARTING || is_said {
        true => Verdict::Wait,
        false => Verdict::Shut(reason, why),
    }
}

fn is_open(gate: &Value) -> bool {
    gate["status"] == "True"
}

/// What became of all gates.
#[derive(Debug, Default)]
pub struct Tended {
    /// What changed, or goes wrong.
    pub said: Vec<String>,
    /// Whether any is to be looked at again soon.
    pub waits: bool,
}

/// This node's gates.
pub struct Gates {
    root: PathBuf,
    kubeconfig: PathBuf,
    address: SocketAddr,
    /// The container of each pod, by UID, that has had its word.
    settled: BTreeMap<String, String>,
    /// Since when the status of a pod could not be written, and what was said about it.
    failing: BTreeMap<String, (Instant, String)>,
}

impl Gates {
    /// Of a node of which nothing is known.
    pub fn new(options: &Options) -> Self {
        Self {
            root: options.root.clone(),
            kubeconfig: files::below(&options.root, pods::KUBECONFIG),
            address: options.address,
            settled: BTreeMap::new(),
            failing: BTreeMap::new(),
        }
    }

    /// Looks at every gated pod of this node that the API tells of.
    pub fn tend(&mut self, pods: &[Value]) -> Tended {
        let is_there = |uid: &String| pods.iter().any(|pod| uid_of(pod) == uid);
        self.settled.retain(|uid, _| is_there(uid));
        self.failing.retain(|uid, _| is_there(uid));
        let mut tended = Tended::default();
        for pod in pods {
            let Some((container, age)) = running(pod, SystemTime::now()) else {
                continue;
            };
            let uid = uid_of(pod);
            if self.settled.get(uid).map(String::as_str) == Some(container) {
                continue;
            }
            match self.look(pod, age, &mut tended.said) {
                Ok(true) => {
                    self.settled.insert(uid.to_owned(), container.to_owned());
                }
                Ok(false) => tended.waits = true,
                Err(error) => {
                    tended.waits = true;
                    tended.said.extend(self.fails(uid, &error));
                    continue;
                }
            }
            self.failing.remove(uid);
        }
        tended
    }

    /// Looks at one pod; returns whether its container needs no further look.
    fn look(&self, pod: &Value, age: Duration, said: &mut Vec<String>) -> Result<bool> {
        let (name, port) = (name_of(pod), self.address.port());
        let pids = processes::of_pod(&self.root, uid_of(pod))?;
        let listener = self.listener(&pids)?;
        let heard = match listener {
            None => Heard::Nothing,
            Some(_) => Heard::Word(self.ask(&pids)?),
        };
        log::debug!("{name}, processes {pids:?}: {heard:?}");
        match judge(condition(pod, GATE), age, heard) {
            Verdict::Wait => return Ok(false),
            Verdict::Shut(reason, why) => {
                let what = format!("{why} (port {port})");
                self.write(pod, ("False", reason, &what))?;
                said.push(format!("does not serve: {name}\n{what}"));
                return Ok(false);
            }
            Verdict::Settled => {}
            Verdict::Open => {
                let what = format!("its own process answers on port {port}");
                self.write(pod, ("True", SERVING, &what))?;
                said.push(format!("serves: {name}"));
            }
        }
        if let Some((pid, number)) = listener
            && let Err(error) = steer::first_come(pid, number)
        {
            let what = "the next API server will be given connections before it serves";
            said.push(format!("{what}\n{error:#}"));
        }
        Ok(true)
    }

    /// Which of these processes listens at the shared port, and by which number of its own.
    fn listener(&self, pids: &[i32]) -> Result<Option<(i32, i32)>> {
        let all = sockets::tcp(&self.root)?;
        let is_shared = |one: &&sockets::Socket| {
            one.listens && one.local.port() == self.address.port() && !one.local.ip().is_loopback()
        };
        let shared: Vec<_> = all.iter().filter(is_shared).map(|one| one.inode).collect();
        let held = pids.iter().flat_map(|pid| {
            let held = sockets::held(&self.root, *pid);
            held.into_iter()
                .map(|(inode, number)| (inode, *pid, number))
        });
        let mut held = held.filter(|(inode, ..)| shared.contains(inode));
        Ok(held.next().map(|(_, pid, number)| (pid, number)))
    }

    fn ask(&self, pids: &[i32]) -> Result<Word> {
        let config = kubeconfig::load(&self.kubeconfig)?;
        Ok(Address::new(&config, self.address)?.word(&self.root, pids))
    }

    fn write(&self, pod: &Value, says: (&str, &str, &str)) -> Result<()> {
        let metadata = &pod["metadata"];
        let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/status");
        let now = OffsetDateTime::from(SystemTime::now()).replace_nanosecond(0)?;
        let patch = patch(
            uid_of(pod),
            condition(pod, GATE),
            says,
            &now.format(&Rfc3339)?,
        );
        let client = pods::client(&self.kubeconfig)?;
        client
            .strategic_patch(&path, &patch)
            .with_context(|| format!("cannot say of {} whether it serves", name_of(pod)))?;
        Ok(())
    }

    /// What is to be said about a failure: nothing while it is new, and nothing twice.
    fn fails(&mut self, uid: &str, error: &anyhow::Error) -> Option<String> {
        let text = format!("{error:#}");
        log::debug!("{text}");
        let new = || (Instant::now(), String::new());
        let (since, said) = self.failing.entry(uid.to_owned()).or_insert_with(new);
        let is_due = since.elapsed() >= PASSING && *said != text;
        is_due.then(|| {
            said.clone_from(&text);
            text
        })
    }
}

/// The change of a pod's status: only if the pod is still that one, and with the time only if the status changes.
fn patch(
    uid: &str,
    gate: Option<&Value>,
    (status, reason, what): (&str, &str, &str),
    now: &str,
) -> Value {
    let mut new = json!({ "type": GATE, "status": status, "reason": reason, "message": what });
    if gate.is_none_or(|gate| gate["status"] != status) {
        new["lastTransitionTime"] = now.into();
    }
    json!({ "metadata": { "uid": uid }, "status": { "conditions": [new] } })
}

/// The ID of a pod's container that runs, by the API's word, and for how long; none of a pod that is told to end.
fn running(pod: &Value, now: SystemTime) -> Option<(&str, Duration)> {
    let container = &pod["status"]["containerStatuses"][0];
    let began = moment(&container["state"]["running"]["startedAt"])?;
    let is_ending = !pod["metadata"]["deletionTimestamp"].is_null();
    let age = now.duration_since(began).unwrap_or_default();
    (!is_ending).then_some((text(&container["containerID"]), age))
}

fn uid_of(pod: &Value) -> &str {
    text(&pod["metadata"]["uid"])
}

fn name_of(pod: &Value) -> String {
    let metadata = &pod["metadata"];
    format!(
        "{}/{}",
        text(&metadata["namespace"]),
        text(&metadata["name"])
    )
}

#[cfg(test)]
mod tests;
