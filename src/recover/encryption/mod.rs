//! What encryption at rest put on a stored value, taken off.
//!
//! A value begins with which provider and which key encrypted it, `k8s:enc:aescbc:v1:NAME:`. Which providers may be
//! asked is the rule's for its resource: an API server reads nothing by a key that is meant for other resources, nor
//! a plain value where the rule has no `identity`; neither does this, or whoever can write to etcd could plant one.
//! Source: k8s.io/apiserver, pkg/server/options/encryptionconfig/config.go and pkg/storage/value.
//!
//! A KMS plugin keeps its key for itself and answers only on the machine it is set up for: that is refused.

mod cipher;
mod config;

use anyhow::{Context, Result, ensure};

use crate::config::quote;
use crate::recover::decode;
use crate::secret::Secret;

/// Before everything that is encrypted.
const PREFIX: &[u8] = b"k8s:enc:";

/// The rules of an EncryptionConfiguration; the default encrypts nothing.
#[derive(Clone, Debug, Default)]
pub struct Providers(Vec<Rule>);

/// Who encrypts some resources.
#[derive(Clone, Debug)]
struct Rule {
    /// `secrets`, `widgets.example.com`, `*.apps`, `*.`, `*.*`.
    resources: Vec<String>,
    providers: Vec<Provider>,
}

#[derive(Clone, Debug)]
enum Provider {
    Identity,
    Kms,
    Keys(Kind, Vec<NamedKey>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AesCbc,
    AesGcm,
    Secretbox,
}

#[derive(Clone, Debug)]
struct NamedKey {
    name: String,
    secret: Secret,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::AesCbc, Kind::AesGcm, Kind::Secretbox];

    /// In the configuration and in the value's prefix.
    fn name(self) -> &'static str {
        match self {
            Kind::AesCbc => "aescbc",
            Kind::AesGcm => "aesgcm",
            Kind::Secretbox => "secretbox",
        }
    }

    /// What follows the prefix of a value that it encrypted: the key's name, a colon, and the rest.
    fn strip(self, stored: &[u8]) -> Option<&[u8]> {
        let rest = stored.strip_prefix(PREFIX)?;
        rest.strip_prefix(self.name().as_bytes())?
            .strip_prefix(b":v1:")
    }

    fn decrypt(self, secret: &Secret, key: &[u8], encrypted: &[u8]) -> Option<Vec<u8>> {
        match self {
            // Nothing is authenticated, and a wrong key's padding is right once in 256 times.
            Kind::AesCbc => {
                cipher::cbc(secret.expose(), encrypted).filter(|plain| decode::is_object(plain))
            }
            Kind::AesGcm => cipher::gcm(secret.expose(), key, encrypted),
            Kind::Secretbox => cipher::secretbox(secret.expose(), encrypted),
        }
    }
}

impl Providers {
    /// Reads the file that --encryption-provider-config names. What is wrong with it is told without its values.
    pub fn parse(text: &[u8]) -> Result<Providers> {
        let rules = config::parse(text);
        let hint = "the encryption configuration cannot be read; give the file that the API server's \
                    --encryption-provider-config names";
        rules.map(Providers).context(hint)
    }

    /// Decrypts a value. `resource` is `secrets` or `widgets.example.com`, `key` the full key in etcd, with
    /// its prefix.
    pub fn decrypt(&self, resource: &str, key: &[u8], stored: &[u8]) -> Result<Secret> {
        let providers = self.of(resource);
        if !stored.starts_with(PREFIX) {
            return plain(resource, &providers, stored);
        }
        let kind = Kind::ALL
            .iter()
            .find_map(|kind| Some((*kind, kind.strip(stored)?)));
        let (kind, rest) = kind.with_context(|| not_by_a_key(resource, stored))?;
        let keys: Vec<&NamedKey> = providers
            .iter()
            .filter_map(|provider| provider.keys(kind))
            .flatten()
            .collect();
        let mut named = keys
            .iter()
            .filter_map(|named| Some((&named.secret, named.behind_name(rest)?)))
            .peekable();
        ensure!(
            named.peek().is_some(),
            self.no_key(resource, kind, rest, &keys)
        );
        let opened = named.find_map(|(secret, encrypted)| kind.decrypt(secret, key, encrypted));
        opened.map(Secret::new).with_context(|| {
            let (kind, name) = (kind.name(), name(rest));
            format!(
                "{resource} is encrypted by {kind} with the key {name}, and the key of that name in the encryption \
                 configuration does not open it: it is another key, or the value was damaged or moved"
            )
        })
    }

