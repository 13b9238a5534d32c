//! Etcd's trust in its clients, after its authority was replaced.
//!
//! Etcd reads its own certificate again with every connection, and whom it trusts only when it starts. Nobody can be told
//! apart by whether this run replaced anything, because a run before it may have been killed: so etcd is asked, with the
//! certificate that the API server will show. Its manifest stays where it is: a kubelet that has not read the API since
//! it started ends no static pod whose manifest goes (docs/checkpoints.md, The kubelet's trap), but it starts one again
//! that has ended.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::objects::NAMESPACE;
use super::prepare::Options;
use crate::assets::Assets;
use crate::config::Machine;
use crate::kube::{Client, Config, Error, Options as ClientOptions, kubeconfig};
use crate::node::cri::{CONTAINERD, Runtime, Sandbox};
use crate::node::files::{self, below};
use crate::recovery;
use crate::render::install;
use crate::report::Reporter;
use crate::start::wait::{Look, Wait, until};
use crate::transport::How;

const URL: &str = "https://127.0.0.1:2379";
const GRACE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(10);
/// What etcd trusts, in the asset directory.
const AUTHORITY: &str = "tls/etcd/server-ca.crt";

/// Has the kubelet start this node's etcd again if it does not take the API server's certificate, and waits until it does.
pub fn renew(
    options: &Options,
    machine: &Machine,
    assets: &Assets,
    reporter: &mut Reporter,
) -> Result<()> {
    let client = client(assets)?;
    // A connection that breaks once says nothing.
    if !is_refused(&client) || !is_refused(&client) {
        return Ok(());
    }
    reporter.line("etcd starts again: it does not know its new authority");
    end(&options.root, &machine.node.name)?;
    let wait = Wait {
        what: "etcd knows its new authority",
        deadline: Instant::now() + machine.timeouts.api,
        every: Duration::from_millis(200),
        changes: None,
        next_step: "see whether the kubelet runs (journalctl -u kubelet) and what etcd writes to /var/log/pods; then \
                    run this again",
    };
    until(reporter, wait, |_| {
        Ok(match client.status("/health") {
            Ok((200, _)) => Look::There(()),
            Ok((code, text)) => Look::NotYet(format!("/health says {code}: {text}")),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
}

/// Finishes what a run that was killed began: etcd's new files are in place, and etcd knows nothing of them. Without it
/// nobody could read etcd any more.
pub fn resume(
    options: &Options,
    machine: &Machine,
    earlier: &Assets,
    reporter: &mut Reporter,
) -> Result<()> {
    let is_recovered = earlier.get(recovery::FILE).is_some();
    let (Some(asset), Some(place)) = (earlier.get(AUTHORITY), install::place(AUTHORITY)) else {
        return Ok(());
    };
    let there = files::read_if_there(&below(&options.root, place))?;
    match is_recovered && there.as_deref() == Some(asset.bytes.expose()) {
        true => {
            install::install_files(&without_pod(earlier), &options.root)?;
            renew(options, machine, earlier, reporter)
        }
        false => Ok(()),
    }
}

/// The files of etcd's certificates alone.
fn without_pod(assets: &Assets) -> Assets {
    let mut rest = Assets::default();
    for (path, asset) in assets
        .iter()
        .filter(|(path, _)| path.starts_with("tls/etcd/"))
    {
        rest.insert(path, asset.clone());
    }
    rest
}

/// Ends this node's etcd, if it runs.
pub fn end(root: &Path, node: &str) -> Result<()> {
    let mut runtime = Runtime::new(&below(root, CONTAINERD));
    let name = format!("etcd-{node}");
    let is_ours = |one: &&Sandbox| one.namespace == NAMESPACE && one.name == name && one.ready;
    for sandbox in runtime.sandboxes()?.iter().filter(is_ours) {
        runtime.end(&sandbox.id, GRACE)?;
    }
    Ok(())
}

/// Whether etcd runs and does not take the API server's certificate. With TLS 1.3 the server's refusal may arrive as a
/// connection that is closed.
fn is_refused(client: &Client) -> bool {
    matches!(
        client.status("/health"),
        Err(Error::Tls { .. }
            | Error::Unreachable {
                how: How::Closed,
                ..
            })
    )
}

fn client(assets: &Assets) -> Result<Client> {
    let file = |path: &str| {
        let asset = assets
            .get(path)
            .with_context(|| format!("{path} is missing"));
        asset.map(|asset| asset.bytes.clone())
    };
    let config = Config {
        server: kubeconfig::server(URL)?,
        tls_server_name: None,
        ca_pem: file("tls/etcd-client-ca.crt")?.expose().to_vec(),
        certificate: Some((
            file("tls/etcd-client.crt")?.expose().to_vec(),
            file("tls/etcd-client.key")?,
        )),
        token: None,
    };
    let options = ClientOptions {
        timeout: TIMEOUT,
        ..ClientOptions::probe()
    };
    Ok(Client::new(&config, options)?)
}
