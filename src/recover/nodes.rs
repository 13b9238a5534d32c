//! What the store says of nodes, and what of that is still true: a reading for people, before anything answers.
//!
//! What `start` does about it is judged anew, by Leases that are renewed or not (`start/nodes.rs`).

use serde_json::{Value, json};

use super::objects::Objects;
use crate::assets::CONTROL_PLANE_LABEL;
use crate::checkpoint::workload::text;

/// A node as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its first address; empty if it never had one.
    pub address: String,
    /// Whether it carries the control plane.
    pub is_control_plane: bool,
    /// When its kubelet renewed its Lease last; empty if it never did.
    pub heard: String,
    /// Whether it is the node that the cluster is recovered on.
    pub is_here: bool,
}

/// All nodes, by name.
pub fn nodes(objects: &Objects, here: &str) -> Vec<Node> {
    let all = objects.of("Node").map(|node| {
        let name = text(&node["metadata"]["name"]);
        Node {
            name: name.to_owned(),
            address: address(node),
            is_control_plane: !node["metadata"]["labels"][CONTROL_PLANE_LABEL].is_null(),
            heard: heard(objects, name),
            is_here: name == here,
        }
    });
    all.collect()
}

fn address(node: &Value) -> String {
    let mut all = node["status"]["addresses"].as_array().into_iter().flatten();
    let internal = all.find(|one| one["type"] == "InternalIP");
    internal.map_or(String::new(), |one| text(&one["address"]).to_owned())
}

fn heard(objects: &Objects, name: &str) -> String {
    let mut leases = objects.of("Lease");
    let own = leases.find(|lease| {
        lease["metadata"]["namespace"] == "kube-node-lease" && lease["metadata"]["name"] == name
    });
    own.map_or(String::new(), |lease| {
        text(&lease["spec"]["renewTime"]).to_owned()
    })
}

impl Node {
    /// For a person, e.g. `node-a (192.0.2.1, control plane), last heard of at 2026-11-30T09:00:00Z`.
    pub fn text(&self) -> String {
        let Self { name, address, .. } = self;
        let role = if self.is_control_plane {
            ", control plane"
        } else {
            ""
        };
        let heard = match self.heard.as_str() {
            "" => "never heard of".to_owned(),
            at => format!("last heard of at {at}"),
        };
        let here = if self.is_here { " · this node" } else { "" };
        format!("{name} ({address}{role}), {heard}{here}")
    }

    /// For a program.
    pub fn json(&self) -> Value {
        json!({
            "name": self.name,
            "address": self.address,
            "controlPlane": self.is_control_plane,
            "lastHeard": self.heard,
            "here": self.is_here,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_nodes() {
        let mut objects = Objects::default();
        objects.add(json!({
            "kind": "Node", "metadata": { "name": "node-a", "labels": { CONTROL_PLANE_LABEL: "" } },
            "status": { "addresses": [
                { "type": "Hostname", "address": "node-a" }, { "type": "InternalIP", "address": "192.0.2.1" },
            ] },
        }));
        objects.add(json!({ "kind": "Node", "metadata": { "name": "worker" } }));
        objects.add(json!({
            "kind": "Lease", "metadata": { "namespace": "kube-node-lease", "name": "node-a" },
            "spec": { "renewTime": "then" },
        }));
        let texts: Vec<_> = nodes(&objects, "node-a").iter().map(Node::text).collect();
        assert_eq!(
            texts,
            [
                "node-a (192.0.2.1, control plane), last heard of at then · this node",
                "worker (), never heard of"
            ]
        );
    }
}
