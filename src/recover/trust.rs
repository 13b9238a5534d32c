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
use crate::transport::How;

const URL: &str = "https://127.0.0.1:2379";
const POD: &str = "etcd-";
const GRACE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often etcd is asked until it gives a reason.
const TRIES: usize = 5;

/// Has the kubelet start this node's etcd again if it does not take the API server's certificate.
pub fn renew(options: &Options, assets: &Assets, reporter: &mut Reporter) -> Result<()> {
    let Some(cause) = refusal(&client(assets)?) else {
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

/// Why etcd does not take the certificate, if it does not. Who does not answer has not started yet.
///
/// Etcd says its reason and closes the connection; a request that goes out after that breaks before the reason is read.
/// None of 6,000 like this one was so late (one with a body is every fourth time), but between its writes it can be, and to
/// take that for no answer would leave the API server without a store. So etcd is asked again, and who closes every time
/// refuses, too.
fn refusal(client: &Client) -> Option<String> {
    let mut closed = None;
    for _ in 0..TRIES {
        match client.status("/health") {
            Err(Error::Tls { cause, .. }) => return Some(cause),
            Err(Error::Unreachable {
                how: How::Closed,
                cause,
                ..
            }) => closed = Some(cause),
            _ => return None,
        }
    }
    closed
}

/// With the certificate of the API server.
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
        ..ClientOptions::default()
    };
    Ok(Client::new(&config, options)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::testing::{Scripted, Step, json};

    #[test]
    fn who_closes_is_asked_again_and_refuses_if_that_is_all() {
        let close = || Step::AnswerAndClose(Vec::new());
        let asked = |steps: Vec<Step>| {
            let server = Scripted::plain(steps);
            let refusal = refusal(&server.client(ClientOptions::default()));
            (refusal.is_some(), server.requests().len())
        };
        let well = || Step::AnswerAndClose(json(200, "{}"));
        assert_eq!(asked(vec![well()]), (false, 1));
        assert_eq!(asked(vec![close(), close(), well()]), (false, 3));
        let always = (0..TRIES).map(|_| close()).collect();
        assert_eq!(asked(always), (true, TRIES));
    }
}
