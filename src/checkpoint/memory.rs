//! What the container runtime says of a workload, and since when it says so.

use std::time::Duration;

use super::decide::Runs;
use super::since::Since;
use super::workload::{CHECKPOINT_OF, WORKLOAD, Workload};
use crate::node::cri::Sandbox;

/// What is remembered of a workload between two looks.
#[derive(Debug)]
pub struct Memory {
    ever_ran: bool,
    runs: Since<Option<bool>>,
    left: Since<bool>,
}

impl Memory {
    /// Of a workload that is looked at for the first time.
    pub fn new() -> Self {
        Self {
            ever_ran: false,
            runs: Since::new(None),
            left: Since::new(false),
        }
    }

    /// What the runtime answered; `None` if it did not. A sandbox whose containers crash is up and does nothing.
    pub fn hear(&mut self, workload: &Workload, sandboxes: Option<&[Sandbox]>) {
        let Some(sandboxes) = sandboxes else {
            self.runs.set(None);
            return;
        };
        let runs = |sandbox: &Sandbox| is_own(sandbox, workload) && sandbox.runs();
        let left = |sandbox: &Sandbox| is_left_of(sandbox, workload);
        self.hear_that(sandboxes.iter().any(runs));
        self.left.set(sandboxes.iter().any(left));
    }

    /// It runs or it does not, whoever said so.
    pub fn hear_that(&mut self, runs: bool) {
        self.ever_ran |= runs;
        self.runs.set(Some(runs));
    }

    /// Its own containers.
    pub fn runs(&self) -> Runs {
        match (self.runs.get(), self.ever_ran) {
            ((None, _), _) => Runs::Unknown,
            ((Some(true), long), _) => Runs::Running(long),
            ((Some(false), long), false) => Runs::Never(long),
            ((Some(false), long), true) => Runs::Stopped(long),
        }
    }

    /// For how long something of a checkpoint of it has been there.
    pub fn left(&self) -> Option<Duration> {
        let (left, long) = self.left.get();
        left.then_some(long)
    }

    /// The clock for what is left begins when its manifest goes.
    pub fn in_place(&mut self) {
        self.left.set(false);
    }
}

/// Whether something of a workload's checkpoint is still there.
pub fn is_left_of(sandbox: &Sandbox, workload: &Workload) -> bool {
    let of = format!("{}/{}", workload.kind, workload.name);
    sandbox.namespace == workload.namespace
        && sandbox.annotations.contains_key(CHECKPOINT_OF)
        && sandbox.annotations.get(WORKLOAD) == Some(&of)
        && (sandbox.ready || sandbox.runs())
}

/// Whether a sandbox is that of the workload's own pod. Its name tells: of a DaemonSet's pod it is the DaemonSet's and one part more,
/// of a Deployment's two.
fn is_own(sandbox: &Sandbox, workload: &Workload) -> bool {
    if sandbox.namespace != workload.namespace || sandbox.annotations.contains_key(CHECKPOINT_OF) {
        return false;
    }
    let Some(rest) = sandbox.name.strip_prefix(&*workload.name) else {
        return false;
    };
    let expected = match &*workload.kind {
        "Pod" => 0,
        "Deployment" => 2,
        _ => 1,
    };
    let is_separate = rest.is_empty() || rest.starts_with('-');
    is_separate && rest.split('-').skip(1).count() == expected
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::node::cri::Container;

    fn workload(kind: &str) -> Workload {
        super::super::workload::testing::workload(kind, "a-b")
    }

    fn sandbox(name: &str, running: bool, checkpoint_of: Option<&str>) -> Sandbox {
        let marks = checkpoint_of.map(|workload| {
            let marks = [(CHECKPOINT_OF, "a-b-x"), (WORKLOAD, workload)];
            marks.map(|(key, value)| (key.to_owned(), value.to_owned()))
        });
        let annotations: BTreeMap<_, _> = marks.into_iter().flatten().collect();
        Sandbox {
            id: "1".into(),
            namespace: "kube-system".into(),
            name: name.into(),
            uid: "2".into(),
            annotations,
            ready: running,
            containers: vec![Container {
                id: "3".into(),
                name: "c".into(),
                running,
                attempt: 0,
                created_at: 0,
            }],
        }
    }

    #[test]
    fn whose_pod_a_sandbox_is() {
        for (name, kind, own) in [
            ("a-b-x1y2z", "DaemonSet", true),
            ("a-b-5f6-x1y2z", "DaemonSet", false),
            ("a-b-5f6-x1y2z", "Deployment", true),
            ("a-b-x1y2z", "Deployment", false),
            ("a-b", "Pod", true),
            ("a-bc-x1y2z", "DaemonSet", false),
            ("a-bc", "Pod", false),
            ("a-x1y2z", "DaemonSet", false),
        ] {
            let found = is_own(&sandbox(name, true, None), &workload(kind));
            assert_eq!(found, own, "{name} {kind}");
        }
    }

    #[test]
    fn a_checkpoint_is_not_its_parent_and_a_crashing_pod_does_not_run() {
        let of = workload("DaemonSet");
        let mut memory = Memory::new();
        assert_eq!(memory.runs(), Runs::Unknown);
        let checkpoint = sandbox("a-b-x-0a1b-node", true, Some("DaemonSet/a-b"));
        memory.hear(&of, Some(&[checkpoint, sandbox("a-b-x", false, None)]));
        assert!(matches!(memory.runs(), Runs::Never(_)) && memory.left().is_some());
        memory.hear(&of, Some(&[sandbox("a-b-x", true, None)]));
        assert!(matches!(memory.runs(), Runs::Running(_)) && memory.left().is_none());
        memory.hear(&of, None);
        assert_eq!(memory.runs(), Runs::Unknown);
        memory.hear(&of, Some(&[]));
        assert!(matches!(memory.runs(), Runs::Stopped(_)));
    }
}
