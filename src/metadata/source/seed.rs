//! A NoCloud seed by URL: `ds=nocloud;s=https://example.org/a/`, on the kernel command line or as the
//! machine's serial number (cloud-init's documentation, "NoCloud", "Line configuration").
//!
//! Whoever answers such a URL decides what the machine is. So it is HTTPS, or plain HTTP to an address
//! that no stranger can answer from: written as a number, and private. The other keys of a seed, the host's
//! name and the instance's, are understood and left: a machine document names its node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, anyhow};

/// The file of a seed that is read.
const USER_DATA: &str = "user-data";
/// The data source's names, the second one from when it had two.
const SOURCES: [&str; 2] = ["nocloud", "nocloud-net"];
/// Keys whose value is the URL that a seed begins with.
const URL: [&str; 2] = ["s", "seedfrom"];
/// Keys of what is left.
const LEFT: [&str; 4] = ["h", "local-hostname", "i", "instance-id"];

/// The URL of the `user-data` that a seed (`nocloud;s=URL`) names; `None` if it names none, and then
/// the seed is a disk.
///
/// # Errors
/// If the URL is one that may not be asked, and why.
pub fn user_data(seed: &str) -> Result<Option<String>> {
    let mut parts = seed.trim().split(';');
    if !parts.next().is_some_and(|name| SOURCES.contains(&name)) {
        return Ok(None);
    }
    let mut url = None;
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        if URL.contains(&key) {
            url = Some(value);
        } else if !LEFT.contains(&key) {
            log::warn!("the NoCloud seed's {key:?} means nothing to slipway; is it misspelt?");
        }
    }
    let Some(url) = url.filter(|url| !url.is_empty()) else {
        return Ok(None);
    };
    may_be_asked(url)?;
    Ok(Some(complete(url)))
}

/// The URL of a file below a seed's, put together as cloud-init does.
fn complete(url: &str) -> String {
    if url.contains("%s") {
        return url.replace("%s", USER_DATA);
    }
    let slash = match url.ends_with('/') || url.contains('?') {
        true => "",
        false => "/",
    };
    format!("{url}{slash}{USER_DATA}")
}

fn may_be_asked(url: &str) -> Result<()> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(anyhow!(
            "the NoCloud seed is no URL; give https://HOST/PATH/"
        ));
    };
    if has_user(url) {
        return Err(anyhow!(
            "the NoCloud seed holds a user's name, which hides the host that is meant, and a password would \
             be for everybody to read; leave it out"
        ));
    }
    match scheme {
        "https" => Ok(()),
        "http" if address(rest).is_some_and(is_near) => Ok(()),
        "http" => Err(anyhow!(
            "the NoCloud seed is plain http to a host that anybody may pass for; give https, or the \
             number of a private address"
        )),
        "file" => Err(anyhow!(
            "the NoCloud seed is a file:// URL; give the file with slipway.platform=file"
        )),
        _ => Err(anyhow!(
            "the NoCloud seed's scheme {scheme:?} is not supported; give https"
        )),
    }
}

/// Whether a URL names a user, and maybe a password.
pub fn has_user(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    authority(rest).contains('@')
}

/// Host and port, and whatever else stands between `://` and the path.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#', '\\']).next().unwrap_or(rest)
}

/// The address in what follows `://`, if the host is one.
fn address(rest: &str) -> Option<IpAddr> {
    let authority = authority(rest);
    if let Some(inner) = authority.strip_prefix('[') {
        let (address, _) = inner.split_once(']')?;
        return address.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let host = authority.split(':').next()?;
    host.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

/// Whether packets to it stay near: private, link-local or loopback (RFC 1918, 3927, 4193).
fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_private() || address.is_link_local() || address.is_loopback()
        }
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_are_completed() {
        let cases = [
            ("nocloud;s=https://a/b/", Some("https://a/b/user-data")),
            ("nocloud;s=https://a/b", Some("https://a/b/user-data")),
            (
                "nocloud-net;h=x;seedfrom=https://a/;i=1",
                Some("https://a/user-data"),
            ),
            ("nocloud;s=https://a/?f=", Some("https://a/?f=user-data")),
            (
                "nocloud;s=https://a/%s.txt",
                Some("https://a/user-data.txt"),
            ),
            (
                "nocloud;s=http://10.0.2.2:8000/",
                Some("http://10.0.2.2:8000/user-data"),
            ),
            ("nocloud", None),
            ("nocloud;s=", None),
            ("nocloud;h=node-a", None),
            ("nocloudy;s=https://a/", None),
            ("ec2;s=https://a/", None),
            ("", None),
        ];
        for (seed, want) in cases {
            assert_eq!(user_data(seed).unwrap().as_deref(), want, "{seed}");
        }
    }

    #[test]
    fn plain_http_goes_to_near_numbers_only() {
        let near = [
            "10.1.2.3",
            "172.16.0.1:80",
            "192.168.1.1",
            "169.254.169.254",
            "127.0.0.1:8000",
            "[fe80::1]",
            "[fd00::1]:80",
            "[::1]",
            "[::ffff:10.0.0.1]",
        ];
        for host in near {
            assert!(may_be_asked(&format!("http://{host}/x/")).is_ok(), "{host}");
        }
        let far = [
            "example.org",
            "localhost",
            "8.8.8.8",
            "172.32.0.1",
            "[2001:db8::1]",
            "[::ffff:8.8.8.8]",
            "10.0.0.1.example.org",
            "0x0a.0.0.1",
            "",
            "[10.0.0.1]",
            "example.org#10.0.0.1",
        ];
        for host in far {
            let text = may_be_asked(&format!("http://{host}/x/"))
                .unwrap_err()
                .to_string();
            assert!(text.contains("plain http"), "{host}: {text}");
        }
    }

    #[test]
    fn other_schemes_are_refused_by_name() {
        let cases = [
            ("file:///etc/", "file:// URL"),
            ("ftp://a/", "\"ftp\""),
            ("/var/lib/seed/", "no URL"),
            ("http://10.0.0.1@example.org/", "user's name"),
            ("http://10.0.0.1:80@example.org/", "user's name"),
            ("http://[fd00::1]@example.org/", "user's name"),
            ("https://a:hunter2@example.org/", "user's name"),
        ];
        for (url, want) in cases {
            let text = user_data(&format!("nocloud;s={url}"))
                .unwrap_err()
                .to_string();
            assert!(text.contains(want), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(seed in "(nocloud|;|=|s|http|https|://|\\[|\\]|%s|\\PC){0,30}") {
            if let Ok(Some(url)) = user_data(&seed) {
                prop_assert!(url.contains(USER_DATA));
            }
        }
    }
}
