//! `certificates:` and `etcd:`: keys and certificates that are made, and those that come from
//! elsewhere.

use std::time::Duration;

use super::cluster::once;
use super::{AUTHORITY_KEY, ETCD_KEY, TOKEN};
use crate::config::machine::{Authority, Certificates, Etcd, ExternalEtcd, KeyType, Lifetimes};
use crate::config::problem::quote;
use crate::config::reader::{Reader, choice};
use crate::config::sensitive::Sensitive;
use crate::config::{duration, names, pem};

const ETCD: &str = "etcd.external";
const ENDPOINTS: &str = "etcd.external.endpoints";
const AUTHORITY: &str = "certificates.authority.certificate";
const OF_AUTHORITY: &str = "certificates.lifetimes.authority";
const OF_LEAF: &str = "certificates.lifetimes.leaf";
/// A shorter one would be renewed all the time.
const SHORTEST: Duration = Duration::from_secs(10 * 60);
const LONGEST: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);
const ETCD_PORT: u16 = 2379;

pub fn certificates(reader: &mut Reader) -> Option<Certificates> {
    let key_type = reader.optional("certificates.keyType", KeyType::default(), key_type);
    let authority = authority(reader);
    let lifetimes = lifetimes(reader);
    Some(Certificates {
        key_type: key_type?,
        authority: authority?,
        lifetimes: lifetimes?,
    })
}

fn key_type(text: &str) -> Result<KeyType, String> {
    let lower = text.to_ascii_lowercase();
    let why = if lower.starts_with("rsa") {
        "slipway's cryptography (ring) makes no RSA keys"
    } else if lower.starts_with("ed25519") {
        "Kubernetes signs no tokens with Ed25519"
    } else {
        return choice(text, &[("P-256", KeyType::P256), ("P-384", KeyType::P384)]);
    };
    Err(format!(
        "{} is not made: {why}; use P-256, as Kubernetes' own tools do, or P-384",
        quote(text)
    ))
}

fn authority(reader: &mut Reader) -> Option<Option<Authority>> {
    let certificate = reader.optional(AUTHORITY, None, |text| pem::certificates(text).map(Some));
    let key = key(reader, AUTHORITY_KEY);
    if reader.is_given(AUTHORITY_KEY) {
        reader.demand(AUTHORITY, "the certificate that this key belongs to");
    }
    let key = key?;
    Some(certificate?.map(|certificate| Authority { certificate, key }))
}

/// Refuses what only works if the cluster signs: with somebody else's authority and no key of it, a node's
/// request for a certificate is answered by nobody.
pub fn without_a_signer(reader: &mut Reader) {
    if !reader.is_given(AUTHORITY) || reader.is_given(AUTHORITY_KEY) {
        return;
    }
    for path in [TOKEN, "join.tokenLifetime", "nodes"] {
        if reader.says(path) {
            let message = format!(
                "has no effect without {AUTHORITY_KEY}: nothing in the cluster signs what a node asks for; \
                 give the key, or remove this"
            );
            reader.refuse(path, message);
        }
    }
}

/// A private key. One that is referred to is judged where it is used.
pub fn key(reader: &mut Reader, path: &'static str) -> Option<Option<Sensitive>> {
    let key = reader.sensitive(path)?;
    if let Some(Sensitive::Inline(text)) = &key {
        let text = String::from_utf8_lossy(text.expose());
        reader.check(path, pem::key(&text))?;
    }
    Some(key)
}

fn lifetimes(reader: &mut Reader) -> Option<Lifetimes> {
    let default = Lifetimes::default();
    let mut lifetime = |path, default| {
        reader.optional(path, default, |text| {
            duration::lifetime(text, SHORTEST, LONGEST)
                .map_err(|why| format!("{} {why}", quote(text)))
        })
    };
    let authority = lifetime(OF_AUTHORITY, default.authority)?;
    let leaf = lifetime(OF_LEAF, default.leaf)?;
    if leaf > authority / 2 {
        let path = match reader.is_given(OF_LEAF) {
            true => OF_LEAF,
            false => OF_AUTHORITY,
        };
        let message = format!(
            "leaves would be valid for {}, authorities for {}; give leaves half of that or less, so that \
             they can be renewed",
            duration::show(leaf),
            duration::show(authority)
        );
        reader.refuse(path, message);
    }
    Some(Lifetimes { authority, leaf })
}

pub fn etcd(reader: &mut Reader) -> Option<Etcd> {
    let endpoints = reader.texts(ENDPOINTS, |text, earlier: &[String]| {
        let url = etcd_url(text)?;
        once(text, url, earlier)
    });
    let mut certificates = |path| reader.optional(path, String::new(), pem::certificates);
    let authority = certificates("etcd.external.authority");
    let certificate = certificates("etcd.external.certificate");
    let key = key(reader, ETCD_KEY);
    if !reader.says(ETCD) {
        return Some(Etcd::Local);
    }
    let examples = [
        (ENDPOINTS, "its URLs, e.g. [https://10.0.3.1:2379]"),
        (
            "etcd.external.authority",
            "the certificates (PEM) that its servers are verified with",
        ),
        (
            "etcd.external.certificate",
            "the API server's client certificate (PEM)",
        ),
        (ETCD_KEY, "the key of that certificate"),
    ];
    for (path, example) in examples {
        reader.demand(path, example);
    }
    let endpoints = endpoints?;
    if endpoints.is_empty() && reader.is_given(ENDPOINTS) {
        reader.refuse(ENDPOINTS, "is an empty list; give at least one URL");
    }
    Some(Etcd::External(ExternalEtcd {
        endpoints,
        authority: authority?,
        certificate: certificate?,
        key: key??,
    }))
}

/// `https://HOST:PORT`, with the port always in it.
fn etcd_url(text: &str) -> Result<String, String> {
    let Some(place) = text.strip_prefix("https://") else {
        return Err(format!(
            "{} does not begin with https://; etcd without TLS would be open to everybody",
            quote(text)
        ));
    };
    let endpoint = names::endpoint(place.strip_suffix('/').unwrap_or(place), ETCD_PORT)
        .map_err(|why| format!("after https://, {why}"))?;
    Ok(format!("https://{endpoint}"))
}