    /// Who encrypts a resource: its own rules, else those of its group, else those of everything.
    fn of(&self, resource: &str) -> Vec<&Provider> {
        let (name, group) = split(resource);
        for wanted in [(name, group), ("*", group), ("*", "*")] {
            let rules = self.0.iter();
            let rules = rules.flat_map(|rule| {
                let times = rule
                    .resources
                    .iter()
                    .filter(|resource| split(resource) == wanted)
                    .count();
                std::iter::repeat_n(&rule.providers, times)
            });
            let found: Vec<_> = rules.flatten().collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    fn no_key(&self, resource: &str, kind: Kind, rest: &[u8], keys: &[&NamedKey]) -> String {
        let (kind, name) = (kind.name(), name(rest));
        let given: Vec<_> = keys.iter().map(|key| quote(&key.name)).collect();
        let has = match (self.0.is_empty(), given.is_empty()) {
            (true, _) => "no encryption configuration is given".to_owned(),
            (_, true) => format!("the encryption configuration has no key of {kind} for it"),
            _ => format!(
                "the encryption configuration has the keys {} of {kind} for it",
                given.join(", ")
            ),
        };
        format!(
            "{resource} is encrypted by {kind} with the key {name}, and {has}; give the one that was in use when it \
             was written (--encryption-config)"
        )
    }
}

impl Provider {
    fn keys(&self, of: Kind) -> Option<&[NamedKey]> {
        match self {
            Provider::Keys(kind, keys) if *kind == of => Some(keys),
            _ => None,
        }
    }
}

impl NamedKey {
    fn behind_name<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        rest.strip_prefix(self.name.as_bytes())?.strip_prefix(b":")
    }
}

/// A value that is not encrypted, where it may be so.
fn plain(resource: &str, providers: &[&Provider], stored: &[u8]) -> Result<Secret> {
    let may = providers.is_empty()
        || providers
            .iter()
            .any(|provider| matches!(provider, Provider::Identity));
    ensure!(
        may,
        "{resource} is stored in plain text, and the encryption configuration says that it is encrypted: it has no \
         identity provider for it, so an API server would not read this either"
    );
    Ok(Secret::new(stored))
}

/// A resource and its group: empty for `secrets` and `secrets.`.
fn split(resource: &str) -> (&str, &str) {
    resource.split_once('.').unwrap_or((resource, ""))
}

/// The name of the key as the value has it.
fn name(rest: &[u8]) -> String {
    let name = rest.split(|byte| *byte == b':').next().unwrap_or_default();
    quote(&String::from_utf8_lossy(name))
}

/// Encrypted, but by none of the providers that have keys.
fn not_by_a_key(resource: &str, stored: &[u8]) -> String {
    let kms = stored
        .strip_prefix(PREFIX)
        .is_some_and(|rest| rest.starts_with(b"kms:"));
    match kms {
        true => format!(
            "{resource} is encrypted by a KMS plugin, which keeps its key for itself: it can only be read through \
             an API server that reaches the plugin; start one and recover from it with --kubeconfig"
        ),
        false => format!(
            "{resource} is encrypted by a provider that is not known; known are aescbc, aesgcm and secretbox of version 1"
        ),
    }
}

#[cfg(test)]
mod tests;
