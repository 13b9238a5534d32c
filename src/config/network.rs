//! Addresses and networks: what each may be, and how they must keep apart.

use std::net::IpAddr;

use ipnet::IpNet;

use super::problem::quote;

/// An address that other machines reach this one at. Refuses what the kubelet refuses for
/// `--node-ip`: loopback, multicast, link-local and unspecified addresses.
pub fn address(text: &str) -> Result<IpAddr, String> {
    if text.contains('/') {
        return Err(format!(
            "{} is a network; give an address alone, without \"/\"",
            quote(text)
        ));
    }
    let address: IpAddr = text
        .parse()
        .map_err(|_| format!("{} is not an address", quote(text)))?;
    match unreachable_kind(address) {
        Some(kind) => Err(format!(
            "{address} is {kind}; other machines cannot reach it"
        )),
        None => Ok(address),
    }
}

fn unreachable_kind(address: IpAddr) -> Option<&'static str> {
    let (link_local, mapped) = match address {
        IpAddr::V4(v4) => (v4.is_link_local() || v4.is_broadcast(), false),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.to_ipv4_mapped().is_some()),
    };
    let kinds = [
        (address.is_unspecified(), "the unspecified address"),
        (address.is_loopback(), "a loopback address"),
        (address.is_multicast(), "a multicast address"),
        (link_local, "a link-local or broadcast address"),
        (mapped, "an IPv4 address in IPv6 notation"),
    ];
    kinds
        .into_iter()
        .find_map(|(applies, kind)| applies.then_some(kind))
}

/// A network of pods. The controller-manager cuts a /24 (IPv4) or /64 (IPv6) for each node out of
/// it and refuses an IPv6 network above /48 (`cidrset.clusterSubnetMaxDiff`).
pub fn pods(text: &str) -> Result<IpNet, String> {
    let net = any(text)?;
    let (largest, share) = if net.addr().is_ipv4() {
        (8, 24)
    } else {
        (48, 64)
    };
    match net.prefix_len() {
        len if len > share => Err(format!(
            "{net} is too small: every node takes a /{share} of it"
        )),
        len if len < largest => Err(format!("{net} is too large: at most a /{largest}")),
        _ => Ok(net),
    }
}

/// A network of Services: room for the offsets 1 (API) and 10 (DNS), and at most 20 bits, the
/// API server's own limit (`validateMaxCIDRRange`).
pub fn services(text: &str) -> Result<IpNet, String> {
    let net = any(text)?;
    let bits = net.max_prefix_len() - net.prefix_len();
    let (largest, smallest) = (net.max_prefix_len() - 20, net.max_prefix_len() - 4);
    match bits {
        0..=3 => Err(format!(
            "{net} is too small: Services need its 1st (API) and 10th (DNS) address, so at least a \
             /{smallest}"
        )),
        4..=20 => Ok(net),
        _ => Err(format!(
            "{net} is larger than Kubernetes allows: at most a /{largest}"
        )),
    }
}

/// A network of any size.
pub fn any(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text.parse().map_err(|_| {
        format!(
            "{} is not a network; write it like 10.2.0.0/16",
            quote(text)
        )
    })?;
    if net != net.trunc() {
        let base = net.trunc();
        return Err(format!(
            "{net} has bits set behind its prefix; did you mean {base}?"
        ));
    }
    match unreachable_kind(net.network()) {
        Some(kind) => Err(format!("{net} begins at {kind}; choose a private network")),
        None => Ok(net),
    }
}

/// Whether two networks share an address.
pub fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// The family of an address, for people.
pub fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["10.0.2.15", "192.0.2.7", "fd00::1"] {
            assert!(address(good).is_ok(), "{good}");
        }
        let bad = "|10.0.2|10.0.2.15/24|010.0.2.15|0.0.0.0|127.0.0.1|::|::1|224.0.0.1|169.254.1.1|\
            255.255.255.255|fe80::1|fe80::1%eth0|ff02::1|::ffff:10.0.0.1|node-a";
        for bad in bad.split('|') {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks() {
        for good in [
            "10.2.0.0/16",
            "10.0.0.0/8",
            "10.2.1.0/24",
            "fd00:2::/48",
            "fd00:2::/64",
        ] {
            assert!(pods(good).is_ok(), "{good}");
        }
        for bad in [
            "10.2.0.0",
            "10.2.0.1/16",
            "10.2.0.0/25",
            "0.0.0.0/0",
            "fd00::/47",
            "127.0.0.0/8",
        ] {
            assert!(pods(bad).is_err(), "{bad}");
        }
        for good in ["10.3.0.0/28", "10.0.0.0/12", "fd00:3::/108", "fd00:3::/124"] {
            assert!(services(good).is_ok(), "{good}");
        }
        for bad in [
            "10.3.0.0/29",
            "10.3.0.0/32",
            "10.0.0.0/11",
            "fd00:3::/107",
            "fd00:3::/125",
        ] {
            assert!(services(bad).is_err(), "{bad}");
        }
    }
}
