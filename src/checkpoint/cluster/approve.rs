//! The approver's judgement: one request, the policy and the Nodes there are make one verdict.
//!
//! A node's kubelet asks for a certificate of its own name and addresses, and for nothing else; what a
//! certificate of another's address would let it do is answer in that kubelet's place when the API
//! server asks for logs, or opens a shell. Who shows a bootstrap token asks for a client certificate
//! of the node that it is to be; of another's name, that would be the right to read the Secrets of that
//! node's pods. Kubernetes' own approver looks at no names, so it has no say in that. What is not
//! beyond doubt is denied, with words that a person can act on, and not left pending: a pending request
//! says nothing. One doubt passes by itself: whether a node that joins under the name of another is that
//! one, installed anew.

mod joining;
mod serving;

use serde_json::Value;

use super::policy::Policy;
use crate::assets::CONTROL_PLANE_LABEL;
use crate::config::{names, quote};
use crate::pki::TOKEN_GROUP;
use crate::pki::csr::{self, Request};

/// The signer whose requests are all judged.
const SERVING: &str = "kubernetes.io/kubelet-serving";
/// Of this one, those of token holders; nodes that renew are the controller-manager's.
const CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is another signer's, or decided already.
    Ignore,
    /// It is approved.
    Approve(Finding),
    /// It may be approved later; says what for.
    Wait(String),
    /// It is denied.
    Deny(Finding),
}

/// Why a request is approved or denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// One CamelCase word.
    pub reason: &'static str,
    /// A sentence with what was asked for, and what would have been right instead.
    pub message: String,
}

/// Judges a CertificateSigningRequest (certificates.k8s.io/v1).
pub fn decide(csr: &Value, policy: &Policy, nodes: &[Value]) -> Verdict {
    if !is_open(csr) {
        return Verdict::Ignore;
    }
    let spec = &csr["spec"];
    let (reason, judged) = match spec["signerName"] == SERVING {
        true => ("SlipwayKubeletServing", serving::judge(spec, policy, nodes)),
        false => ("SlipwayNodeClient", joining::judge(spec, policy, nodes)),
    };
    match judged {
        Ok(message) => Verdict::Approve(Finding { reason, message }),
        Err(refusal) if refusal.reason == joining::NOT_YET => Verdict::Wait(refusal.message),
        Err(refusal) => Verdict::Deny(refusal),
    }
}

/// Whether the request waits for somebody to decide, and it is us.
pub fn is_open(csr: &Value) -> bool {
    let decided = ["Approved", "Denied", "Failed"];
    let conditions = csr["status"]["conditions"].as_array();
    let spec = &csr["spec"];
    let is_ours = match spec["signerName"].as_str() {
        Some(SERVING) => true,
        Some(CLIENT) => is_in(TOKEN_GROUP, spec),
        _ => false,
    };
    is_ours
        && !conditions.into_iter().flatten().any(|condition| {
            let kind = condition["type"].as_str().unwrap_or_default();
            decided.contains(&kind)
        })
}

/// Whether the requester is of a group, on the API server's word.
fn is_in(group: &str, spec: &Value) -> bool {
    let groups = spec["groups"].as_array();
    groups.into_iter().flatten().any(|known| known == group)
}

fn check(
    good: bool,
    reason: &'static str,
    message: impl FnOnce() -> String,
) -> Result<(), Finding> {
    match good {
        true => Ok(()),
        false => Err(Finding {
            reason,
            message: message(),
        }),
    }
}

/// No API server has a Node of another name, but users of any name can be made; and what stands in a
/// certificate is read by others, who take a star for every name.
fn check_known(node: &str, policy: &Policy) -> Result<(), Finding> {
    names::node(node).map_err(|error| Finding {
        reason: "NoNodeName",
        message: format!("{} is no node's name: {error}", quote(node)),
    })?;
    check(policy.has_name(node), "UnknownNode", || {
        format!(
            "{node} is none of the machine document's nodes.names ({})",
            policy.names()
        )
    })
}

/// The two sets that the signers accept too (ValidateKubeletServingCSR and ValidateKubeletClientCSR in
/// pkg/apis/certificates): the second is for an RSA key.
fn usages_fit(usages: &Value, purpose: &str) -> Result<(), Finding> {
    let asked = usages.as_array().map(Vec::as_slice).unwrap_or_default();
    let asks = |usage: &str| asked.iter().filter(|asked| *asked == usage).count();
    let needed = asks("digital signature") == 1 && asks(purpose) == 1;
    let fit = needed && asked.len() == 2 + asks("key encipherment").min(1);
    check(fit, "UnexpectedUsages", || {
        format!(
            "usages {usages}; a kubelet's certificate is for \"digital signature\" and \"{purpose}\", \
             with RSA also \"key encipherment\", and for nothing else"
        )
    })
}

fn read(spec: &Value) -> Result<Request, Finding> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let encoded = spec["request"].as_str().unwrap_or_default();
    let pem = STANDARD.decode(encoded).unwrap_or_default();
    csr::parse(&pem).map_err(|error| Finding {
        reason: "UnexpectedRequest",
        message: format!("the request is not what a kubelet writes: {error:#}"),
    })
}

/// The Node of that name.
fn node_of<'a>(name: &str, nodes: &'a [Value]) -> Option<&'a Value> {
    nodes.iter().find(|node| name_of(node) == name)
}

fn name_of(node: &Value) -> &str {
    node["metadata"]["name"].as_str().unwrap_or_default()
}

/// Whether a node carries the control plane: by the document, or by the label, which no kubelet may set.
fn is_control_plane(name: &str, policy: &Policy, nodes: &[Value]) -> bool {
    let is_labelled = |node: &Value| !node["metadata"]["labels"][CONTROL_PLANE_LABEL].is_null();
    policy.is_control_plane(name) || node_of(name, nodes).is_some_and(is_labelled)
}

#[cfg(test)]
mod tests;
