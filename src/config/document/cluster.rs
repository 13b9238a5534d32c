//! `node:`, `cluster:` and `nodes:`: names, and networks that must fit together.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{SERVICE_ACCOUNT_KEY, certificates};
use crate::config::machine::{Cluster, Nodes};
use crate::config::problem::quote;
use crate::config::reader::Reader;
use crate::config::{names, network};

const ADDRESS: &str = "node.address";
const PODS: &str = "cluster.podCIDR";
const SERVICES: &str = "cluster.serviceCIDR";
const NODE_NAMES: &str = "nodes.names";
const NODE_NETWORKS: &str = "nodes.addresses";
const DOMAIN: &str = "cluster.local";
const POD_CIDR: IpNet = v4(Ipv4Addr::new(10, 2, 0, 0), 16);
const SERVICE_CIDR: IpNet = v4(Ipv4Addr::new(10, 3, 0, 0), 24);

const fn v4(base: Ipv4Addr, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(base, prefix))
}

/// Name and addresses apart, because the addresses are needed to judge the networks even if the
/// name is bad.
pub fn node(reader: &mut Reader) -> (Option<String>, Option<Vec<IpAddr>>) {
    let name = reader.required("node.name", "the node's name, e.g. node-a", names::node);
    reader.demand(
        ADDRESS,
        "the address others reach this node at, e.g. 10.0.2.15",
    );
    let addresses = of_families(reader, ADDRESS, network::address, IpAddr::is_ipv4);
    (name, addresses.filter(|addresses| !addresses.is_empty()))
}

/// One, or one of each family.
fn of_families<T>(
    reader: &mut Reader,
    path: &'static str,
    check: fn(&str) -> Result<T, String>,
    is_ipv4: fn(&T) -> bool,
) -> Option<Vec<T>> {
    reader.one_or_more(path, |text, earlier: &[T]| {
        let one = check(text)?;
        let family = is_ipv4(&one);
        match earlier.iter().any(|earlier| is_ipv4(earlier) == family) {
            true => Err(format!(
                "{} is the second of its family; there may be one of IPv4 and one of IPv6",
                quote(text)
            )),
            false => Ok(one),
        }
    })
}

fn networks(
    reader: &mut Reader,
    path: &'static str,
    default: IpNet,
    check: fn(&str) -> Result<IpNet, String>,
) -> Option<Vec<IpNet>> {
    let nets = of_families(reader, path, check, |net| net.addr().is_ipv4())?;
    Some(if nets.is_empty() { vec![default] } else { nets })
}

pub fn cluster(reader: &mut Reader, node: Option<&[IpAddr]>) -> Option<Cluster> {
    let name = reader.required(
        "cluster.name",
        "the cluster's name, e.g. harbour",
        names::node,
    );
    let domain = reader.optional("cluster.domain", DOMAIN.to_owned(), names::domain);
    let pods = networks(reader, PODS, POD_CIDR, network::pods);
    let services = networks(reader, SERVICES, SERVICE_CIDR, network::services);
    let service_account_key = certificates::key(reader, SERVICE_ACCOUNT_KEY);
    if let (Some(pods), Some(services)) = (&pods, &services) {
        stay_apart(reader, pods, services);
    }
    for (path, nets) in [(PODS, &pods), (SERVICES, &services)] {
        if let (Some(nets), Some(node)) = (nets, node) {
            fit_the_node(reader, path, nets, node);
        }
    }
    Some(Cluster {
        name: name?,
        domain: domain?,
        pod_cidrs: pods?,
        service_cidrs: services?,
        service_account_key: service_account_key?,
    })
}

fn stay_apart(reader: &mut Reader, pods: &[IpNet], services: &[IpNet]) {
    for (index, service) in services.iter().enumerate() {
        for pod in pods.iter().filter(|pod| network::overlap(pod, service)) {
            let message = format!(
                "{} overlaps {PODS} {}; choose networks that do not meet",
                shown(reader, SERVICES, *service),
                shown(reader, PODS, *pod)
            );
            reader.refuse(&reader.item_of(SERVICES, index), message);
        }
    }
}

