//! `encryption:`, `audit:` and `podSecurity:`: what the API server enforces.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::ENCRYPTION_KEY;
use super::cluster::once;
use crate::config::machine::{Encryption, PodSecurity};
use crate::config::names;
use crate::config::reader::{Reader, choice, wrong_type};
use crate::config::sensitive::Sensitive;

const POLICY: &str = "audit.policy";
const LEVELS: [&str; 3] = ["privileged", "baseline", "restricted"];
const AUDIT_LEVELS: [&str; 4] = ["None", "Metadata", "Request", "RequestResponse"];
const KEY_BYTES: usize = 32;

pub fn encryption(reader: &mut Reader) -> Option<Encryption> {
    let providers = [("none", false), ("secretbox", true)];
    let secretbox = reader.optional("encryption.provider", false, |text| {
        choice(text, &providers)
    });
    let key = reader.sensitive(ENCRYPTION_KEY);
    if let Some(Some(Sensitive::Inline(key))) = &key
        && STANDARD
            .decode(key.expose().trim_ascii())
            .map_or(0, |key| key.len())
            != KEY_BYTES
    {
        reader.refuse(
            ENCRYPTION_KEY,
            "is not 32 bytes in base64; make one with: head -c 32 /dev/urandom | base64",
        );
    }
    match (secretbox?, key?) {
        (true, key) => Some(Encryption::Secretbox(key)),
        (false, None) => Some(Encryption::None),
        (false, Some(_)) => {
            reader.refuse(
                ENCRYPTION_KEY,
                "has no effect without encryption.provider: secretbox",
            );
            None
        }
    }
}

/// The API server does not start with a policy that it cannot read, so what it looks at first is
/// looked at here.
pub fn audit(reader: &mut Reader) -> Option<Value> {
    let policy = reader.mapping(POLICY)?;
    for (key, want) in [("apiVersion", "audit.k8s.io/v1"), ("kind", "Policy")] {
        if policy.get(key).and_then(Value::as_str) != Some(want) {
            reader.refuse(&format!("{POLICY}.{key}"), format!("must be {want}"));
        }
    }
    match policy.get("rules") {
        Some(Value::Array(rules)) if !rules.is_empty() => {
            for (index, rule) in rules.iter().enumerate() {
                audit_level(reader, &format!("{POLICY}.rules[{index}]"), &rule["level"]);
            }
        }
        _ => reader.refuse(
            &format!("{POLICY}.rules"),
            "must be a list of at least one rule",
        ),
    }
    Some(Value::Object(policy.clone()))
}

fn audit_level(reader: &mut Reader, rule: &str, level: &Value) {
    let all = AUDIT_LEVELS.map(|level| (level, ()));
    let result = match level {
        Value::String(level) => choice(level, &all),
        Value::Null => Err(format!("missing; give one of {}", AUDIT_LEVELS.join(", "))),
        other => Err(wrong_type(other, "text")),
    };
    reader.check(&format!("{rule}.level"), result);
}

pub fn pod_security(reader: &mut Reader) -> Option<Option<PodSecurity>> {
    let mut level = |path| {
        reader.optional(path, None, |text| {
            choice(text, &LEVELS.map(|level| (level, Some(level))))
        })
    };
    let enforce = level("podSecurity.enforce");
    let audit = level("podSecurity.audit");
    let warn = level("podSecurity.warn");
    let exempt = reader.texts("podSecurity.exemptNamespaces", |text, earlier| match text {
        "kube-system" => Err("kube-system is exempt always; leave it out".to_owned()),
        _ => names::node(text).and_then(|name| once(text, name, earlier)),
    });
    let (enforce, audit, warn, exempt) = (enforce?, audit?, warn?, exempt?);
    if enforce.or(audit).or(warn).is_none() && exempt.is_empty() {
        return Some(None);
    }
    let enforced = enforce.unwrap_or(LEVELS[0]);
    Some(Some(PodSecurity {
        enforce: enforced.to_owned(),
        audit: audit.unwrap_or(enforced).to_owned(),
        warn: warn.unwrap_or(enforced).to_owned(),
        exempt,
    }))
}
