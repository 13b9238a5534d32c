//! Whose serving certificates are approved: `nodes:` of the machine document, as arguments.

use std::net::IpAddr;

use anyhow::{Context, Result, anyhow};
use ipnet::IpNet;

use crate::config::names;

/// What a node of the cluster may be called, and where it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    names: Vec<String>,
    networks: Vec<IpNet>,
}

impl Policy {
    /// From lists separated by commas: node names, each with at most one `*`, and networks.
    pub fn parse(names: &str, networks: &str) -> Result<Self> {
        let names: Vec<_> = names
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect();
        for name in &names {
            names::pattern(name).map_err(|error| anyhow!("--node-names: {error}"))?;
        }
        let network = |text: &str| {
            let text = text.trim();
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            let network = text.parse().or_else(|_| address());
            network.with_context(|| format!("{text:?} is no network, e.g. 10.0.2.0/24"))
        };
        let networks = networks.split(',').map(network).collect::<Result<_>>()?;
        Ok(Self { names, networks })
    }

    /// Whether a node may have that name. A `*` stands for any text, also for none.
    pub fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| names::fits(pattern, name))
    }

    /// Whether a node may have that address.
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    /// The names, for people.
    pub fn names(&self) -> String {
        self.names.join(", ")
    }

    /// The networks, for people.
    pub fn networks(&self) -> String {
        let networks: Vec<_> = self.networks.iter().map(IpNet::to_string).collect();
        networks.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_star_and_without() {
        let policy = Policy::parse(
            "node-a, worker-*,*.edge,a*a",
            "10.0.2.0/24,192.0.2.7,fd00::/64",
        )
        .unwrap();
        let names = [
            "node-a", "worker-1", "worker-", "x.edge", ".edge", "aa", "aba",
        ];
        let others = [
            "node-b",
            "node-a.x",
            "xnode-a",
            "worker",
            "xworker-1",
            "edge",
            "a",
            "",
        ];
        assert!(names.iter().all(|name| policy.has_name(name)));
        for other in others {
            assert!(!policy.has_name(other), "{other}");
        }
        let has = |text: &str| policy.has_address(text.parse().unwrap());
        assert!(
            ["10.0.2.0", "10.0.2.255", "192.0.2.7", "fd00::1"]
                .into_iter()
                .all(has)
        );
        assert!(
            !["10.0.3.0", "192.0.2.8", "fd00:0:0:1::"]
                .into_iter()
                .any(has)
        );
        assert_eq!(policy.networks(), "10.0.2.0/24, 192.0.2.7/32, fd00::/64");
    }

    #[test]
    fn what_is_no_policy() {
        for (names, networks, why) in [
            ("", "10.0.0.0/8", "not a DNS name"),
            ("a,", "10.0.0.0/8", "not a DNS name"),
            ("Worker-*", "10.0.0.0/8", "not a DNS name"),
            ("*-*", "10.0.0.0/8", "more than one"),
            ("a", "", "no network"),
            ("a", "10.0.0.0/33", "no network"),
            ("a", "node-b", "no network"),
        ] {
            let error = Policy::parse(names, networks).unwrap_err();
            assert!(format!("{error:#}").contains(why), "{error:#}");
        }
    }
}
