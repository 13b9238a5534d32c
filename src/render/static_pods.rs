//! `controlPlane: static`: the three components as static pods that stay, beside etcd.
//!
//! Each reads a folder of its own on the node, so that the scheduler never sees the authority's key. The
//! kubelet restarts a static pod whose manifest changed and looks at nothing else: a hash over all that a
//! pod reads stands in its annotations, so a renewed certificate is a changed manifest. The road not taken
//! is one folder for all three, as kubeadm has it, and a person who moves manifests away and back.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Container;

use super::Output;
use super::apiserver::static_pod;
use crate::assets::{STATIC_MANIFESTS, named};
use crate::hash::sha256;
use crate::node::static_pods::SECRETS;

/// The annotation with the hash.
const HASH: &str = "slipway.dev/secrets-sha256";

/// Adds a component's manifest. All that it reads has to be among the assets already.
pub fn render(out: &mut Output, name: &str, container: Container) -> Result<()> {
    let mut pod = static_pod(name, container, &format!("{SECRETS}/{name}"));
    let text = serde_json::to_string(&pod).context("cannot serialise a static pod")?;
    let mut read = String::new();
    for (path, asset) in named(out.assets.below("tls/"), &text) {
        read += path;
        read += &sha256(asset.bytes.expose());
    }
    pod.metadata.annotations = Some([(HASH.to_owned(), sha256(read.as_bytes()))].into());
    out.manifest(
        &format!("{STATIC_MANIFESTS}{name}.yaml"),
        "A static pod that stays. The hash is over all that it reads: a renewed certificate changes it,\n\
         and the kubelet starts the pod anew.",
        &pod,
    )
}
