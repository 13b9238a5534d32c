//! `controlPlane: static`: the three components as static pods that stay, beside etcd.
//!
//! Each reads a folder of its own on the node, so that the scheduler never sees the authority's key. The
//! kubelet restarts a static pod whose manifest changed and looks at nothing else: a hash over all that a
//! pod reads stands in its annotations, so a renewed certificate is a changed manifest. The road not taken
//! is one folder for all three, as kubeadm has it, and a person who moves manifests away and back.

use anyhow::Result;
use k8s_openapi::api::core::v1::Container;
use serde_json::{Value, json};

use super::apiserver::static_pod;
use super::workload::SECRETS_ANNOTATION;
use super::{Output, Pending};
use crate::assets::{Assets, STATIC_MANIFESTS, named};
use crate::hash::sha256;
use crate::node::static_pods::SECRETS;

/// Adds a component's manifest.
pub fn render(out: &mut Output, name: &str, container: Container) -> Result<()> {
    out.manifest(
        &format!("{STATIC_MANIFESTS}{name}.yaml"),
        "A static pod that stays. The hash is over all that it reads: a renewed certificate changes it,\n\
         and the kubelet starts the pod anew.",
        &static_pod(name, container, &format!("{SECRETS}/{name}")),
    )
}

/// Notes in each of these manifests the hash over what it reads, once all of that is among the assets.
pub(super) fn hash(assets: &Assets, manifests: &mut [Pending]) {
    for pod in manifests {
        let text = pod.object.to_string();
        let mut read = String::new();
        for (path, asset) in named(assets.below("tls/"), &text) {
            read += path;
            read += &sha256(asset.bytes.expose());
        }
        let metadata = pod
            .object
            .get_mut("metadata")
            .and_then(Value::as_object_mut);
        let annotations = metadata.map(|all| all.entry("annotations").or_insert(json!({})));
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            annotations.insert(
                SECRETS_ANNOTATION.to_owned(),
                json!(sha256(read.as_bytes())),
            );
        }
    }
}
