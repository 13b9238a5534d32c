//! A worker's files: its kubelet's configuration and what it joins with.
//!
//! Nothing is signed here and no clock is asked. The kubelet shows the token to the one API server that
//! `join.authority` proves, is given a client certificate, and later asks for its serving certificate; it
//! renews both itself. The road not taken is discovery by a hash of the authority's key (kubeadm): it saves
//! some lines of the document and costs an exchange with a server that is not trusted yet.

use anyhow::{Context, Result};

use super::{Output, kubeconfig, kubelet};
use crate::assets::Assets;
use crate::config::Machine;
use crate::secret::Secret;

/// What only a worker has in its asset directory.
pub const BOOTSTRAP: &str = "kubelet/bootstrap-kubeconfig";

/// Everything a worker needs.
pub fn render(machine: &Machine, token: &Secret) -> Result<Assets> {
    let join = &machine.join;
    let authority = join.authority.as_ref();
    let server = join.server.as_ref().context("join.server is not there")?;
    let mut out = Output::default();
    out.public(
        "tls/ca.crt",
        authority.context("join.authority is not there")?.as_str(),
    );
    kubelet::render(&mut out, machine, true)?;
    out.private_manifest(
        BOOTSTRAP,
        "What this node joins with; once it has a certificate, /etc/kubernetes/kubeconfig names it.",
        &kubeconfig::bootstrap(machine, &format!("https://{server}"), token)?,
    )?;
    out.finish(machine)
}
