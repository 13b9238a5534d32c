//! What lets another node in: a bootstrap token proves it for a day, a certificate of its own from
//! then on. Each step is bound to the narrowest group that can take it.

use anyhow::Result;

use super::Output;
use super::objects::bind_group;

/// Tokens of this group, and no others, let nodes in.
pub const GROUP: &str = "system:bootstrappers:slipway:node";
const CSR: &str = "system:certificates.k8s.io:certificatesigningrequests";

pub fn render(out: &mut Output) -> Result<()> {
    out.manifest(
        "manifests/csr-bootstrap-role-binding.yaml",
        "Who holds a token of this cluster may ask for a node's client certificate. Changed from the\n\
         original: not every bootstrap token lets nodes in, and nodes themselves need no binding,\n\
         because the Node authorizer lets them ask.",
        &bind_group("csr-bootstrap", "system:node-bootstrapper", GROUP),
    )?;
    out.manifest(
        "manifests/csr-approver-role-binding.yaml",
        "Such a request is approved without a person. Changed from the original: only for this\n\
         cluster's own tokens, which expire; the original approved for any token, for ever.",
        &bind_group("csr-approver", &format!("{CSR}:nodeclient"), GROUP),
    )?;
    out.manifest(
        "manifests/csr-renewal-role-binding.yaml",
        "A node may renew its own client certificate, and nobody else's.",
        &bind_group(
            "csr-renewal",
            &format!("{CSR}:selfnodeclient"),
            "system:nodes",
        ),
    )
}
