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
use crate::kube::{Client, Error};
use crate::node::cri::{CONTAINERD, Runtime, Sandbox};
use crate::node::files::{self, below};
use crate::recovery;
use crate::render::install;
use crate::report::Reporter;
use crate::start::plane::Etcd;
use crate::start::wait::{Look, Wait, until};
use crate::transport::How;

const URL: &str = "https://127.0.0.1:2379";
const GRACE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often etcd is asked until it gives a reason.
const TRIES: usize = 5;
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
    let Some(cause) = refusal(&client) else {
        return Ok(());
    };
    reporter.line(format!(
        "etcd starts again: it does not know its new authority ({cause})"
    ));
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
            // Its pod runs; what it reads is what may be half there.
            let certificates = earlier.only(|path| path.starts_with("tls/etcd/"));
            install::install_files(&certificates, &options.root)?;
            renew(options, machine, earlier, reporter)
        }
        false => Ok(()),
    }
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
        let asset = assets.get(path).cloned();
        asset.with_context(|| format!("{path} is missing"))
    };
    let etcd = Etcd {
        urls: vec![URL.to_owned()],
        tls: Some((
            file("tls/etcd-client-ca.crt")?,
            file("tls/etcd-client.crt")?,
            file("tls/etcd-client.key")?,
        )),
    };
    etcd.client(URL, TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::Options as ClientOptions;
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
