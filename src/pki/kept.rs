//! Keys that are made once in a cluster's life: a new one would void what the old one made.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::inventory::Inventory;
use super::rotation::refuse;
use super::token::fill;
use super::{Given, key, text};
use crate::assets::Assets;
use crate::config::Machine;
use crate::config::machine::Encryption;
use crate::exit::{Exit, WithExit};
use crate::hash::sha256;
use crate::secret::Secret;

/// The key pair that signs service-account tokens: `NAME.key` and `NAME.pub`.
pub const SERVICE_ACCOUNT: &str = "tls/service-account";
/// The key that Secrets are encrypted with in etcd, in base64.
pub const ENCRYPTION_KEY: &str = "tls/encryption.key";
const ENCRYPTION_BYTES: usize = 32;

/// The service-account key and its public half (PEM).
pub fn service_account(
    machine: &Machine,
    given: &Given,
    earlier: &Assets,
    old: Option<&Inventory>,
) -> Result<(Secret, String)> {
    let given = given.service_account_key.as_ref().map(given_key);
    let given = given.transpose()?;
    let Some(old) = old else {
        let key = match given {
            Some(pem) => key::parse_elliptic(&pem)
                .context("cluster.serviceAccountKey")
                .exit(Exit::Invalid)?,
            None => key::generate(machine.certificates.key_type)?,
        };
        return Ok((Secret::new(key::private_pem(&key)), key::public_pem(&key)));
    };
    let Some(pem) = text(earlier, &format!("{SERVICE_ACCOUNT}.key")) else {
        return refuse_service_account("is gone");
    };
    let public = recorded_public(&pem, earlier, old)?;
    if sha256(public.as_bytes()) != old.service_account {
        return refuse_service_account("is not the key that was made for this cluster");
    }
    if given.is_some_and(|given| given != pem) {
        return refuse(
            "tls/service-account.key is not the one that the document gives now, and a new one would void every \
             token in the cluster: write the former key, or leave cluster.serviceAccountKey out",
        );
    }
    Ok((Secret::new(pem), public))
}

/// The public half of a key file; that beside it, if both are as they were recorded.
fn recorded_public(pem: &str, earlier: &Assets, old: &Inventory) -> Result<String> {
    if old.service_account_key.as_deref() == Some(&sha256(pem.as_bytes()))
        && let Some(public) = text(earlier, &format!("{SERVICE_ACCOUNT}.pub"))
        && sha256(public.as_bytes()) == old.service_account
    {
        return Ok(public);
    }
    let key = key::parse(pem).with_context(|| format!("cannot read {SERVICE_ACCOUNT}.key"))?;
    Ok(key::public_pem(&key))
}

/// The document's own key, in the form in which it is kept.
fn given_key(key: &Secret) -> Result<String> {
    let shape = "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`";
    key::normal(key.expose(), &key::nothing_known)
        .with_context(|| format!("cluster.serviceAccountKey is no P-256 or P-384 key; {shape}"))
        .exit(Exit::Invalid)
}

fn refuse_service_account<T>(what: &str) -> Result<T> {
    refuse(&format!(
        "{SERVICE_ACCOUNT}.key {what}; a new one would void every token in the cluster: restore \
         it from a backup, or render into an empty folder to begin a new cluster"
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
        return refuse(
            "the document says encryption.provider none, but what was encrypted stays so: write \
             `encryption.provider: secretbox` again",
        );
    }
    let Some(asset) = earlier.get(ENCRYPTION_KEY) else {
        return refuse_encryption("is gone");
    };
    if sha256(asset.bytes.expose()) != recorded {
        return refuse_encryption("is not the key that Secrets are encrypted with");
    }
    if given.is_some_and(|given| given != asset.bytes) {
        return refuse(
            "the Secrets in etcd are encrypted with another key than the one that the document gives now: write \
             the former key, or leave encryption.key out",
        );
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
    refuse(&format!(
        "{ENCRYPTION_KEY} {what}; without it no Secret in etcd can be read: restore it from a \
         backup, or render into an empty folder to begin a new cluster"
    ))
}
