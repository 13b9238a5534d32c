//! Flags that a component takes or refuses by what stands beside them: another flag, or the cluster's
//! networks. Each was told to a component by somebody, who would learn of it from a crash loop.

use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::config::machine::Cluster;
use crate::config::network::family;
use crate::config::problem::quote;

const MODE: &str = "authorization-mode";
const CONFIG: &str = "authorization-config";
const MASK: &str = "node-cidr-mask-size";
/// How many bits longer than an IPv6 network its shares may be (cidrset's clusterSubnetMaxDiff).
const MOST_BITS: u8 = 16;

/// What is wrong with a flag among its neighbours.
pub fn problem(
    component: &str,
    flag: &str,
    flags: &Map<String, Value>,
    cluster: Option<&Cluster>,
) -> Option<String> {
    match component {
        "kube-apiserver" => authorization(flag, flags),
        "kube-controller-manager" => {
            let family = match flag.strip_prefix(MASK)? {
                "" => None,
                "-ipv4" => Some("IPv4"),
                "-ipv6" => Some("IPv6"),
                _ => return None,
            };
            mask(family, flags.get(flag)?, flags, &cluster?.pod_cidrs)
        }
        _ => None,
    }
}

fn authorization(flag: &str, flags: &Map<String, Value>) -> Option<String> {
    let is_taken_away = flags.get(MODE).is_some_and(Value::is_null);
    let has_config = flags.get(CONFIG).is_some_and(|value| !value.is_null());
    match flag {
        CONFIG if has_config && !is_taken_away => Some(format!(
            "kube-apiserver does not take it together with slipway's --{MODE}; write {MODE}: null beside it, \
             and the modes Node and RBAC into the file"
        )),
        MODE if is_taken_away && !has_config => Some(format!(
            "without it everybody may do everything; give {CONFIG} beside it"
        )),
        _ => None,
    }
}

/// Judges the share of a node: of the networks of a family, or of the only network.
fn mask(
    of: Option<&str>,
    value: &Value,
    flags: &Map<String, Value>,
    nets: &[IpNet],
) -> Option<String> {
    let value = value.as_str()?;
    let is_given = |flag: &str| flags.get(flag).is_some_and(|value| !value.is_null());
    if of.is_none() && nets.len() > 1 {
        return Some(format!(
            "kube-controller-manager does not take it with two pod networks; use {MASK}-ipv4 and {MASK}-ipv6"
        ));
    }
    if of.is_some() && is_given(MASK) {
        return Some(format!(
            "kube-controller-manager does not take it together with {MASK}; keep one of them"
        ));
    }
    let is_of = |net: &&IpNet| of.is_none_or(|of| of == family(net.addr()));
    let Some(net) = nets.iter().find(is_of) else {
        let given = nets.first().map_or("", |net| family(net.addr()));
        return Some(format!(
            "there is no such pod network: cluster.podCIDR is {given}; use {MASK}"
        ));
    };
    let longest = match net {
        IpNet::V4(net) => net.max_prefix_len(),
        IpNet::V6(net) => net.prefix_len() + MOST_BITS,
    };
    match value.parse::<u8>() {
        Ok(mask) if (net.prefix_len()..=longest).contains(&mask) => None,
        _ => Some(format!(
            "{} is no share of cluster.podCIDR {net}; give a number from {} to {longest}",
            quote(value),
            net.prefix_len()
        )),
    }
}
