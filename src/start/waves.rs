//! In which order the objects of the real control plane go in.
//!
//! What talks to the API through this node's door comes when somebody is behind it: all at once, the
//! controllers exit for want of an API, and the kubelet's back-off costs more than the order. What
//! the control plane does not need comes when it serves alone: until then two control planes run, and
//! whatever starts beside them makes both slower.

use anyhow::Result;

use super::plane::{Manifest, argument, name, namespace};
use super::ready::Workload;
use super::{CHECKPOINTER, Options, REQUIRED, TELLS};

/// The manifests of an asset directory, by when they are applied.
#[derive(Debug, Default)]
pub(super) struct Waves<'a> {
    /// At once: everything but workloads, and the self-hosted apiserver.
    pub first: Vec<&'a Manifest>,
    /// The self-hosted apiserver, which the others wait for: the workload with `--etcd-servers`. Without
    /// one among the manifests everything is in the first wave.
    pub apiserver: Option<Workload>,
    /// When the self-hosted apiserver answers at this node's address.
    pub second: Vec<&'a Manifest>,
    /// When nothing but the self-hosted control plane serves.
    pub add_ons: Vec<&'a Manifest>,
}

impl<'a> Waves<'a> {
    pub(super) fn new(manifests: &'a [Manifest], options: &Options) -> Self {
        let Some(apiserver) = manifests.iter().find(|manifest| serves(manifest)) else {
            return Self {
                first: manifests.iter().collect(),
                ..Self::default()
            };
        };
        let (workloads, first) = manifests
            .iter()
            .partition::<Vec<_>, _>(|manifest| is_workload(manifest) && !serves(manifest));
        let leaves = leaves_add_ons(options);
        let (add_ons, second) = workloads
            .into_iter()
            .partition(|manifest| leaves && !is_early(&workload(manifest), options));
        Self {
            first,
            apiserver: Some(workload(apiserver)),
            second,
            add_ons,
        }
    }
}

fn is_workload(manifest: &Manifest) -> bool {
    !manifest.object["spec"]["template"]["spec"].is_null()
}

fn serves(manifest: &Manifest) -> bool {
    argument(&manifest.object["spec"]["template"], "--etcd-servers").is_some()
}

/// What was asked for, or what the control plane of these manifests needs.
pub(super) fn required(manifests: &[Manifest], options: &Options) -> Result<Vec<Workload>> {
    if !options.required_pods.is_empty() {
        return Ok(options.required_pods.clone());
    }
    let tells = manifests.iter().any(|manifest| {
        let template = &manifest.object["spec"]["template"];
        workload(manifest).to_string() == CHECKPOINTER && argument(template, TELLS).is_some()
    });
    let names = REQUIRED.split(',').chain(tells.then_some(CHECKPOINTER));
    names.map(str::parse).collect()
}

/// Whether a workload comes before the handover although others may wait.
fn is_early(workload: &Workload, options: &Options) -> bool {
    is_control_plane(workload) || options.required_pods.contains(workload)
}

/// Whether anything may wait until after the handover. Who requires more than the control plane and what
/// stands on the host network beside it may mean something that needs a pod network or Services; and who is strict wants every refusal while the
/// temporary control plane is still there.
fn leaves_add_ons(options: &Options) -> bool {
    let needs_neither =
        |workload: &Workload| is_control_plane(workload) || workload.to_string() == CHECKPOINTER;
    !options.strict && options.required_pods.iter().all(needs_neither)
}

pub(super) fn is_control_plane(workload: &Workload) -> bool {
    let name = workload.to_string();
    REQUIRED.split(',').any(|one| one == name)
}

