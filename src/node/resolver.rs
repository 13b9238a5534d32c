//! The initrd's resolv.conf, from what systemd-networkd learnt.
//!
//! systemd-resolved would write it, but it and its OpenSSL are as large as a third of everything else that
//! slipway adds to an initrd, for the few machines whose document lies behind a name. networkd keeps the
//! servers in a file of its own (`DNS=` in /run/systemd/netif/state, which sd_network_get_dns(3) reads too);
//! its name servers are all that the C library's resolver needs. An initrd with another resolver has a
//! resolv.conf that is no link to [`WRITTEN`], and is left alone.

use std::fmt::Write;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;

use super::files::{self, PUBLIC, below};

const STATE: &str = "/run/systemd/netif/state";
const WRITTEN: &str = "/run/slipway/resolv.conf";
const LINK: &str = "/etc/resolv.conf";
/// The C library asks no more.
const SERVERS: usize = 3;

/// Writes the name servers that networkd knows by now to where the initrd's resolv.conf points, if it is
/// slipway's to write. Returns them; `None` if somebody else keeps resolv.conf.
pub fn refresh(root: &Path) -> Result<Option<Vec<String>>> {
    let is_ours = fs::read_link(below(root, LINK)).is_ok_and(|to| to.ends_with(&WRITTEN[1..]));
    if !is_ours {
        return Ok(None);
    }
    let state = files::read_if_there(&below(root, STATE))?.unwrap_or_default();
    let servers = servers(&String::from_utf8_lossy(&state));
    let mut text = String::new();
    for server in &servers {
        writeln!(text, "nameserver {server}")?;
    }
    files::write(&below(root, WRITTEN), text.as_bytes(), PUBLIC)?;
    Ok(Some(servers))
}

/// The addresses of `DNS=`: each may have a port, a link or a name behind it (`10.0.2.3:53%eth0#name`), of which
/// resolv.conf only takes the link, and only of link-local addresses.
fn servers(state: &str) -> Vec<String> {
    let line = state.lines().find_map(|line| line.strip_prefix("DNS="));
    let words = line.unwrap_or_default().split_whitespace();
    words.filter_map(server).take(SERVERS).collect()
}

fn server(word: &str) -> Option<String> {
    let word = word.split('#').next()?;
    let (address, link) = word.split_once('%').unwrap_or((word, ""));
    let address: IpAddr = match address.parse() {
        Ok(address) => address,
        Err(_) => address.parse::<std::net::SocketAddr>().ok()?.ip(),
    };
    let is_link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    Some(match is_link_local && !link.is_empty() {
        true => format!("{address}%{link}"),
        false => address.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_networkd_knows() {
        let table: [(&str, &[&str]); 6] = [
            ("", &[]),
            ("OPER_STATE=routable\nDNS=\n", &[]),
            (
                "# private\nDNS=10.0.2.3 fec0::3\nNTP=10.0.2.4\n",
                &["10.0.2.3", "fec0::3"],
            ),
            (
                "DNS=10.0.2.3:53%eth0#dns.example fe80::1%eth0",
                &["10.0.2.3", "fe80::1%eth0"],
            ),
            (
                "DNS=[fd00::1]:53 nonsense 192.0.2.1",
                &["fd00::1", "192.0.2.1"],
            ),
            (
                "DNS=10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4",
                &["10.0.0.1", "10.0.0.2", "10.0.0.3"],
            ),
        ];
        for (state, want) in table {
            assert_eq!(servers(state), want, "{state}");
        }
    }

    #[test]
    fn only_the_initrds_own_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for folder in ["etc", "run/systemd/netif"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(below(root, STATE), "DNS=10.0.2.3\n").unwrap();
        fs::write(below(root, LINK), "nameserver 192.0.2.1\n").unwrap();
        assert_eq!(refresh(root).unwrap(), None);
        assert!(!below(root, WRITTEN).exists());
        fs::remove_file(below(root, LINK)).unwrap();
        symlink("../run/slipway/resolv.conf", below(root, LINK)).unwrap();
        assert_eq!(refresh(root).unwrap().unwrap(), ["10.0.2.3"]);
        let through = fs::read_to_string(below(root, LINK)).unwrap();
        assert_eq!(through, "nameserver 10.0.2.3\n");
    }
}
