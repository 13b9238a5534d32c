//! What a token holder asks for: to be a node, of a name that the cluster expects and no other has.

use serde_json::Value;

use super::{Finding, check, check_known, is_control_plane, node_of, read, usages_fit};
use crate::checkpoint::cluster::policy::Policy;
use crate::config::quote;

/// The reason of a refusal that passes.
pub const NOT_YET: &str = "NodeIsReady";

/// Judges a request's `spec`.
pub fn judge(spec: &Value, policy: &Policy, nodes: &[Value]) -> Result<String, Finding> {
    let user = spec["username"].as_str().unwrap_or_default();
    let is_token = user.starts_with("system:bootstrap:");
    check(is_token, "NoToken", || {
        format!("{user} is in the group of bootstrap tokens, but shows none")
    })?;
    usages_fit(&spec["usages"], "client auth")?;
    let request = read(spec)?;
    let (name, group) = (&request.common_name, &request.organization);
    let node = name.strip_prefix("system:node:");
    let node = node.filter(|_| group == "system:nodes").ok_or_else(|| Finding {
        reason: "ForeignSubject",
        message: format!(
            "{user} asks for the subject CN={}, O={}; a token lets in nodes only: CN=system:node:NAME, O=system:nodes",
            quote(name),
            quote(group)
        ),
    })?;
    check_known(node, policy)?;
    let is_bare = request.dns_names.is_empty() && request.addresses.is_empty();
    check(is_bare, "UnexpectedNames", || {
        format!("{user} asks for names and addresses of {node}; a client has none")
    })?;
    is_free(node, policy, nodes)?;
    Ok(format!("node {node} joins with the token of {user}"))
}

/// Who holds a token must not become a node that somebody is already. A worker that was installed anew,
/// or got a new authority, asks under its old name: it is let in when its old self is heard no more.
fn is_free(node: &str, policy: &Policy, nodes: &[Value]) -> Result<(), Finding> {
    let carries = is_control_plane(node, policy, nodes);
    check(!carries, "ControlPlane", || {
        format!("{node} carries the control plane, whose certificates come from slipway render")
    })?;
    check(!policy.is_reserved_name(node), "ReservedName", || {
        format!("{node} is a name of the API server")
    })?;
    let is_ready = node_of(node, nodes).is_some_and(|there| {
        let conditions = there["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    });
    check(!is_ready, NOT_YET, || {
        format!(
            "somebody asks to join as {node}, which is ready; waiting until it is not, or its Node is deleted"
        )
    })
}
