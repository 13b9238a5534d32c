//! Names: DNS-1123 labels and subdomains, as Kubernetes' API server demands them
//! (apimachinery `pkg/util/validation`).

use super::machine::{AltName, Endpoint};
use super::network;
use super::problem::quote;

/// The longest host name that Linux takes without cutting, and the longest DNS label.
const MAX_NODE_NAME: usize = 63;
/// The longest DNS name.
const MAX_DOMAIN: usize = 253;

/// A Node object's name and host name: a DNS-1123 subdomain of at most 63 bytes.
pub fn node(text: &str) -> Result<String, String> {
    subdomain(text, MAX_NODE_NAME).map(str::to_owned)
}

/// A namespace's name: a DNS-1123 label.
pub fn label(text: &str) -> Result<String, String> {
    match text.contains('.') {
        true => Err(format!(
            "{} has a dot in it; a namespace's name has none",
            quote(text)
        )),
        false => node(text),
    }
}

/// A DNS domain: a DNS-1123 subdomain of at most 253 bytes.
pub fn domain(text: &str) -> Result<String, String> {
    subdomain(text, MAX_DOMAIN).map(str::to_owned)
}

/// A subject alternative name: an address, a DNS name, or a wildcard `*.` before a DNS name.
pub fn alt(text: &str) -> Result<AltName, String> {
    if let Ok(address) = text.parse() {
        return Ok(AltName::Ip(address));
    }
    let looks_like_address = text.contains(':')
        || text
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if looks_like_address {
        return Err(format!(
            "{} is neither an address nor a DNS name",
            quote(text)
        ));
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    subdomain(name, MAX_DOMAIN).map(|_| AltName::Dns(text.to_owned()))
}

/// A node's name, or a pattern with one `*` in it.
pub fn pattern(text: &str) -> Result<String, String> {
    match text.matches('*').count() {
        // A pattern is good if a name that fits it is.
        0 | 1 => node(&text.replace('*', "a")).map(|_| text.to_owned()),
        _ => Err(format!("{} has more than one \"*\"", quote(text))),
    }
}

/// Whether a name fits a pattern.
pub fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => name
            .strip_prefix(start)
            .is_some_and(|rest| rest.ends_with(end)),
        None => pattern == name,
    }
}

/// `HOST` or `HOST:PORT`, an IPv6 address with a port in brackets.
pub fn endpoint(text: &str, default_port: u16) -> Result<Endpoint, String> {
    if text.contains('/') {
        return Err(format!(
            "{} is a URL or a network; write HOST or HOST:PORT",
            quote(text)
        ));
    }
    let (host, port) = host_and_port(text);
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
            format!(
                "{} has no port from 1 to 65535 after its \":\"",
                quote(text)
            )
        })?,
        None => default_port,
    };
    let host = match alt(host)? {
        AltName::Ip(_) => network::address(host).map(AltName::Ip)?,
        AltName::Dns(name) if name.starts_with('*') => {
            return Err(format!("{} is no one host; name one", quote(text)));
        }
        name => name,
    };
    Ok(Endpoint { host, port })
}

fn host_and_port(text: &str) -> (&str, Option<&str>) {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match (bracketed, text.split_once(':')) {
        (Some((host, "")), _) => (host, None),
        (Some((host, after)), _) => (host, Some(after.strip_prefix(':').unwrap_or(after))),
        // Several colons without brackets are an IPv6 address.
        (None, Some((host, port))) if !port.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}

fn subdomain(text: &str, max: usize) -> Result<&str, String> {
    if text.len() > max {
        return Err(format!(
            "has {} characters; at most {max} are allowed",
            text.len()
        ));
    }
    if text.split('.').all(is_label) {
        return Ok(text);
    }
    let guess = text.to_ascii_lowercase().replace(['_', ' '], "-");
    let hint = match guess != text && guess.split('.').all(is_label) {
        true => format!("; try {guess}"),
        false => String::new(),
    };
    Err(format!(
        "{} is not a DNS name: use a-z, 0-9, \"-\" and \".\", and let every part begin and end \
         with a letter or digit{hint}",
        quote(text)
    ))
}

fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names() {
        for good in ["a", "node-a", "1.2", "node-a.example.com"] {
            assert!(node(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "-a", "a-", "A", "a..b", "a.", "ä", "a b", &long] {
            assert!(node(bad).is_err(), "{bad}");
        }
        assert!(node("Node_A").unwrap_err().ends_with("; try node-a"));
    }

    #[test]
    fn patterns_fit_names() {
        for (pattern, name, want) in [
            ("node-a", "node-a", true),
            ("node-a", "node-ab", false),
            ("worker-*", "worker-7", true),
            ("worker-*", "node-7", false),
            ("*.example.com", "a.example.com", true),
            ("w*w", "w", false),
            ("*", "anything", true),
        ] {
            assert!(super::pattern(pattern).is_ok(), "{pattern}");
            assert_eq!(fits(pattern, name), want, "{pattern} {name}");
        }
        for bad in ["", "w-**", "*-*", "W*", "a_*", "*-"] {
            assert!(super::pattern(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints() {
        for (text, want) in [
            ("api.example.com", "api.example.com:6443"),
            ("api.example.com:443", "api.example.com:443"),
            ("192.0.2.7", "192.0.2.7:6443"),
            ("192.0.2.7:443", "192.0.2.7:443"),
            ("fd00::7", "[fd00::7]:6443"),
            ("[fd00::7]", "[fd00::7]:6443"),
            ("[fd00::7]:443", "[fd00::7]:443"),
        ] {
            let shown = endpoint(text, 6443).map(|endpoint| endpoint.to_string());
            assert_eq!(shown, Ok(want.to_owned()), "{text}");
        }
        let bad = "|https://api|api:|api:0|api:65536|api:x|*.example.com|127.0.0.1|[fd00::7]x443|\
            10.0.0.0/8|fd00::7]:443|[::1]:443";
        for bad in bad.split('|') {
            assert!(endpoint(bad, 6443).is_err(), "{bad}");
        }
    }

    #[test]
    fn alternative_names() {
        assert_eq!(
            alt("*.example.com"),
            Ok(AltName::Dns("*.example.com".to_owned()))
        );
        assert_eq!(
            alt("::1").map(|name| matches!(name, AltName::Ip(_))),
            Ok(true)
        );
        for bad in [
            "10.0.0.300",
            "fd00::x",
            "*",
            "a.*.b",
            "https://a",
            "a.example.com.",
        ] {
            assert!(alt(bad).is_err(), "{bad}");
        }
    }
}
