//! Whose certificates are approved: `nodes:` of the machine document, and what the API server is called,
//! as arguments.

use std::net::IpAddr;

use anyhow::{Context, Result, anyhow};
use ipnet::IpNet;

use crate::config::names;

/// What a node of the cluster may be called, and where it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    names: Vec<String>,
    networks: Vec<IpNet>,
    control_plane: Vec<String>,
    reserved_names: Vec<String>,
    reserved_addresses: Vec<IpNet>,
}

/// The lists that a policy is made of, each separated by commas.
#[derive(Clone, Copy, Debug)]
pub struct Lists<'a> {
    /// Node names, each with at most one `*`.
    pub names: &'a str,
    /// Networks that nodes' addresses are in.
    pub networks: &'a str,
    /// The names of nodes that carry the control plane.
    pub control_plane: &'a str,
    /// Names of the API server, some with a first label `*`.
    pub reserved_names: &'a str,
    /// Addresses of the API server.
    pub reserved_addresses: &'a str,
}

impl Policy {
    /// From its lists.
    pub fn parse(lists: &Lists<'_>) -> Result<Self> {
        let names = split(lists.names);
        for name in &names {
            names::pattern(name).map_err(|error| anyhow!("--node-names: {error}"))?;
        }
        Ok(Self {
            names,
            networks: networks(lists.networks)?,
            control_plane: split(lists.control_plane),
            reserved_names: split(lists.reserved_names),
            reserved_addresses: networks(lists.reserved_addresses)?,
        })
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

    /// Whether a node of that name carries the control plane.
    pub fn is_control_plane(&self, name: &str) -> bool {
        self.control_plane.iter().any(|known| known == name)
    }

    /// Whether clients look for the API server under that name. A certificate's star is one label.
    pub fn is_reserved_name(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.reserved_names.iter().any(|reserved| {
            let below = reserved.strip_prefix("*.");
            reserved == name || (below.is_some() && below == parent)
        })
    }

    /// Whether clients look for the API server at that address.
    pub fn is_reserved_address(&self, address: IpAddr) -> bool {
        let mut reserved = self.reserved_addresses.iter();
        reserved.any(|network| network.contains(&address))
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

fn split(list: &str) -> Vec<String> {
    list.split(',').map(|name| name.trim().to_owned()).collect()
}

fn networks(list: &str) -> Result<Vec<IpNet>> {
    let network = |text: &str| {
        let text = text.trim();
        let address = || text.parse::<IpAddr>().map(|one| one.to_canonical().into());
        let network = text.parse().or_else(|_| address());
        network.with_context(|| format!("{text:?} is no network, e.g. 10.0.2.0/24"))
    };
    list.split(',').map(network).collect()
}

#[cfg(test)]
pub mod testing {
    use super::*;

    /// A cluster with node-a as its control plane.
    pub const LISTS: Lists<'_> = Lists {
        names: "node-a,worker-*",
        networks: "10.0.2.0/24,fd00::/64",
        control_plane: "node-a",
        reserved_names: "kubernetes,api.example.com,*.api.example,node-a,localhost",
        reserved_addresses: "10.0.2.15,10.0.2.100,fd00::100,10.3.0.1,127.0.0.1",
    };

    pub fn policy_of(names: &str, networks: &str) -> Result<Policy> {
        Policy::parse(&Lists {
            names,
            networks,
            ..LISTS
        })
    }
}

#[cfg(test)]
mod tests {
    use super::testing::policy_of;
    use super::*;

    #[test]
    fn names_with_a_star_and_without() {
        let policy = policy_of(
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
    fn what_the_api_server_is_called() {
        let policy = Policy::parse(&testing::LISTS).unwrap();
        for (name, reserved) in [
            ("kubernetes", true),
            ("api.example.com", true),
            ("x.api.example.com", false),
            ("example.com", false),
            ("worker-1.api.example", true),
            ("a.worker-1.api.example", false),
            ("api.example", false),
        ] {
            assert_eq!(policy.is_reserved_name(name), reserved, "{name}");
        }
        for (address, reserved) in [
            ("10.0.2.100", true),
            ("10.0.2.101", false),
            ("fd00::100", true),
        ] {
            let parsed = address.parse().unwrap();
            assert_eq!(policy.is_reserved_address(parsed), reserved, "{address}");
        }
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
            let error = policy_of(names, networks).unwrap_err();
            assert!(format!("{error:#}").contains(why), "{error:#}");
        }
    }
}
