//! What a kubelet asks to serve with: its own name and addresses, and nothing else.

use std::net::IpAddr;

use serde_json::Value;

use super::{
    Finding, check, check_known, is_control_plane, is_in, name_of, node_of, read, usages_fit,
};
use crate::checkpoint::cluster::policy::Policy;
use crate::config::quote;
use crate::pki::csr::Request;

/// Judges a request's `spec`.
pub fn judge(spec: &Value, policy: &Policy, nodes: &[Value]) -> Result<String, Finding> {
    let user = spec["username"].as_str().unwrap_or_default();
    let node = requester(user, spec)?;
    check_known(node, policy)?;
    usages_fit(&spec["usages"], "server auth")?;
    let own = node_of(node, nodes).ok_or_else(|| Finding {
        reason: "NoSuchNode",
        message: format!("there is no Node {node} yet; its kubelet asks again when there is"),
    })?;
    // The control plane's own kubelet stands beside the API server and its key.
    let may = is_control_plane(node, policy, nodes) || !policy.is_reserved_name(node);
    check(may, "ReservedName", || {
        format!("{node} is a name of the API server")
    })?;
    let request = read(spec)?;
    names_fit(&request, user, node)?;
    for address in &request.addresses {
        address_fits(*address, own, policy, nodes)?;
    }
    let addresses = request.addresses.iter().map(IpAddr::to_string);
    let names: Vec<_> = request.dns_names.iter().cloned().chain(addresses).collect();
    Ok(format!("node {node} serves as {}", names.join(", ")))
}

/// The name of the node whose kubelet asks. The API server wrote down who asked: `username` and `groups`
/// are what it authenticated.
fn requester<'a>(user: &'a str, spec: &Value) -> Result<&'a str, Finding> {
    let is_node = is_in("system:nodes", spec);
    match user
        .strip_prefix("system:node:")
        .filter(|name| is_node && !name.is_empty())
    {
        Some(node) => Ok(node),
        None => Err(Finding {
            reason: "NoNode",
            message: format!(
                "{user} is no node; a kubelet asks for its own serving certificate itself"
            ),
        }),
    }
}

fn names_fit(request: &Request, user: &str, node: &str) -> Result<(), Finding> {
    let subject = (&*request.common_name, &*request.organization);
    check(subject == (user, "system:nodes"), "ForeignSubject", || {
        let (name, organization) = subject;
        format!(
            "{user} asks for the subject CN={}, O={}; its own is CN={user:?}, O=\"system:nodes\"",
            quote(name),
            quote(organization)
        )
    })?;
    let foreign = request.dns_names.iter().find(|name| *name != node);
    check(foreign.is_none(), "ForeignName", || {
        let foreign = foreign.map(String::as_str).unwrap_or_default();
        let foreign = quote(foreign);
        format!("node {node} asks for the name {foreign}; it may have its own only")
    })?;
    let named = !(request.dns_names.is_empty() && request.addresses.is_empty());
    check(named, "NoNames", || {
        format!("node {node} asks for no name and no address")
    })
}

/// An address that is nobody else's: neither every machine's, nor the API server's, nor another node's.
fn address_fits(
    address: IpAddr,
    node: &Value,
    policy: &Policy,
    nodes: &[Value],
) -> Result<(), Finding> {
    let name = name_of(node);
    check(is_one_machines(address), "ReservedAddress", || {
        format!("node {name} asks for {address}, which is no one machine's")
    })?;
    check(policy.has_address(address), "AddressOutOfRange", || {
        let networks = policy.networks();
        format!(
            "node {name} asks for {address}, which is in none of the machine document's nodes.addresses ({networks})"
        )
    })?;
    let may = is_control_plane(name, policy, nodes) || !policy.is_reserved_address(address);
    check(may, "ReservedAddress", || {
        format!("node {name} asks for {address}, which is an address of the API server")
    })?;
    let rank = |node| rank(node, policy, nodes);
    let prior = nodes.iter().find(|other| {
        let is_prior = !claims(node, address) || rank(other) < rank(node);
        name_of(other) != name && claims(other, address) && is_prior
    });
    check(prior.is_none(), "ForeignAddress", || {
        let owner = prior.map(name_of).unwrap_or_default();
        format!(
            "node {name} asks for {address}, which is an address of node {owner}, whose claim comes first \
             (the control plane's, then the older Node's); if that one is gone, delete its Node"
        )
    })
}

/// Who of two that claim one address has it: least first. A kubelet writes its addresses itself, but
/// neither the label nor when its Node was made; so a newcomer cannot take what an older node has.
fn rank<'a>(node: &'a Value, policy: &Policy, nodes: &[Value]) -> (bool, &'a str, &'a str) {
    let name = name_of(node);
    let made = node["metadata"]["creationTimestamp"].as_str();
    let is_follower = !is_control_plane(name, policy, nodes);
    (is_follower, made.unwrap_or_default(), name)
}

/// Whether packets to an address can mean one machine, wherever they come from.
fn is_one_machines(address: IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(is_link_local || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

fn claims(node: &Value, address: IpAddr) -> bool {
    let addresses = node["status"]["addresses"].as_array();
    addresses.into_iter().flatten().any(|entry| {
        let claimed = entry["address"].as_str().unwrap_or_default();
        claimed
            .parse::<IpAddr>()
            .is_ok_and(|claimed| claimed.to_canonical() == address)
    })
}
