//! What a recovery refuses before it writes anything, each with the way out.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Result, anyhow};

use super::component;
use super::keys;
use super::objects::Objects;
use super::prepare::{Options, Task, is_local};
use super::source::{Found, Source};
use crate::config::machine::ControlPlane;
use crate::exit::{Exit, fail};
use crate::node::files::below;
use crate::recovery::MEMBER;
use crate::secret::Secret;
use crate::transport::Server;

/// The objects of one store beside the data of another, or beside none, would begin an empty cluster under the real
/// authority.
pub fn another_store(options: &Options, task: &Task<'_>) -> Result<()> {
    if !options.is_here || !is_local(task.machine) {
        return Ok(());
    }
    let is_own = |host: &str| {
        let own = |ip: IpAddr| {
            ip.is_loopback() || task.machine.node.addresses().any(|address| address == ip)
        };
        host == "localhost" || host.parse().is_ok_and(own)
    };
    let is_elsewhere = |url: &String| Server::parse(url).is_ok_and(|server| !is_own(&server.host));
    let what = match &options.source {
        Source::Snapshot(..) => return Ok(()),
        Source::Etcd(all, _) if all.iter().flat_map(|one| &one.urls).any(is_elsewhere) => {
            "these objects are another etcd's"
        }
        // Below another root nothing runs: what lies there later is for later.
        _ if options.root == Path::new("/") && !below(&options.root, MEMBER).exists() => {
            "it has no data here"
        }
        _ => return Ok(()),
    };
    Err(fail(
        Exit::Refused,
        anyhow!(
            "the document says that this machine has an etcd of its own, and {what}: a start would begin an empty \
             cluster\nnext step: save a snapshot of the etcd that has the objects, and recover with --snapshot FILE; or \
             name that etcd in the document (etcd: {{external: …}}); or write a directory only, with --recovery-dir DIR"
        ),
    ))
}

/// What the document cannot say would be lost with the first Secret that the API server is given.
pub fn other_encryption(options: &Options, found: &Found) -> Result<()> {
    let own = keys::encryption(&found.understood.objects);
    let own = own.as_ref().map(Secret::expose);
    let config = options.encryption.as_deref().or(own);
    match options.is_here && config.is_some_and(|config| !keys::is_rendered(config)) {
        false => Ok(()),
        true => Err(fail(
            Exit::Refused,
            anyhow!(
                "the API server's encryption configuration is another than a document can say (one secretbox key for \
                 Secrets, then identity), and without it they could not be read\nnext step: recover with --recovery-dir DIR, \
                 put that configuration into DIR/tls/encryption.yaml and into the Secret of DIR/manifests, and start from there"
            ),
        )),
    }
}

/// A control plane is recovered as what it was.
pub fn conversion(task: &Task<'_>, objects: &Objects) -> Result<()> {
    let is_static = task.machine.control_plane == ControlPlane::Static;
    match is_static && component::find(objects, "kube-apiserver").is_some() {
        false => Ok(()),
        true => Err(fail(
            Exit::Refused,
            anyhow!(
                "the document says controlPlane: static, and the cluster's control plane is self-hosted\nnext step: write \
                 controlPlane: self-hosted in the document"
            ),
        )),
    }
}

pub fn forgetting_itself(options: &Options, task: &Task<'_>) -> Result<()> {
    let here = &task.machine.node.name;
    match options.forget_nodes.iter().any(|name| name == here) {
        false => Ok(()),
        true => Err(fail(
            Exit::Refused,
            anyhow!("--forget-node {here}: this node is named so; leave it out"),
        )),
    }
}
