//! What is left of a pod in its checkpoint.
//!
//! Whatever the API and the scheduler added is gone: who owns it, where it may run, what it waits for. The kubelet
//! of this node runs it, and nobody else decides about it.

use serde_json::{Map, Value, json};

use super::{ARGUMENTS, ARGUMENTS_CLOSED, DATA, Given, containers_mut, list, ports};
use crate::checkpoint::workload::{BESIDE, CHECKPOINT_OF, WORKLOAD, text};

/// What a static pod may not have, or nobody would read.
const DROPPED: [&str; 16] = [
    "affinity",
    "ephemeralContainers",
    "evictionResponders",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "overhead",
    "readinessGates",
    "resourceClaims",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "schedulingGroup",
    "serviceAccount",
    "serviceAccountName",
    "topologySpreadConstraints",
];

/// By these the pod's controller tells its pods apart; a checkpoint is not one of them.
const CONTROLLERS_LABELS: [&str; 3] = [
    "controller-revision-hash",
    "pod-template-generation",
    "pod-template-hash",
];

/// Takes from a pod's spec what a checkpoint cannot have.
pub(super) fn spec(spec: &mut Map<String, Value>, notes: &mut Vec<String>) {
    let secrets = spec.get("imagePullSecrets").map_or(&[][..], list);
    if !secrets.is_empty() {
        notes.push(
            "its images may be pulled with imagePullSecrets; where the kubelet pulled them so, it does not start them for \
             a pod without, unless its imagePullCredentialsVerificationPolicy says so"
                .to_owned(),
        );
    }
    for field in DROPPED {
        spec.remove(field);
    }
    spec.insert("automountServiceAccountToken".into(), false.into());
    // Links come from the Services that the kubelet happens to know: each start would have others.
    spec.insert("enableServiceLinks".into(), false.into());
    tolerate_everything(spec);
    for container in containers_mut(spec) {
        // The registry may be away with the API, or behind it.
        if container.get("imagePullPolicy").map(text) != Some("Never") {
            container.insert("imagePullPolicy".into(), "IfNotPresent".into());
        }
    }
    ports::drop_on_host_network(spec);
}

fn tolerate_everything(spec: &mut Map<String, Value>) {
    let everything = json!({ "operator": "Exists" });
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    if let Some(tolerations) = tolerations.as_array_mut()
        && !tolerations.contains(&everything)
    {
        tolerations.push(everything);
    }
}

/// The kept manifest.
pub(super) fn pod(given: &Given<'_>, spec: Map<String, Value>, data: &str) -> Value {
    let metadata = &given.pod["metadata"];
    let workload = given.workload;
    let mut annotations = json!({
        CHECKPOINT_OF: metadata["name"],
        WORKLOAD: format!("{}/{}", workload.kind, workload.name),
        DATA: data,
    });
    for name in [ARGUMENTS, ARGUMENTS_CLOSED, BESIDE] {
        if let Some(said) = metadata["annotations"][name].as_str() {
            annotations[name] = said.into();
        }
    }
    let labels = metadata["labels"].as_object().into_iter().flatten();
    let labels: Map<_, _> = labels
        .filter(|(name, _)| !CONTROLLERS_LABELS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": annotations,
        },
    });
    pod["spec"] = spec.into();
    pod
}
