//! What the templates of workloads say of their pods' checkpoints (docs/checkpoints.md): that there is to be one,
//! and with which arguments it runs in place of the pod's own.
//!
//! Annotations, because who takes a checkpoint sees the pod and nothing else: not the machine document, and not which
//! release of slipway wrote the template. They are public, like the arguments that they replace. All but one are
//! written with the template, so a patch of the document can change them or take them away. The one that builds
//! on an argument is written last, because the document can change the argument too.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Value, json};

use super::Pending;
use super::edit::{container_of, pod_spec, values};
use super::workload::annotate;
use crate::checkpoint::workload::{BESIDE, PARENT};
use crate::config::Machine;
use crate::config::machine::AddOn;

/// Arguments that a checkpoint has in place of those of the same flags: a JSON list.
pub const ARGUMENTS: &str = "slipway.dev/checkpoint-arguments";
/// The same, on top of those, while nobody answers at the node's own address.
pub const ARGUMENTS_CLOSED: &str = "slipway.dev/checkpoint-arguments-closed";
const ANNOTATIONS: &str = "/spec/template/metadata/annotations";
/// Whose checkpoint must be told.
const CONTROLLER_MANAGER: &str = "kube-controller-manager";
const CONTROLLERS: &str = "controllers";
/// Controllers that act on kubelets' silence (cmd/kube-controller-manager/names of Kubernetes), with every name they
/// go by. While the node's address is closed workers cannot report, whatever they do.
const OF_SILENCE: [&str; 2] = ["node-lifecycle-controller", "taint-eviction-controller"];
const FORMER_NAME: &str = "nodelifecycle";

/// Has the pods of a template checkpointed, with these arguments.
pub fn mark(template: &mut PodTemplateSpec, arguments: &[&str]) {
    annotate(template, PARENT, "true");
    if !arguments.is_empty() {
        annotate(template, ARGUMENTS, &json!(arguments).to_string());
    }
}

/// The same for an add-on, if the document wants it: its checkpoint, with this argument, may run beside its pod.
pub fn mark_add_on(
    template: &mut PodTemplateSpec,
    machine: &Machine,
    add_on: AddOn,
    argument: &str,
) {
    if machine.checkpoints.also.contains(&add_on) {
        mark(template, &[argument]);
        annotate(template, BESIDE, "true");
    }
}

/// Tells the controller-manager's checkpoint which controllers it does without while the node's address is closed, by
/// those that the container has by then. What the document says of it itself stays.
pub(super) fn close(manifests: &mut [Pending]) {
    for manifest in manifests {
        let object = &mut manifest.object;
        let Some(container) =
            pod_spec(object).and_then(|pod| container_of(pod, CONTROLLER_MANAGER))
        else {
            continue;
        };
        let controllers = without_those_of_silence(&values(container, CONTROLLERS));
        let Some(Value::Object(annotations)) = object.pointer_mut(ANNOTATIONS) else {
            continue;
        };
        if annotations.get(PARENT) == Some(&json!("true")) {
            let arguments = json!([format!("--{CONTROLLERS}={controllers}")]).to_string();
            let closed = annotations.entry(ARGUMENTS_CLOSED);
            closed.or_insert_with(|| arguments.into());
        }
    }
}

/// A list of controllers with two of them switched off. Of a controller that is named twice the first word counts
/// (`IsControllerEnabled`), so what was said of the two before goes. Without the flag all those are on that are by default.
fn without_those_of_silence(lists: &[String]) -> String {
    let is_of_silence = |word: &&str| {
        let name = word.trim_start_matches('-');
        OF_SILENCE.contains(&name) || name == FORMER_NAME
    };
    let words = lists.iter().flat_map(|list| list.split(','));
    let mut words: Vec<_> = words
        .filter(|word| !is_of_silence(word))
        .map(str::to_owned)
        .collect();
    if lists.is_empty() {
        words.push("*".to_owned());
    }
    words.extend(OF_SILENCE.map(|name| format!("-{name}")));
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_evicted_for_silence() {
        let off = "-node-lifecycle-controller,-taint-eviction-controller";
        for (lists, expected) in [
            (&[][..], "*,"),
            (
                &["*,token-cleaner-controller"],
                "*,token-cleaner-controller,",
            ),
            (&["*", "-ttl-controller"], "*,-ttl-controller,"),
            (
                &["node-lifecycle-controller,*,nodelifecycle,-taint-eviction-controller"],
                "*,",
            ),
            (&["taint-eviction-controller"], ""),
        ] {
            let lists: Vec<_> = lists.iter().map(|&list| list.to_owned()).collect();
            let found = without_those_of_silence(&lists);
            assert_eq!(found, format!("{expected}{off}"), "{lists:?}");
        }
    }
}
