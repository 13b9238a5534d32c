//! What the watch has told of this node's parents and gated pods so far, and whether it still tells anything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::decide::Door;
use super::form;
use super::pods::News;
use super::serving::is_gated;
use super::since::Since;
use super::workload::{Workload, is_parent, is_ready, text, workload_of};
use crate::start::ready::seconds;

/// Since when pods run (in seconds since the epoch), by namespace and name; never, if they do not.
pub type Running = BTreeMap<(String, String), Option<i64>>;

/// The pods by namespace and name.
#[derive(Debug)]
pub struct Parents {
    namespaces: Vec<String>,
    pods: BTreeMap<(String, String), Value>,
    answers: Since<Option<bool>>,
    why_silent: String,
}

impl Parents {
    /// Nobody has told anything. Parents are those of `namespaces`.
    pub fn new(namespaces: &[String]) -> Self {
        Self {
            namespaces: namespaces.to_vec(),
            pods: BTreeMap::new(),
            answers: Since::new(None),
            why_silent: String::new(),
        }
    }

    /// Takes in what the watch tells; returns whether that is a reason to look.
    pub fn hear(&mut self, news: News) -> bool {
        let answers = !matches!(news, News::Silent(_));
        let is_news = self.answers.get().0 != Some(answers);
        self.answers.set(Some(answers));
        match news {
            News::All(pods) => {
                let named = pods.into_iter().map(|pod| (key(&pod), pod));
                self.pods = named.collect();
            }
            News::Changed(pod) => drop(self.pods.insert(key(&pod), pod)),
            News::Gone(namespace, name) => {
                let was_there = self.pods.remove(&(namespace, name)).is_some();
                return was_there || is_news;
            }
            News::Silent(why) => {
                self.why_silent = why;
                return is_news;
            }
        }
        true
    }

    /// Whether an API server answers at loopback.
    pub fn door(&self) -> Door {
        Door::of(self.answers.get())
    }

    /// Whether one does at this moment, so that what the watch told is fresh.
    pub fn is_fresh(&self) -> bool {
        self.answers.get().0 == Some(true)
    }

    /// Why none does; `None` if one does, or nobody knows.
    pub fn why_silent(&self) -> Option<&str> {
        let is_silent = self.answers.get().0 == Some(false);
        is_silent.then_some(&*self.why_silent)
    }

    /// Namespaces and names.
    pub fn names(&self) -> impl Iterator<Item = &(String, String)> {
        self.pods.keys()
    }

    /// What they are pods of.
    pub fn workloads(&self) -> BTreeSet<Workload> {
        self.parents().map(workload_of).collect()
    }

    fn parents(&self) -> impl Iterator<Item = &Value> {
        let pods = self.pods.values();
        pods.filter(|pod| is_parent(pod, &self.namespaces))
    }

    /// Which of them run.
    pub fn running(&self) -> Running {
        let pods = self.pods.iter();
        pods.map(|(name, pod)| (name.clone(), form::started(pod)))
            .collect()
    }

    /// Those that wait for their own process' word, while that is fresh.
    pub fn gated(&self) -> Vec<Value> {
        let pods = self.pods.values().filter(|_| self.is_fresh());
        pods.filter(|pod| is_gated(pod)).cloned().collect()
    }

    /// Those of one workload.
    pub fn of(&self, workload: &Workload) -> Vec<&Value> {
        let parents = self.parents();
        parents
            .filter(|pod| workload_of(pod) == *workload)
            .collect()
    }

    /// The newest Ready pod of each workload, while that is fresh.
    pub fn ready(&self) -> BTreeMap<Workload, Value> {
        let mut newest: BTreeMap<Workload, Value> = BTreeMap::new();
        let created = |pod: &Value| seconds(&pod["metadata"]["creationTimestamp"]);
        let ready = self.parents().filter(|pod| is_ready(pod));
        for pod in ready.filter(|_| self.is_fresh()) {
            let workload = workload_of(pod);
            let known = newest.get(&workload);
            if known.is_none_or(|known| created(known) < created(pod)) {
                newest.insert(workload, pod.clone());
            }
        }
        newest
    }
}

fn key(pod: &Value) -> (String, String) {
    let field = |name: &str| text(&pod["metadata"][name]).to_owned();
    (field("namespace"), field("name"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::workload::PARENT;
    use super::*;

    fn pod(name: &str, created: &str, ready: &str) -> Value {
        json!({
            "metadata": {
                "namespace": "kube-system", "name": name, "creationTimestamp": created,
                "annotations": { PARENT: "true" },
                "ownerReferences": [{ "kind": "DaemonSet", "name": "a", "controller": true }],
            },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        })
    }

    #[test]
    fn the_newest_that_is_ready_counts_while_somebody_answers() {
        let mut parents = Parents::new(&["kube-system".to_owned()]);
        assert_eq!(parents.door(), Door::Unknown);
        let old = pod("a-1", "2026-11-23T06:00:00Z", "True");
        let new = pod("a-2", "2026-11-23T06:01:00Z", "True");
        let broken = pod("a-3", "2026-11-23T06:02:00Z", "False");
        assert!(parents.hear(News::All(vec![new, old, broken])));
        let ready = |parents: &Parents| {
            let all = parents.ready().into_values();
            all.map(|pod| text(&pod["metadata"]["name"]).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(ready(&parents), ["a-2"]);
        assert!(parents.hear(News::Silent("x".into())) && !parents.hear(News::Silent("y".into())));
        assert_eq!(parents.why_silent(), Some("y"));
        assert!(ready(&parents).is_empty(), "an old word is none");
        assert!(parents.hear(News::Gone("kube-system".into(), "a-2".into())));
        assert!(!parents.hear(News::Gone("kube-system".into(), "a-2".into())));
        assert_eq!(ready(&parents), ["a-1"]);
    }

    #[test]
    fn whoever_starts_anew_is_noticed() {
        let mut parents = Parents::new(&["kube-system".to_owned()]);
        let mut one = pod("a-1", "2026-11-23T06:00:00Z", "True");
        parents.hear(News::Changed(one.clone()));
        let waits = parents.running();
        let state = json!({ "running": { "startedAt": "2026-11-23T06:00:01Z" } });
        one["status"]["containerStatuses"] = json!([{ "state": state }]);
        parents.hear(News::Changed(one.clone()));
        let runs = parents.running();
        one["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] =
            json!("2026-11-23T06:00:02Z");
        parents.hear(News::Changed(one));
        assert!(waits != runs && runs != parents.running());
    }
}
