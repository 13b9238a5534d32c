//! What lets another node in: a bootstrap token proves it for a day, a certificate of its own from
//! then on. Each step is bound to the narrowest group that can take it.

use anyhow::Result;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::Output;
use super::checkpointer;
use super::objects::{bind, bind_group, meta};
use crate::pki::{BootstrapToken, Secrets, TOKEN_GROUP};

/// Beginning of the names of roles that are there in every cluster.
const ROLES: &str = "system:certificates.k8s.io";

pub fn render(out: &mut Output, secrets: &Secrets) -> Result<()> {
    out.private_manifest(
        "manifests/kubelet-bootstrap-token.yaml",
        "The token that lets nodes join. Changed from the original: it ends (and is then deleted), and\n\
         belongs to a group of its own, to which the rights to join are bound.",
        &token(secrets.bootstrap_token())?,
    )?;
    out.manifest(
        "manifests/csr-bootstrap-role-binding.yaml",
        "Who holds a token of this cluster may ask for a node's client certificate. Changed from the\n\
         original: not every bootstrap token lets nodes in, and nodes themselves need no binding,\n\
         because the Node authorizer lets them ask.",
        &bind_group("csr-bootstrap", "system:node-bootstrapper", TOKEN_GROUP),
    )?;
    out.manifest(
        "manifests/csr-approver-role-binding.yaml",
        "The checkpointer approves such a request, if the node's name is one of nodes.names and not in use.\n\
         Changed from the original, where controller-manager approved for any token; it looks at no names,\n\
         so a token was as good as the certificate of any node, the control plane's too.",
        &bind(
            "csr-approver",
            &format!("{ROLES}:kube-apiserver-client-kubelet-approver"),
            checkpointer::NAME,
        ),
    )?;
    out.manifest(
        "manifests/csr-renewal-role-binding.yaml",
        "A node may renew its own client certificate, and nobody else's.",
        &bind_group(
            "csr-renewal",
            &format!("{ROLES}:certificatesigningrequests:selfnodeclient"),
            "system:nodes",
        ),
    )
}

/// Its name ends in the token's public half, or the API server does not find it. Only the user is proved by
/// it: signing would publish the cluster's address to whoever asks.
fn token(token: &BootstrapToken) -> Result<Secret> {
    let secret = std::str::from_utf8(token.secret.expose())?;
    let fields = [
        ("auth-extra-groups", TOKEN_GROUP),
        ("description", "Lets nodes join; made by slipway render."),
        ("expiration", &token.expires),
        ("token-id", &token.id),
        ("token-secret", secret),
        ("usage-bootstrap-authentication", "true"),
        ("usage-bootstrap-signing", "false"),
    ];
    let data = fields.map(|(name, value)| (name.to_owned(), ByteString(value.into())));
    Ok(Secret {
        metadata: meta(&format!("bootstrap-token-{}", token.id), "bootstrap-token"),
        data: Some(data.into()),
        type_: Some("bootstrap.kubernetes.io/token".into()),
        ..Default::default()
    })
}
