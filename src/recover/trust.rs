//! Etcd's trust in its clients, after its authority was replaced.
//!
//! Etcd reads its own certificate again with every connection, and whom it trusts only when it starts. Nobody can be told
//! apart by whether this run replaced anything, because a run before it may have been killed: so etcd is asked, with the
//! certificate that the API server will show. Its manifest stays where it is: a kubelet that has not read the API since
//! it started ends no static pod whose manifest goes (docs/checkpoints.md, The kubelet's trap), but it starts one again
//! that has ended.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::prepare::Options;
use crate::assets::Assets;
use crate::kube::{Client, Config, Error, Options as ClientOptions, kubeconfig};
use crate::node::cri::{CONTAINERD, Runtime, Sandbox};
use crate::node::files::{below, read_if_there};
use crate::recovery::FILE;
use crate::report::Reporter;
use crate::start::wait::{Look, Wait, until};

const URL: &str = "https://127.0.0.1:2379";
const POD: &str = "etcd-";
const GRACE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long etcd may take to start again.
const PATIENCE: Duration = Duration::from_secs(120);
/// Whom etcd trusts when it starts.
const INSTALLED: &str = "/etc/kubernetes/etcd/server-ca.crt";

/// Has the kubelet start this node's etcd again if it does not take the API server's certificate.
pub fn renew(options: &Options, assets: &Assets, reporter: &mut Reporter) -> Result<()> {
    let Err(Error::Tls { cause, .. }) = ask(assets)? else {
        return Ok(());
    };
    reporter.line(format!(
        "etcd starts again: it does not know its new authority ({cause})"
    ));
    let mut runtime = Runtime::new(&below(&options.root, CONTAINERD));
    let sandboxes = runtime.sandboxes()?;
    let own = |one: &&Sandbox| one.name.starts_with(POD) && one.runs();
    for sandbox in sandboxes.iter().filter(own) {
        runtime.end(&sandbox.id, GRACE)?;
    }
    Ok(())
}

/// Does what a run that was killed between etcd's files and its new start has left: until then etcd takes nobody's
/// certificate, because those that it trusts are gone. `earlier` is the asset directory that is there.
pub fn finish(options: &Options, earlier: &Assets, reporter: &mut Reporter) -> Result<()> {
    let installed = read_if_there(&below(&options.root, INSTALLED))?;
    let own = earlier.get("tls/etcd-client-ca.crt");
    let own = own.map(|asset| asset.bytes.expose().to_vec());
    if earlier.get(FILE).is_none() || installed.is_none() || installed != own {
        return Ok(());
    }
    renew(options, earlier, reporter)?;
    let wait = Wait {
        what: "etcd takes the API server's certificate",
        deadline: Instant::now() + PATIENCE,
        every: Duration::from_millis(200),
        changes: None,
        next_step: "see whether the kubelet runs (journalctl -u kubelet), then run this again",
    };
    until(reporter, wait, |_| {
        Ok(match ask(earlier)? {
            Ok(()) => Look::There(()),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
}

/// What etcd says to the API server's certificate. Who does not answer has not started yet.
fn ask(assets: &Assets) -> Result<std::result::Result<(), Error>> {
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
        ..ClientOptions::default()
    };
    let client = Client::new(&config, options)?;
    Ok(client.status("/health").map(drop))
}
