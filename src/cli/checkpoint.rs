//! `slipway checkpoint`: from its options to its room.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use super::parse::Words;
use super::run::{asset_dir, below_root, output, root};
use crate::checkpoint::cluster::{self, Lists, Options, Policy};
use crate::checkpoint::keeper;
use crate::config::Machine;
use crate::exit::{Exit, WithExit, fail};
use crate::metadata;
use crate::node::cri;
use crate::report::Reporter;

/// Where pods of the control plane have their kubeconfig.
const KUBECONFIG: &str = "/etc/kubernetes/kubeconfig-in-cluster/kubeconfig";
/// Where the probe asks, and where the pod asks the node.
const HEALTH: &str = "127.0.0.1:10260";
const NODE_HEALTH: &str = "127.0.0.1:10261";

/// Works in one of its two places until it is told to end.
pub fn run(words: &Words) -> Result<()> {
    match words.arguments()?.as_slice() {
        ["node"] => on_node(words),
        ["cluster"] => in_cluster(words),
        other => Err(fail(
            Exit::Usage,
            anyhow!(
                "checkpoint works in a node or in the cluster, not {:?}; see slipway checkpoint --help",
                other.join(" ")
            ),
        )),
    }
}

fn on_node(words: &Words) -> Result<()> {
    let health = words.text("health-address")?.unwrap_or(NODE_HEALTH);
    let kept = below_root(words, metadata::KEPT);
    let machine = metadata::document(&kept)?.machine;
    let options = keeper::Options {
        root: root(words),
        asset_dir: asset_dir(words),
        node: machine.node.name.clone(),
        loopback: (Ipv4Addr::LOCALHOST, machine.api.port).into(),
        address: (machine.node.address, machine.api.port).into(),
        runtime: runtime(&machine),
        grace: machine.checkpoints.grace_period,
        namespaces: machine.checkpoints.namespaces,
        health: address("health-address", health).exit(Exit::Usage)?,
    };
    let mut reporter = Reporter::new("checkpoint", output(words)?, None);
    keeper::run(&options, &mut reporter)
}

/// The socket that the document gives the kubelet, or containerd's own.
fn runtime(machine: &Machine) -> PathBuf {
    let given = machine.kubelet.config.get("containerRuntimeEndpoint");
    let given = given
        .and_then(Value::as_str)
        .map(|url| url.strip_prefix("unix://").unwrap_or(url));
    given.unwrap_or(cri::CONTAINERD).into()
}

fn in_cluster(words: &Words) -> Result<()> {
    let options = options(words).exit(Exit::Usage)?;
    let mut reporter = Reporter::new("checkpoint", output(words)?, None);
    cluster::run(&options, &mut reporter)
}

fn options(words: &Words) -> Result<Options> {
    let required = |name: &str| {
        let value = words.text(name)?;
        value.with_context(|| format!("checkpoint needs --{name}; see slipway checkpoint --help"))
    };
    let health = words.text("health-address")?.unwrap_or(HEALTH);
    let unit = words.text("node-health")?;
    Ok(Options {
        kubeconfig: words
            .path("kubeconfig")
            .unwrap_or_else(|| KUBECONFIG.into()),
        policy: Policy::parse(&Lists {
            names: required("node-names")?,
            networks: required("node-addresses")?,
            control_plane: required("control-plane-names")?,
            reserved_names: required("forbidden-names")?,
            reserved_addresses: required("forbidden-addresses")?,
        })?,
        health: address("health-address", health)?,
        unit: unit.map(|unit| address("node-health", unit)).transpose()?,
    })
}

fn address(option: &str, text: &str) -> Result<SocketAddr> {
    text.parse()
        .map_err(|_| anyhow!("--{option} is ADDRESS:PORT, not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::parse::{Invocation, parse};
    use super::*;

    fn asked(line: &str) -> Result<Options> {
        let words = format!("checkpoint cluster {line}");
        match parse(words.split_whitespace().map(Into::into))? {
            Invocation::Run(words) => options(&words),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_policy_has_no_default() {
        let nodes = "--node-names a,w-* --node-addresses 10.0.0.0/8";
        let control_plane = "--control-plane-names a --forbidden-names kubernetes";
        let good = format!("{nodes} {control_plane} --forbidden-addresses 10.3.0.1");
        let good = asked(&good).unwrap();
        assert_eq!(good.kubeconfig.to_str(), Some(KUBECONFIG));
        assert_eq!(
            (good.health.to_string().as_str(), good.unit),
            (HEALTH, None)
        );
        assert_eq!(good.policy.names(), "a, w-*");
        for (line, why) in [
            ("", "needs --node-names"),
            ("--node-names a", "needs --node-addresses"),
            (nodes, "needs --control-plane-names"),
            (
                &format!("{nodes} --control-plane-names a"),
                "needs --forbidden-names",
            ),
            (
                &format!("{nodes} {control_plane}"),
                "needs --forbidden-addresses",
            ),
            (
                &format!("{nodes} {control_plane} --forbidden-addresses b"),
                "no network",
            ),
            (
                &format!("{nodes} {control_plane} --forbidden-addresses ::1 --health-address x"),
                "--health-address is ADDRESS:PORT",
            ),
            (
                &format!("{nodes} {control_plane} --forbidden-addresses ::1 --node-health 10261"),
                "--node-health is ADDRESS:PORT",
            ),
        ] {
            let error = format!("{:#}", asked(line).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }
}
