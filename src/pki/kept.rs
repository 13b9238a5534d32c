//! Keys that are made once in a cluster's life: a new one would void what the old one made.

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;

use super::inventory::Inventory;
use super::token::fill;
use super::{Given, issue, text};
use crate::assets::Assets;
use crate::config::Machine;
use crate::config::machine::Encryption;
use crate::exit::{Exit, WithExit, fail};
use crate::hash::sha256;
use crate::secret::Secret;

/// The key pair that signs service-account tokens: `NAME.key` and `NAME.pub`.
pub const SERVICE_ACCOUNT: &str = "tls/service-account";
/// The key that Secrets are encrypted with in etcd, in base64.
pub const ENCRYPTION_KEY: &str = "tls/encryption.key";
const ENCRYPTION_BYTES: usize = 32;

/// The service-account key and its public half (PEM).
pub fn service_account(
    given: &Given,
    earlier: &Assets,
    old: Option<&Inventory>,
) -> Result<(Secret, String)> {
    let given = given
        .service_account_key
        .as_ref()
        .map(given_key)
        .transpose()?;
    let Some(old) = old else {
        return given.map_or_else(new_service_account, Ok);
    };
    let Some(pem) = text(earlier, &format!("{SERVICE_ACCOUNT}.key")) else {
        return refuse_service_account("is gone");
    };
    let public = issue::parse_key(&pem)
        .with_context(|| format!("cannot read {SERVICE_ACCOUNT}.key"))?
        .public_key_pem();
    if sha256(public.as_bytes()) != old.service_account {
        return refuse_service_account("is not the key that was made for this cluster");
    }
    if given.is_some_and(|(_, given)| given != public) {
        return refuse_service_account("is not the one that the document gives now");
    }
    Ok((Secret::new(pem), public))
}

fn new_service_account() -> Result<(Secret, String)> {
    let key = KeyPair::generate().context("cannot make the service-account key")?;
    Ok((Secret::new(key.serialize_pem()), key.public_key_pem()))
}

/// The document's own key, with its public half.
fn given_key(key: &Secret) -> Result<(Secret, String)> {
    let shape = "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`";
    let pem = std::str::from_utf8(key.expose()).unwrap_or_default();
    let pair = issue::parse_key(pem)
        .with_context(|| format!("cluster.serviceAccountKey is no P-256 key in PKCS #8; {shape}"))
        .exit(Exit::Invalid)?;
    Ok((Secret::new(pair.serialize_pem()), pair.public_key_pem()))
}

fn refuse_service_account<T>(what: &str) -> Result<T> {
    Err(fail(
        Exit::Refused,
        anyhow!(
            "{SERVICE_ACCOUNT}.key {what}; a new one would void every token in the cluster: restore \
             it from a backup, or render into an empty folder to begin a new cluster"
        ),
    ))
}

/// The key that Secrets are encrypted with, if the document wants them to be.
pub fn encryption_key(
    machine: &Machine,
    given: &Given,
    earlier: &Assets,
    old: Option<&Inventory>,
) -> Result<Option<Secret>> {
    let recorded = old.and_then(|old| old.encryption_key.as_deref());
    let given = (given.encryption_key.as_ref().map(normal).transpose())
        .context("encryption.key")
        .exit(Exit::Invalid)?;
    let Some(recorded) = recorded else {
        return match machine.encryption {
            Encryption::None => Ok(None),
            Encryption::Secretbox(_) => given.map_or_else(new_encryption_key, Ok).map(Some),
        };
    };
    if machine.encryption == Encryption::None {
        return refuse_encryption(
            "is still needed: the document says encryption.provider none, but what was encrypted stays so",
        );
    }
    let Some(asset) = earlier.get(ENCRYPTION_KEY) else {
        return refuse_encryption("is gone");
    };
    if sha256(asset.bytes.expose()) != recorded {
        return refuse_encryption("is not the key that Secrets are encrypted with");
    }
    if given.is_some_and(|given| given != asset.bytes) {
        return refuse_encryption("is not the one that the document gives now");
    }
    Ok(Some(asset.bytes.clone()))
}

fn new_encryption_key() -> Result<Secret> {
    let mut bytes = [0; ENCRYPTION_BYTES];
    fill(&mut bytes)?;
    Ok(Secret::new(STANDARD.encode(bytes)))
}

fn normal(key: &Secret) -> Result<Secret> {
    let bytes = STANDARD.decode(key.expose().trim_ascii_end());
    match bytes {
        Ok(bytes) if bytes.len() == ENCRYPTION_BYTES => Ok(Secret::new(STANDARD.encode(bytes))),
        _ => bail!(
            "it is not {ENCRYPTION_BYTES} bytes in base64; make one with `openssl rand -base64 32`"
        ),
    }
}

fn refuse_encryption<T>(what: &str) -> Result<T> {
    Err(fail(
        Exit::Refused,
        anyhow!(
            "{ENCRYPTION_KEY} {what}; without it no Secret in etcd can be read: restore it from a \
             backup, or render into an empty folder to begin a new cluster"
        ),
    ))
}
