//! Names: DNS-1123 labels and subdomains, as Kubernetes' API server demands them
//! (apimachinery `pkg/util/validation`).

use super::machine::AltName;
use super::problem::quote;

/// The longest host name that Linux takes without cutting, and the longest DNS label.
const MAX_NODE_NAME: usize = 63;
/// The longest DNS name.
const MAX_DOMAIN: usize = 253;

/// A Node object's name and host name: a DNS-1123 subdomain of at most 63 bytes.
pub fn node(text: &str) -> Result<String, String> {
    subdomain(text, MAX_NODE_NAME).map(str::to_owned)
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