fn workload(manifest: &Manifest) -> Workload {
    Workload {
        namespace: namespace(&manifest.object),
        name: name(&manifest.object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::machine::Timeouts;
    use serde_json::json;

    fn manifest(kind: &str, name: &str, arguments: Option<&[&str]>) -> Manifest {
        let mut object =
            json!({"kind": kind, "metadata": {"namespace": "kube-system", "name": name}});
        if let Some(arguments) = arguments {
            object["spec"]["template"]["spec"]["containers"] = json!([{ "args": arguments }]);
        }
        Manifest {
            file: format!("manifests/{name}.yaml"),
            object,
        }
    }

    fn all() -> Vec<Manifest> {
        vec![
            manifest("Deployment", "kube-scheduler", Some(&[])),
            manifest("Deployment", "coredns", Some(&[])),
            manifest("DaemonSet", "pod-checkpointer", Some(&[])),
            manifest("Secret", "keys", None),
            manifest("DaemonSet", "kube-apiserver", Some(&["--etcd-servers=x"])),
        ]
    }

    fn options(required: &str, strict: bool) -> Options {
        Options {
            root: "/".into(),
            asset_dir: "/assets".into(),
            pod_manifest_path: "/manifests".into(),
            required_pods: required
                .split_terminator(',')
                .map(|one| one.parse().unwrap())
                .collect(),
            strict,
            force_conflicts: false,
            timeouts: Timeouts::default(),
        }
    }

    /// A hand-made directory may have none, or the original's, and a static control plane's tells nothing of its node.
    #[test]
    fn the_checkpointer_is_required_where_it_tells_of_its_node() {
        let checkpointer = |argument| manifest("DaemonSet", "pod-checkpointer", Some(argument));
        let three = REQUIRED.to_owned();
        let four = format!("{REQUIRED},{CHECKPOINTER}");
        let table = [
            ("", vec![], &three),
            ("", vec![checkpointer(&["--kubeconfig=x"])], &three),
            (
                "",
                vec![checkpointer(&["--node-health=127.0.0.1:1"])],
                &four,
            ),
            (
                REQUIRED,
                vec![checkpointer(&["--node-health=127.0.0.1:1"])],
                &three,
            ),
        ];
        for (asked, manifests, expected) in table {
            let required = required(&manifests, &options(asked, false)).unwrap();
            let names: Vec<_> = required.iter().map(ToString::to_string).collect();
            assert_eq!(names.join(","), *expected);
        }
    }

    /// The names in the three waves.
    fn names(manifests: &[Manifest], options: &Options) -> [Vec<String>; 3] {
        let waves = Waves::new(manifests, options);
        [waves.first, waves.second, waves.add_ons]
            .map(|wave| wave.into_iter().map(|m| workload(m).name).collect())
    }

    #[test]
    fn workloads_wait_for_the_apiserver_and_add_ons_for_the_handover() {
        let (all, options) = (all(), options(REQUIRED, false));
        let [first, second, add_ons] = names(&all, &options);
        assert_eq!(first, ["keys", "kube-apiserver"]);
        assert_eq!(second, ["kube-scheduler"]);
        assert_eq!(add_ons, ["coredns", "pod-checkpointer"]);
        let apiserver = Waves::new(&all, &options).apiserver.unwrap();
        assert_eq!(apiserver.to_string(), "kube-system/kube-apiserver");
    }

    #[test]
    fn a_required_add_on_or_strictness_puts_all_before_the_handover() {
        let one_more = format!("{REQUIRED},kube-system/coredns");
        for options in [options(&one_more, false), options(REQUIRED, true)] {
            let [_, second, add_ons] = names(&all(), &options);
            assert_eq!(second, ["kube-scheduler", "coredns", "pod-checkpointer"]);
            assert!(add_ons.is_empty());
        }
        let checkpoints = options(&format!("{REQUIRED},{CHECKPOINTER}"), false);
        let [_, second, add_ons] = names(&all(), &checkpoints);
        assert_eq!(second, ["kube-scheduler", "pod-checkpointer"]);
        assert_eq!(add_ons, ["coredns"]);
        let fewer = options("kube-system/kube-apiserver", false);
        assert_eq!(names(&all(), &fewer)[1], ["kube-scheduler"]);
    }

    #[test]
    fn without_an_apiserver_there_is_one_wave() {
        let mut all = all();
        all.pop();
        let [first, second, add_ons] = names(&all, &options(REQUIRED, false));
        assert_eq!((first.len(), second.len(), add_ons.len()), (4, 0, 0));
    }
}
