//! `slipway checkpoint`: from its options to its room.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};

use super::parse::Words;
use super::run::output;
use crate::checkpoint::cluster::{self, Lists, Options, Policy};
use crate::exit::{Exit, WithExit, fail};
use crate::report::Reporter;

/// Where pods of the control plane have their kubeconfig.
const KUBECONFIG: &str = "/etc/kubernetes/kubeconfig-in-cluster/kubeconfig";
/// Where the probe asks.
const HEALTH: &str = "127.0.0.1:10260";

/// Works in one of its two places until it is told to end.
pub fn run(words: &Words) -> Result<()> {
    match words.arguments()?.as_slice() {
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
