//! The file that --encryption-provider-config names, an EncryptionConfiguration of apiserver.config.k8s.io/v1.
//!
//! Read by hand and not with serde: its errors quote the value, which here is a key.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{Kind, NamedKey, Provider, Rule};
use crate::config::{Problems, yaml};
use crate::secret::Secret;

const API_VERSION: &str = "apiserver.config.k8s.io/v1";
const KIND: &str = "EncryptionConfiguration";

/// The rules in their order.
pub fn parse(text: &[u8]) -> Result<Vec<Rule>> {
    let mut problems = Problems::default();
    let tree = yaml::read(text, &mut problems);
    // Only where: what could be quoted is a key.
    if let Some(problem) = problems.iter().next() {
        bail!(
            "line {} is not read as YAML without a doubt; texts that look like numbers, anchors, tags and keys given twice are refused",
            problem.line
        );
    }
    let root = tree.context("it is not YAML")?.root;
    let root = map("the document", &root, &["apiVersion", "kind", "resources"])?;
    for (key, want) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        let is = root.get(key).and_then(Value::as_str);
        ensure!(is == Some(want), "its {key} is not {want}");
    }
    items("resources", root.get("resources"), rule)
}

fn rule(at: &str, value: &Value) -> Result<Rule> {
    let rule = map(at, value, &["resources", "providers"])?;
    Ok(Rule {
        resources: items(&format!("{at}.resources"), rule.get("resources"), text)?,
        providers: items(&format!("{at}.providers"), rule.get("providers"), provider)?,
    })
}

fn provider(at: &str, value: &Value) -> Result<Provider> {
    let provider = map(
        at,
        value,
        &["aescbc", "aesgcm", "secretbox", "identity", "kms"],
    )?;
    let mut given = provider.iter();
    let (Some((name, value)), None) = (given.next(), given.next()) else {
        bail!("{at} must be one provider");
    };
    let at = format!("{at}.{name}");
    let kind = match name.as_str() {
        "aescbc" => Kind::AesCbc,
        "aesgcm" => Kind::AesGcm,
        "secretbox" => Kind::Secretbox,
        "identity" => {
            map(&at, value, &[])?;
            return Ok(Provider::Identity);
        }
        // What it is configured with is of no use here.
        _ => return Ok(Provider::Kms),
    };
    let keys = map(&at, value, &["keys"])?;
    let keys = items(&format!("{at}.keys"), keys.get("keys"), |at, value| {
        key(at, value, kind)
    })?;
    Ok(Provider::Keys(kind, keys))
}

fn key(at: &str, value: &Value, kind: Kind) -> Result<NamedKey> {
    let key = map(at, value, &["name", "secret"])?;
    let name = text(
        &format!("{at}.name"),
        key.get("name").unwrap_or(&Value::Null),
    )?;
    let secret = key
        .get("secret")
        .and_then(Value::as_str)
        .unwrap_or_default();
    // The decoder's error would tell a byte.
    let secret = STANDARD.decode(secret).ok().map(Secret::new);
    let secret = secret.with_context(|| format!("{at}.secret is not base64"))?;
    let length = secret.expose().len();
    let fits = match kind {
        Kind::AesCbc | Kind::AesGcm => matches!(length, 16 | 24 | 32),
        Kind::Secretbox => length == 32,
    };
    ensure!(
        fits,
        "{at}.secret has {length} bytes, which is no key of {}",
        kind.name()
    );
    Ok(NamedKey { name, secret })
}

/// A mapping, and no key in it but these.
fn map<'a>(at: &str, value: &'a Value, known: &[&str]) -> Result<&'a Map<String, Value>> {
    let map = value
        .as_object()
        .with_context(|| format!("{at} is not a mapping"))?;
    let unknown = map.keys().any(|key| !known.contains(&key.as_str()));
    ensure!(
        !unknown,
        "{at} has a key that is not one of {}",
        known.join(", ")
    );
    Ok(map)
}

/// A list with something in it.
fn items<T>(
    at: &str,
    value: Option<&Value>,
    read: impl Fn(&str, &Value) -> Result<T>,
) -> Result<Vec<T>> {
    let list = value
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty());
    let list = list.with_context(|| format!("{at} is not a list with something in it"))?;
    let items = list.iter().enumerate();
    items
        .map(|(index, item)| read(&format!("{at}[{index}]"), item))
        .collect()
}

fn text(at: &str, value: &Value) -> Result<String> {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned)
        .with_context(|| format!("{at} is not a text"))
}
