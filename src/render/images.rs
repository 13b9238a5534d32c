//! The container images that manifests name: upstream's own names and tags, so that the manifests
//! run unchanged where a registry is reachable. The payload build makes archives of these names.
//! The machine document may name others: a mirror for all, or a reference for one.

use crate::config::Machine;

/// etcd; holds /usr/local/bin/etcd.
pub const ETCD: &str = "registry.k8s.io/etcd:3.7.3-0";
/// CoreDNS; its entry point is /coredns.
pub const COREDNS: &str = "registry.k8s.io/coredns/coredns:v1.15.0";
/// flannel; holds /opt/bin/flanneld, and `cp` on its PATH for the init container.
pub const FLANNEL: &str = "ghcr.io/flannel-io/flannel:v0.28.10";
/// The sandbox image that containerd pins.
pub const PAUSE: &str = "registry.k8s.io/pause:3.10.1";
/// slipway itself; its entry point is /usr/bin/slipway.
pub const SLIPWAY: &str = concat!("ghcr.io/slipway-dev/slipway:v", env!("CARGO_PKG_VERSION"));

/// The image of a Kubernetes component, e.g. `kube-apiserver`, which lies in /usr/local/bin;
/// `version` has no leading `v`.
pub fn kubernetes(component: &str, version: &str) -> String {
    format!("registry.k8s.io/{component}:v{version}")
}

/// The image of one of [`crate::config::IMAGES`], as the document wants it.
pub fn of(machine: &Machine, component: &str) -> String {
    let images = &machine.images;
    if let Some(reference) = images.references.get(component) {
        return reference.clone();
    }
    let reference = match component {
        "etcd" => ETCD.to_owned(),
        "coredns" => COREDNS.to_owned(),
        "flannel" => FLANNEL.to_owned(),
        "slipway" => SLIPWAY.to_owned(),
        _ => kubernetes(component, &machine.kubernetes_version),
    };
    match (&images.registry, reference.rsplit_once('/')) {
        (Some(registry), Some((_, name))) => format!("{registry}/{name}"),
        _ => reference,
    }
}