/// A node's addresses and the networks of its cluster must be of the same families, in the same
/// order, and apart.
fn fit_the_node(reader: &mut Reader, path: &str, nets: &[IpNet], node: &[IpAddr]) {
    if nets.len() != node.len() {
        let (given, of) = (shown(reader, path, nets[0]), node.len());
        let message = match of {
            1 => format!(
                "has 2 networks but {ADDRESS} has one address; give one of each family, in the same order"
            ),
            _ => format!(
                "has one network, {given}, but {ADDRESS} has 2 addresses; give one of each family, in the same order"
            ),
        };
        return reader.refuse(path, message);
    }
    for (index, (net, address)) in nets.iter().zip(node).enumerate() {
        let (family, nodes) = (network::family(net.addr()), network::family(*address));
        if family != nodes {
            let message = format!(
                "{} is {family} but {ADDRESS} {address} is {nodes}; give an {nodes} network",
                shown(reader, path, *net)
            );
            reader.refuse(&reader.item_of(path, index), message);
        } else if net.contains(address) {
            let message = format!(
                "{address} lies inside {path} {}; change one of them",
                shown(reader, path, *net)
            );
            reader.refuse(&reader.item_of(ADDRESS, index), message);
        }
    }
}

/// A network for a message. One that stands nowhere in the document would puzzle its author.
fn shown(reader: &Reader, path: &str, net: IpNet) -> String {
    let origin = if reader.is_given(path) {
        ""
    } else {
        " (the default)"
    };
    format!("{net}{origin}")
}

/// An address from outside must lie in no network of the cluster.
pub fn lies_outside(reader: &mut Reader, path: &str, address: IpAddr, cluster: &Cluster) {
    for (of, nets) in [
        (PODS, &cluster.pod_cidrs),
        (SERVICES, &cluster.service_cidrs),
    ] {
        if let Some(net) = nets.iter().find(|net| net.contains(&address)) {
            let message = format!(
                "{address} lies inside {of} {}, which nobody reaches from outside",
                shown(reader, of, *net)
            );
            reader.refuse(path, message);
        }
    }
}

/// Who may be part of the cluster; this node must be.
pub fn nodes(
    reader: &mut Reader,
    name: Option<&str>,
    addresses: Option<&[IpAddr]>,
    cluster: Option<&Cluster>,
) -> Option<Nodes> {
    let mut names = reader.texts(NODE_NAMES, |text, earlier: &[String]| {
        let pattern = names::pattern(text)?;
        once(text, pattern, earlier)
    })?;
    let mut nets = reader.texts(NODE_NETWORKS, |text, earlier: &[IpNet]| {
        let net = network::any(text)?;
        once(text, net, earlier)
    })?;
    let (name, addresses) = (name?, addresses?);
    if names.is_empty() {
        names.push(name.to_owned());
    } else if !names.iter().any(|pattern| names::fits(pattern, name)) {
        let message = format!("none of them fits this node's own name; add {name}");
        reader.refuse(NODE_NAMES, message);
    }
    if nets.is_empty() {
        nets.extend(addresses.iter().map(|address| IpNet::from(*address)));
    } else {
        own_addresses_are_in(reader, &nets, addresses);
        cluster
            .into_iter()
            .for_each(|cluster| no_pod_is_in(reader, &nets, cluster));
    }
    Some(Nodes {
        names,
        addresses: nets,
    })
}

/// Refuses what a list holds already.
pub fn once<T: PartialEq>(text: &str, one: T, earlier: &[T]) -> Result<T, String> {
    match earlier.contains(&one) {
        true => Err(format!("{} is in the list already", quote(text))),
        false => Ok(one),
    }
}

fn own_addresses_are_in(reader: &mut Reader, nets: &[IpNet], addresses: &[IpAddr]) {
    for address in addresses {
        if !nets.iter().any(|net| net.contains(address)) {
            let own = IpNet::from(*address);
            let message = format!("{ADDRESS} {address} lies in none of them; add e.g. {own}");
            reader.refuse(NODE_NETWORKS, message);
        }
    }
}

/// A pod that had a node's address could get a certificate for it.
fn no_pod_is_in(reader: &mut Reader, nets: &[IpNet], cluster: &Cluster) {
    for (index, net) in nets.iter().enumerate() {
        for (path, of) in [
            (PODS, &cluster.pod_cidrs),
            (SERVICES, &cluster.service_cidrs),
        ] {
            if let Some(other) = of.iter().find(|other| network::overlap(net, other)) {
                let message = format!(
                    "{net} overlaps {path} {}; nodes have no addresses there",
                    shown(reader, path, *other)
                );
                reader.refuse(&reader.item_of(NODE_NETWORKS, index), message);
            }
        }
    }
}
