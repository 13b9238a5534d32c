//! What the container runtime says of a workload, and since when it says so.

use std::collections::BTreeSet;
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

    /// What the runtime answered; `None` if it did not. A sandbox whose containers crash is up and does nothing, and so does one
    /// of which only a sidecar lives or a container that comes before the program: `programs` names those that count.
    pub fn hear(
        &mut self,
        workload: &Workload,
        programs: &BTreeSet<String>,
        sandboxes: Option<&[Sandbox]>,
    ) {
        let Some(sandboxes) = sandboxes else {
            self.runs.set(None);
            return;
        };
        let runs = |sandbox: &Sandbox| is_own(sandbox, workload) && sandbox.runs_one_of(programs);
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
        && sandbox.annotations.get(WORKLOAD) == Some(&of)
        && parent_of(sandbox).is_some()
}

/// The pod that a checkpoint was taken from, by namespace and name, if anything of the checkpoint is still there.
pub fn parent_of(sandbox: &Sandbox) -> Option<(String, String)> {
    let parent = sandbox.annotations.get(CHECKPOINT_OF)?;
    let is_left = sandbox.ready || sandbox.runs();
    is_left.then(|| (sandbox.namespace.clone(), parent.clone()))
}

/// What the API server adds its five characters to is cut to this length (`MaxGeneratedNameLength` in
/// k8s.io/apiserver, storage/names/generate.go).
const LONGEST: usize = 58;

/// Whether a sandbox is that of the workload's own pod. Its name tells: of a DaemonSet's pod it is the DaemonSet's and one part more,
/// of a Deployment's two. Of names that were cut, two that are alike so far cannot be told apart.
fn is_own(sandbox: &Sandbox, workload: &Workload) -> bool {
    if sandbox.namespace != workload.namespace || sandbox.annotations.contains_key(CHECKPOINT_OF) {
        return false;
    }
    let (pod, of) = (&*sandbox.name, &*workload.name);
    let is_cut = pod.len() == LONGEST + 5;
    if is_cut && pod.get(..LONGEST).is_some_and(|base| of.starts_with(base)) {
        return true;
    }
    let rest = pod.strip_prefix(of);
    let parts = rest.filter(|rest| rest.is_empty() || rest.starts_with('-'));
    let parts = parts.map(|rest| rest.matches('-').count());
    match &*workload.kind {
        "Pod" => parts == Some(0),
        "Deployment" => parts == Some(2) || is_cut && parts == Some(1),
        _ => parts == Some(1),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::node::cri::Container;

    fn workload(kind: &str) -> Workload {
        super::super::workload::testing::workload(kind, "a-b")
    }

    /// One whose namespaces stand if it is `ready`, with one container of these names each, that run or do not.
    fn sandbox(
        name: &str,
        ready: bool,
        containers: &[(&str, bool)],
        checkpoint_of: Option<&str>,
    ) -> Sandbox {
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
            ready,
            containers: containers.iter().map(container).collect(),
        }
    }

    fn container((name, running): &(&str, bool)) -> Container {
        Container {
            id: "3".into(),
            name: (*name).into(),
            running: *running,
            attempt: 0,
            created_at: 0,
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
            ("a-b-5f6-x1y2z", "Pod", false),
        ] {
            let found = is_own(&sandbox(name, true, &[], None), &workload(kind));
            assert_eq!(found, own, "{name} {kind}");
        }
    }

    #[test]
    fn a_long_name_is_cut() {
        let name = "n".repeat(57);
        let long = |more: &str| {
            super::super::workload::testing::workload("DaemonSet", &format!("{name}{more}"))
        };
        let pod = |base: &str| sandbox(&format!("{base}x1y2z"), true, &[], None);
        assert!(is_own(&pod(&format!("{name}-")), &long("")));
        assert!(is_own(&pod(&format!("{name}o")), &long("or-so")));
        assert!(!is_own(&pod(&format!("{name}p")), &long("or-so")));
        let deployment = super::super::workload::testing::workload("Deployment", &name[..50]);
        let is_of_it = |hash: &str| is_own(&pod(&format!("{}-{hash}", &name[..50])), &deployment);
        assert!(is_of_it("5f6d7c8") && !is_of_it("5f6d7"));
    }

    #[test]
    fn a_checkpoint_is_not_its_parent_and_a_crashing_pod_does_not_run() {
        let of = workload("DaemonSet");
        let programs = BTreeSet::from(["c".to_owned()]);
        let mut memory = Memory::new();
        let mut hear = |sandboxes: Option<&[Sandbox]>| {
            memory.hear(&of, &programs, sandboxes);
            (memory.runs(), memory.left().is_some())
        };
        let own = |containers| sandbox("a-b-x", true, containers, None);
        let checkpoint = |ready, containers| {
            sandbox("a-b-x-0a1b-node", ready, containers, Some("DaemonSet/a-b"))
        };
        let runs = checkpoint(true, &[("c", true)]);
        let (found, left) = hear(Some(&[runs, own(&[("c", false)])]));
        assert!(matches!(found, Runs::Never(_)) && left);
        // A sidecar, and what comes before the program.
        let (found, left) = hear(Some(&[own(&[("side", true), ("c", false)])]));
        assert!(matches!(found, Runs::Never(_)) && !left);
        let (found, _) = hear(Some(&[own(&[("c", false), ("c", true)])]));
        assert!(matches!(found, Runs::Running(_)));
        assert_eq!(hear(None).0, Runs::Unknown);
        assert!(matches!(hear(Some(&[])).0, Runs::Stopped(_)));
        // Of a checkpoint anything counts that is still there.
        for (ready, containers, expected) in [
            (true, &[("c", false)][..], true),
            (false, &[("side", true)], true),
            (false, &[("c", false)], false),
        ] {
            let (_, left) = hear(Some(&[checkpoint(ready, containers)]));
            assert_eq!(left, expected, "{ready} {containers:?}");
        }
    }
}
