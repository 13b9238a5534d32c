//! What no checkpoint can have, because the kubelet would ask the API for it.
//!
//! The list is that of Kubernetes 1.37's `HasAPIObjectReference` (pkg/api/pod/util.go) without what a copy makes
//! good, and RuntimeClasses, which the kubelet looks up without denying the pod. Volumes go by a list of what
//! works, so that a kind which is new tomorrow is refused.

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use super::{containers, list};
use crate::checkpoint::workload::text;

/// Volumes that the kubelet mounts alone.
const ALONE: [&str; 4] = ["emptyDir", "hostPath", "image", "nfs"];
/// Volumes that a copy makes into folders of the node.
const COPIED: [&str; 4] = ["configMap", "downwardAPI", "projected", "secret"];

/// Refuses a pod that cannot start without the API.
pub(super) fn check(pod: &Value) -> Result<()> {
    let spec = &pod["spec"];
    ensure!(
        !list(&spec["containers"]).is_empty(),
        "it has no containers"
    );
    let class = text(&spec["runtimeClassName"]);
    ensure!(
        class.is_empty(),
        "it names the RuntimeClass {class}, which the kubelet looks up in the API; use the default runtime"
    );
    let claims = list(&spec["resourceClaims"]).iter();
    let used = containers(pod).flat_map(|container| list(&container["resources"]["claims"]));
    if let Some(claim) = claims.chain(used).next() {
        bail!(
            "it names the ResourceClaim {}, which a static pod may not; do without it",
            text(&claim["name"])
        );
    }
    for volume in list(&spec["volumes"]) {
        check_volume(volume)?;
    }
    Ok(())
}

/// What a volume is made of: the name of the one field beside its own name.
pub(super) fn source(volume: &Value) -> &str {
    let mut fields = volume.as_object().into_iter().flatten();
    fields
        .find(|(field, _)| *field != "name")
        .map_or("", |(field, _)| field)
}

fn check_volume(volume: &Value) -> Result<()> {
    let (name, kind) = (text(&volume["name"]), source(volume));
    ensure!(
        ALONE.contains(&kind) || COPIED.contains(&kind),
        "volume {name} is of the kind {kind:?}, which cannot be had without the API; use a hostPath, or take the pod's \
         checkpoint annotation away"
    );
    for source in list(&volume["projected"]["sources"]) {
        check_source(name, source)?;
    }
    Ok(())
}

fn check_source(volume: &str, source: &Value) -> Result<()> {
    for kind in source
        .as_object()
        .into_iter()
        .flatten()
        .map(|(kind, _)| kind)
    {
        match kind.as_str() {
            "configMap" | "downwardAPI" | "secret" | "serviceAccountToken" => {}
            "clusterTrustBundle" if super::is_optional(&source[kind]) => {}
            _ => bail!(
                "volume {volume} projects a {kind}, which only the API can give; do without it, or take the pod's \
                 checkpoint annotation away"
            ),
        }
    }
    Ok(())
}
