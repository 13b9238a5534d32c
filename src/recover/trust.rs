//! Etcd's trust in its clients, after its authority was replaced.
//!
//! Etcd reads its own certificate again with every connection, and whom it trusts only when it starts. Nobody can be told
//! apart by whether this run replaced anything, because a run before it may have been killed: so etcd is asked, with the
//! certificate that the API server will show. Its manifest stays where it is: a kubelet that has not read the API since
//! it started ends no static pod whose manifest goes (docs/checkpoints.md, The kubelet's trap), but it starts one again
//! that has ended.

use std::time::Duration;

use anyhow::{Context, Result};

use super::prepare::Options;
use crate::assets::Assets;
use crate::kube::{Client, Config, Error, Options as ClientOptions, kubeconfig};
use crate::node::cri::{CONTAINERD, Runtime, Sandbox};
use crate::node::files::below;
use crate::report::Reporter;

const URL: &str = "https://127.0.0.1:2379";
const POD: &str = "etcd-";
const GRACE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(10);

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
