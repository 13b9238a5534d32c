//! `authentication.jwt:`: who else proves people to the API server, e.g. an OpenID Connect provider.
//!
//! The API server reads its file strictly and does not start with one that it refuses, so keys and what
//! every authenticator must have are looked at here. Expressions (CEL) are its own to judge. The road not
//! taken is its `--oidc-*` flags: it has them or a file, and slipway's file limits who may ask without
//! credentials.

use serde_json::{Map, Value};

use super::cluster::once;
use crate::config::guard;
use crate::config::pem;
use crate::config::problem::quote;
use crate::config::reader::{Reader, text, unknown_key, wrong_type};

const JWT: &str = "authentication.jwt";
const AUTHENTICATOR: [&str; 4] = [
    "claimMappings",
    "claimValidationRules",
    "issuer",
    "userValidationRules",
];
const ISSUER: [&str; 6] = [
    "audienceMatchPolicy",
    "audiences",
    "certificateAuthority",
    "discoveryURL",
    "egressSelectorType",
    "url",
];
const MAPPINGS: [&str; 4] = ["extra", "groups", "uid", "username"];
const CLAIM: [&str; 3] = ["claim", "expression", "prefix"];
/// Service accounts are the cluster's own.
const RESERVED: &str = "https://kubernetes.default.svc";

pub fn authenticators(reader: &mut Reader) -> Vec<Value> {
    let all = reader.list(JWT).cloned().unwrap_or_default();
    let mut urls = Vec::new();
    for (index, value) in all.iter().enumerate() {
        let place = guard::item(JWT, index);
        let Some(entries) = mapping(reader, &place, Some(value), &AUTHENTICATOR) else {
            continue;
        };
        issuer(reader, &guard::child(&place, "issuer"), entries, &mut urls);
        mappings(reader, &guard::child(&place, "claimMappings"), entries);
    }
    all
}

/// A mapping of known keys that must be there.
fn mapping<'v>(
    reader: &mut Reader,
    place: &str,
    value: Option<&'v Value>,
    known: &[&str],
) -> Option<&'v Map<String, Value>> {
    let entries = match value {
        Some(Value::Object(entries)) => entries,
        value => {
            let is = wrong_type(value.unwrap_or(&Value::Null), "a mapping of keys");
            reader.refuse(place, format!("{is}, of {}", known.join(", ")));
            return None;
        }
    };
    for key in entries.keys().filter(|key| !known.contains(&key.as_str())) {
        reader.refuse(&guard::child(place, key), unknown_key(key, known));
    }
    Some(entries)
}

fn issuer(
    reader: &mut Reader,
    place: &str,
    of: &Map<String, Value>,
    urls: &mut Vec<String>,
) -> Option<()> {
    let issuer = mapping(reader, place, of.get("issuer"), &ISSUER)?;
    let look = |key: &str| issuer.get(key).unwrap_or(&Value::Null);
    let at = |key: &str| guard::child(place, key);
    let found = text(look("url"), |text| once(text, url(text)?, urls));
    urls.extend(reader.check(&at("url"), found));
    if !look("discoveryURL").is_null() {
        reader.check(&at("discoveryURL"), text(look("discoveryURL"), url));
    }
    if !look("certificateAuthority").is_null() {
        let authority = text(look("certificateAuthority"), pem::certificates);
        reader.check(&at("certificateAuthority"), authority);
    }
    match look("audiences") {
        Value::Array(items) if !items.is_empty() => {
            reader.texts_of(&at("audiences"), items, |text, earlier: &[String]| {
                once(text, text.to_owned(), earlier)
            });
            let policy = look("audienceMatchPolicy");
            if policy != "MatchAny" && (items.len() > 1 || !policy.is_null()) {
                reader.refuse(&at("audienceMatchPolicy"), "must be MatchAny");
            }
        }
        _ => reader.refuse(&at("audiences"), "must be a list of at least one text"),
    }
    Some(())
}

fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@' | '"' | '\\');
    if text == RESERVED {
        return Err(format!("{RESERVED} is the cluster's own issuer"));
    }
    match !host.is_empty() && rest.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{} is no plain https URL; write it like https://login.example.com, without user, query and fragment",
            quote(text)
        )),
    }
}

/// Who somebody is has to be said; a prefix, too, with a claim, so that nobody is given a name of the cluster's.
fn mappings(reader: &mut Reader, place: &str, of: &Map<String, Value>) -> Option<()> {
    let mappings = mapping(reader, place, of.get("claimMappings"), &MAPPINGS)?;
    for key in ["username", "groups"] {
        let (place, value) = (guard::child(place, key), mappings.get(key));
        if key == "groups" && value.is_none_or(Value::is_null) {
            continue;
        }
        let Some(entries) = mapping(reader, &place, value, &CLAIM) else {
            continue;
        };
        let is = |key: &str| entries.get(key).is_some_and(|value| !value.is_null());
        let problem = match (is("claim"), is("expression"), is("prefix")) {
            (true, false, true) | (false, true, false) => continue,
            (true, false, false) => "a claim needs a prefix beside it; \"\" is none",
            (false, true, true) => "an expression has no prefix beside it",
            _ => "needs either claim and prefix, or expression",
        };
        reader.refuse(&place, problem);
    }
    Some(())
}
