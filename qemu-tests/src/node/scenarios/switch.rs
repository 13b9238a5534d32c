//! What every cluster of several nodes rests on: a switch that they meet at, and nobody else.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::node::native::{Node, NodeSpec};
use crate::node::network::Network;
use crate::node::process::Program;
use crate::scenario::Context;
use crate::wait;

const PORT: &str = "8080";
/// A server takes a moment to listen; so may a neighbour that booted again.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn run(context: &Context) -> Result<()> {
    let network = Network::create(context)?;
    let spec = NodeSpec::default().dual_stack("fd77::2").on(&network);
    let mut here = Node::create(context, spec)?;
    let spec = NodeSpec::new("node-b", "10.77.0.3").dual_stack("fd77::3");
    let mut there = Node::create(context, spec.on(&network))?;
    here.boot()?;
    // Twice: a node that boots again finds its port still taken, and its neighbours remember it.
    for _ in 0..2 {
        there.boot()?;
        fs::write(there.path("/etc/hostname"), "node-b\n")?;
        let server = there.start(&Program::new(["prober", "--serve", PORT]))?;
        for address in ["10.77.0.3", "[fd77::3]"] {
            let url = format!("http://{address}:{PORT}/");
            let answer = wait::until("answer of the other node", PATIENCE, || {
                here.run(&Program::new(["prober", "--get", &url]))?
                    .success()
            })?;
            ensure!(answer == "node-b\n", "{address} is answered by {answer:?}");
        }
        drop(server);
    }
    leads_nowhere(&here)
}

/// A packet to the host's or any other address finds nobody to take it.
fn leads_nowhere(node: &Node) -> Result<()> {
    for address in ["10.77.0.1", "192.0.2.1", "[fd77::1]"] {
        let url = format!("http://{address}:{PORT}/");
        let answer = node.run(&Program::new(["prober", "--get", &url]))?;
        ensure!(
            answer.stderr.contains("cannot connect"),
            "{address} is not nowhere: {answer:?}"
        );
    }
    Ok(())
}
