//! PEM and configuration as text: bytes in, values out.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::config::yaml;
use crate::pki::Pair;
use crate::render::KEY_NAME;
use crate::secret::Secret;

/// Whether an encryption configuration is one that a machine document can say.
pub fn is_rendered(config: &[u8]) -> bool {
    let Some(config) = parsed(config) else {
        return false;
    };
    let list = |path: &str| {
        config
            .pointer(path)
            .and_then(Value::as_array)
            .map_or(0, Vec::len)
    };
    let first = "/resources/0/providers/0/secretbox/keys";
    // Its name stands before everything that was encrypted with it.
    let name = config.pointer("/resources/0/providers/0/secretbox/keys/0/name");
    let has_identity = config
        .pointer("/resources/0/providers/1/identity")
        .is_some();
    list("/resources") == 1
        && list("/resources/0/providers") == 2
        && list(first) == 1
        && name == Some(&json!(KEY_NAME))
        && has_identity
        && config.pointer("/resources/0/resources") == Some(&json!(["secrets"]))
}

/// The bodies of a text's certificates, whatever the length of their lines.
pub fn certificates(text: &str) -> Vec<String> {
    let parts = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    let bodies = parts.filter_map(|part| part.split("-----END").next());
    bodies
        .map(|body| body.split_whitespace().collect())
        .collect()
}

/// The first certificate of a text.
pub fn first(text: &str) -> Option<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let begin = text.find("-----BEGIN CERTIFICATE-----")?;
    let end = text[begin..].find(END)? + begin + END.len();
    Some(format!("{}\n", &text[begin..end]))
}

/// A certificate, or several, and a key, as a person supplies them: PEM in one file.
///
/// # Errors
/// If one of the two is not there.
pub fn pair(bytes: &[u8]) -> Result<Pair, anyhow::Error> {
    const KEY: &str = "PRIVATE KEY-----";
    let text = std::str::from_utf8(bytes).context("it is no PEM")?;
    let (mut cert, mut key) = (String::new(), String::new());
    for line in text.lines() {
        let to = match line.starts_with("-----BEGIN") && line.ends_with(KEY) || !key.is_empty() {
            true => &mut key,
            false => &mut cert,
        };
        *to += line;
        to.push('\n');
        if line.starts_with("-----END") && line.ends_with(KEY) {
            break;
        }
    }
    let rest = text
        .lines()
        .skip(cert.lines().count() + key.lines().count());
    cert.extend(rest.flat_map(|line| [line, "\n"]));
    ensure!(
        first(&cert).is_some(),
        "it holds no certificate; put it before the key"
    );
    ensure!(
        !key.is_empty(),
        "it holds no private key; put it behind the certificate"
    );
    let key = Secret::new(key);
    Ok(Pair { cert, key })
}

/// The key of an encryption configuration that slipway can have rendered: the first of secretbox, in base64.
pub fn secretbox(config: &[u8]) -> Option<Secret> {
    let config = parsed(config)?;
    let key = config.pointer("/resources/0/providers/0/secretbox/keys/0/secret")?;
    key.as_str().map(Secret::new)
}

fn parsed(config: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(config).ok()?;
    let mut documents = yaml::documents(text).ok()?.into_iter();
    documents.find(|one| !one.is_null())
}
