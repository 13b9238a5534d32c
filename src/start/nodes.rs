//! Which nodes live, when the API tells of a time before it served.
//!
//! After a disaster the API still says what was true before: every node Ready, every pod Running. The original believed
//! it and took its temporary control plane away from under a dead cluster (bootkube#974, #601, #715). A kubelet that
//! lives renews its Lease every ten seconds, so a Lease that nobody has written since the API began to serve tells of a
//! node that may be dead. Revisions are compared, not times: no clock has to be right.
//!
//! This node is not judged so: its containers are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::ready::Here;
use crate::kube::{self, Client};

/// A kubelet renews its Lease every 10 s; the node counts as lost after 40.
pub(crate) const SILENT: Duration = Duration::from_secs(40);
/// Where kubelets' Leases are.
pub(crate) const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// The nodes that the API knows; none of them where it does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes(BTreeMap<String, Node>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    addresses: Vec<String>,
    /// Nobody has heard of it; since when, as the Lease says.
    silent: Option<String>,
}

impl Nodes {
    /// From the Nodes and the Leases of kubelets, seen from here. `own` is this node's name; where nobody knows it, its
    /// address tells it.
    pub fn new(nodes: &[Value], leases: &[Value], here: Here, own: Option<&str>) -> Self {
        let Some(heard) = here.heard else {
            return Self::default();
        };
        let lives = |lease: &&Value| revision(lease).is_some_and(|revision| revision > heard);
        let living: BTreeSet<_> = leases.iter().filter(lives).map(name).collect();
        let address = here.address.to_string();
        let all = nodes.iter().map(|node| {
            let addresses = addresses(node);
            let is_own = own.map_or_else(|| addresses.contains(&address), |own| name(node) == own);
            let is_silent = !living.contains(name(node)) && !is_own;
            let lease = leases.iter().find(|lease| name(lease) == name(node));
            let since = lease.and_then(|lease| lease["spec"]["renewTime"].as_str());
            let silent = is_silent.then(|| since.unwrap_or("it joined").to_owned());
            (name(node).to_owned(), Node { addresses, silent })
        });
        Self(all.collect())
    }

    /// Why what a pod's status says does not count, if so.
    pub(super) fn trouble(&self, pod: &Value) -> Option<String> {
        let name = pod["spec"]["nodeName"].as_str()?;
        let node = self.0.get(name)?;
        if let Some(since) = &node.silent {
            return Some(format!(
                "its pod's node {name} has not been heard of since {since}; if it is gone for good, \
                 `kubectl delete node {name}`"
            ));
        }
        let host = pod["status"]["hostIP"].as_str()?;
        let is_old = !node.addresses.iter().any(|address| address == host);
        is_old.then(|| format!("its status is from when {name} had the address {host}"))
    }

    /// On how many silent nodes there is one of these pods.
    pub(super) fn silent_with<'a>(&self, pods: impl Iterator<Item = &'a Value>) -> usize {
        let on: BTreeSet<_> = pods.filter_map(wanted_node).collect();
        let silent = |name: &&str| self.0.get(*name).is_some_and(|node| node.silent.is_some());
        on.iter().filter(|name| silent(name)).count()
    }

    /// The nodes that nobody has heard of, and since when.
    pub fn silent(&self) -> impl Iterator<Item = (&str, &str)> {
        let nodes = self.0.iter();
        nodes.filter_map(|(name, node)| Some((name.as_str(), node.silent.as_deref()?)))
    }
}

/// What there is of nodes, if it matters which of them live. `own` is this node's name, if that is known: another one may
/// have had its address.
pub fn look(client: &Client, here: Here, own: Option<&str>) -> Result<Nodes, kube::Error> {
    if here.heard.is_none() {
        return Ok(Nodes::default());
    }
    let nodes = client.list("/api/v1/nodes")?.items;
    let leases = client.list(LEASES)?.items;
    Ok(Nodes::new(&nodes, &leases, here, own))
}

/// The node that a pod runs on, or that a DaemonSet's pod is meant for.
fn wanted_node(pod: &Value) -> Option<&str> {
    let spec = &pod["spec"];
    spec["nodeName"].as_str().or_else(|| {
        let terms = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0";
        spec.pointer(terms)?.as_str()
    })
}

fn addresses(node: &Value) -> Vec<String> {
    let all = node["status"]["addresses"].as_array().into_iter().flatten();
    all.filter_map(|one| Some(one["address"].as_str()?.to_owned()))
        .collect()
}

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// An object's revision: resourceVersions are those of etcd, which grow.
pub(super) fn revision(object: &Value) -> Option<u64> {
    object["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use serde_json::json;

    use super::*;

    fn here(heard: Option<u64>) -> Here {
        Here {
            address: "192.0.2.1".parse().unwrap(),
            since: SystemTime::UNIX_EPOCH,
            heard,
            recovers: false,
        }
    }

    fn node(name: &str, address: &str) -> Value {
        json!({ "metadata": { "name": name }, "status": { "addresses": [{ "address": address }] } })
    }

    fn lease(name: &str, revision: &str) -> Value {
        json!({ "metadata": { "name": name, "resourceVersion": revision }, "spec": { "renewTime": "then" } })
    }

    fn nodes(heard: Option<u64>) -> Nodes {
        let all = [
            node("own", "192.0.2.1"),
            node("lives", "192.0.2.2"),
            node("dead", "192.0.2.3"),
            node("never", "192.0.2.4"),
        ];
        let leases = [lease("own", "5"), lease("lives", "11"), lease("dead", "10")];
        Nodes::new(&all, &leases, here(heard), None)
    }

    fn pod(node: &str, host: &str) -> Value {
        json!({ "spec": { "nodeName": node }, "status": { "hostIP": host } })
    }

    #[test]
    fn who_has_written_nothing_since_is_silent() {
        let nodes = nodes(Some(10));
        let silent: Vec<_> = nodes.silent().collect();
        assert_eq!(silent, [("dead", "then"), ("never", "it joined")]);
        assert_eq!(self::nodes(None).silent().count(), 0);
    }

    #[test]
    fn whose_status_counts() {
        for (heard, pod, trouble) in [
            (Some(10), pod("own", "192.0.2.1"), ""),
            (
                Some(10),
                pod("own", "192.0.2.9"),
                "had the address 192.0.2.9",
            ),
            (Some(10), pod("lives", "192.0.2.2"), ""),
            (
                Some(10),
                pod("dead", "192.0.2.3"),
                "not been heard of since then",
            ),
            (Some(10), pod("unknown", "192.0.2.3"), ""),
            (Some(10), json!({}), ""),
            (None, pod("dead", "192.0.2.3"), ""),
        ] {
            let found = nodes(heard).trouble(&pod).unwrap_or_default();
            assert!(found.contains(trouble), "{pod}: {found}");
            assert_eq!(found.is_empty(), trouble.is_empty(), "{pod}: {found}");
        }
    }

    #[test]
    fn a_pod_that_is_meant_for_a_node_counts_there() {
        let meant = json!({ "spec": { "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["never"] }] },
            ] },
        } } } });
        let pods = [meant, pod("dead", ""), pod("dead", ""), pod("own", "")];
        assert_eq!(nodes(Some(10)).silent_with(pods.iter()), 2);
    }
}
