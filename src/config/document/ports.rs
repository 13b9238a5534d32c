//! Ports of a node that belong to somebody already. Two that listen on one port are a launch that waits
//! for the second for ever, so it is said before anything is written.

/// What listens on every address, on the node's or on loopback, and who. The API server is not among
/// them: its port is the document's.
const TAKEN: [(u16, &str); 16] = [
    (2379, "etcd"),
    (2380, "etcd"),
    (2381, "etcd's metrics"),
    (8081, "flannel's health"),
    (8082, "flannel's checkpoint"),
    (KUBELET_HEALTH, "the kubelet's health"),
    (10249, "kube-proxy's metrics"),
    (10250, "the kubelet"),
    (10256, "kube-proxy's health"),
    (10257, "kube-controller-manager"),
    (10259, "kube-scheduler"),
    (10260, "pod-checkpointer"),
    (10261, "slipway-checkpoint.service"),
    (10356, "kube-proxy's checkpoint"),
    (10357, "kube-controller-manager's checkpoint"),
    (10359, "kube-scheduler's checkpoint"),
];
/// The kubelet's own, unless the document moves it.
pub const KUBELET_HEALTH: u16 = 10248;

/// A port that nobody else needs.
pub fn free(number: i64) -> Result<u16, String> {
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    let port = port.ok_or_else(|| format!("{number} is not a port; use 1 to 65535"))?;
    match TAKEN.iter().find(|(taken, _)| *taken == port) {
        Some((_, user)) => Err(format!(
            "{port} is taken by {user} on this node; use another"
        )),
        None => Ok(port),
    }
}
