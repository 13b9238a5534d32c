//! The approver's judgement: one request, the policy and the Nodes there are make one verdict.
//!
//! A node's kubelet asks for a certificate of its own name and addresses, and for nothing else; what a
//! certificate of another's address would let it do is answer in that kubelet's place when the API
//! server asks for logs, or opens a shell. So what is not beyond doubt is denied, with words that a
//! person can act on, and never left pending: a pending request says nothing.

use std::net::IpAddr;

use serde_json::Value;

use super::policy::Policy;
use crate::config::{names, quote};
use crate::pki::csr::{self, Request};

/// The only signer whose requests are judged.
pub const SIGNER: &str = "kubernetes.io/kubelet-serving";
/// The reason of every approval.
pub const APPROVED: &str = "SlipwayKubeletServing";

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is another signer's, or decided already.
    Ignore,
    /// It is approved; says of what.
    Approve(String),
    /// It is denied.
    Deny(Refusal),
}

/// Why a request is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One CamelCase word.
    pub reason: &'static str,
    /// A sentence with what was asked for, and what would have been right.
    pub message: String,
}

/// Judges a CertificateSigningRequest (certificates.k8s.io/v1).
pub fn decide(csr: &Value, policy: &Policy, nodes: &[Value]) -> Verdict {
    if !is_open(csr) {
        return Verdict::Ignore;
    }
    match judge(&csr["spec"], policy, nodes) {
        Ok(what) => Verdict::Approve(what),
        Err(refusal) => Verdict::Deny(refusal),
    }
}

/// Whether the request waits for somebody to decide, and it is us.
pub fn is_open(csr: &Value) -> bool {
    let decided = ["Approved", "Denied", "Failed"];
    let conditions = csr["status"]["conditions"].as_array();
    csr["spec"]["signerName"] == SIGNER
        && !conditions.into_iter().flatten().any(|condition| {
            let kind = condition["type"].as_str().unwrap_or_default();
            decided.contains(&kind)
        })
}

fn judge(spec: &Value, policy: &Policy, nodes: &[Value]) -> Result<String, Refusal> {
    let user = spec["username"].as_str().unwrap_or_default();
    let node = requester(user, &spec["groups"])?;
    is_a_name(node)?;
    let known = policy.has_name(node);
    check(known, "UnknownNode", || {
        format!(
            "{node} is none of the machine document's nodes.names ({})",
            policy.names()
        )
    })?;
    check(usages_fit(&spec["usages"]), "UnexpectedUsages", || {
        format!(
            "usages {}; a kubelet's serving certificate is for \"digital signature\" and \"server auth\", \
             with RSA also \"key encipherment\", and for nothing else",
            spec["usages"]
        )
    })?;
    let request = read(spec)?;
    names_fit(&request, user, node)?;
    for address in &request.addresses {
        address_fits(*address, node, policy, nodes)?;
    }
    let addresses = request.addresses.iter().map(IpAddr::to_string);
    let names: Vec<_> = request.dns_names.iter().cloned().chain(addresses).collect();
    Ok(format!("node {node} serves as {}", names.join(", ")))
}

fn check(
    good: bool,
    reason: &'static str,
    message: impl FnOnce() -> String,
) -> Result<(), Refusal> {
    match good {
        true => Ok(()),
        false => Err(Refusal {
            reason,
            message: message(),
        }),
    }
}

/// The name of the node whose kubelet asks. The API server wrote down who asked: `username` and `groups`
/// are what it authenticated.
fn requester<'a>(user: &'a str, groups: &Value) -> Result<&'a str, Refusal> {
    let is_node = groups
        .as_array()
        .is_some_and(|groups| groups.iter().any(|group| group == "system:nodes"));
    match user
        .strip_prefix("system:node:")
        .filter(|name| is_node && !name.is_empty())
    {
        Some(node) => Ok(node),
        None => Err(Refusal {
            reason: "NoNode",
            message: format!(
                "{user} is no node; a kubelet asks for its own serving certificate itself"
            ),
        }),
    }
}

/// No API server has a Node of another name, but users of any name can be made; and what stands in a
/// certificate is read by others, who take a star for every name.
fn is_a_name(node: &str) -> Result<(), Refusal> {
    names::node(node).map(drop).map_err(|error| Refusal {
        reason: "NoNodeName",
        message: format!("{} is no node's name: {error}", quote(node)),
    })
}

/// The two sets that the signer accepts too (ValidateKubeletServingCSR in pkg/apis/certificates).
fn usages_fit(usages: &Value) -> bool {
    let usages = usages.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut usages: Vec<_> = usages
        .iter()
        .map(|usage| usage.as_str().unwrap_or_default())
        .collect();
    usages.sort_unstable();
    usages == ["digital signature", "server auth"]
        || usages == ["digital signature", "key encipherment", "server auth"]
}

fn read(spec: &Value) -> Result<Request, Refusal> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let encoded = spec["request"].as_str().unwrap_or_default();
    let pem = STANDARD.decode(encoded).unwrap_or_default();
    csr::parse(&pem).map_err(|error| Refusal {
        reason: "UnexpectedRequest",
        message: format!("the request is not what a kubelet writes: {error:#}"),
    })
}

fn names_fit(request: &Request, user: &str, node: &str) -> Result<(), Refusal> {
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

fn address_fits(
    address: IpAddr,
    node: &str,
    policy: &Policy,
    nodes: &[Value],
) -> Result<(), Refusal> {
    check(policy.has_address(address), "AddressOutOfRange", || {
        let networks = policy.networks();
        format!(
            "node {node} asks for {address}, which is in none of the machine document's nodes.addresses ({networks})"
        )
    })?;
    let owner = nodes.iter().find_map(|other| {
        let name = other["metadata"]["name"].as_str()?;
        (name != node && claims(other, address)).then_some(name)
    });
    check(owner.is_none(), "ForeignAddress", || {
        let owner = owner.unwrap_or_default();
        format!(
            "node {node} asks for {address}, which is an address of node {owner}; if that one is gone, delete its Node"
        )
    })
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

#[cfg(test)]
mod tests;
