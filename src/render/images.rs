//! The container images that manifests name: upstream's own names and tags, so that the manifests
//! run unchanged where a registry is reachable. The payload build makes archives of these names.

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
