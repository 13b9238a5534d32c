//! Sealing to a public key: the age format, version 1, for X25519 recipients.
//!
//! Who steals a backup should not have the cluster's keys, and who restores one should not depend on
//! slipway to open it: `age -d -i key.txt bundle.age` does. The format is small: an ephemeral key
//! exchange for each recipient, a header with a MAC, a body in authenticated pieces of 64 KiB. The
//! primitives are those of well-kept crates: HKDF, HMAC and ChaCha20-Poly1305 of ring, which is linked
//! anyway, and the curve of curve25519-dalek, because ring exchanges with no key that was kept.
//!
//! Two roads not taken. The `age` crate: translations of its messages and post-quantum recipients made
//! it 139 crates, ten of them in two versions, and 397,536 bytes (measured with 0.12, in a program of its own).
//! The system's `age`: an image would need it for a backup and a rescue machine for a restore, as the
//! only program beside slipway that has to be there.
//!
//! Format: <https://c2sp.org/age>. Passphrases, SSH and post-quantum keys are refused by name.

mod header;
mod keys;
mod stream;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result, anyhow, ensure};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};

use crate::secret::Secret;

use header::{Header, Stanza};
pub use keys::{Identity, Recipient, identities};

/// How a sealed file begins.
const VERSION: &str = "age-encryption.org/v1";
/// A header's key that everything else is made of, and the nonce of a body.
const FILE_KEY: usize = 16;
const BODY_NONCE: usize = 16;

/// Seals `plain` to each of `recipients`: any of them can open it alone.
///
/// # Errors
/// If there is no recipient, or one whose key is none.
pub fn seal(plain: &[u8], recipients: &[Recipient]) -> Result<Vec<u8>> {
    ensure!(!recipients.is_empty(), "there is nobody to seal it to");
    let random = SystemRandom::new();
    let mut file_key = [0; FILE_KEY];
    let mut nonce = [0; BODY_NONCE];
    fill(&random, &mut file_key)?;
    fill(&random, &mut nonce)?;
    let mut header = Header::default();
    for recipient in recipients {
        let mut ephemeral = [0; keys::LENGTH];
        fill(&random, &mut ephemeral)?;
        header.stanzas.push(wrap(&file_key, recipient, &ephemeral)?);
    }
    let mut sealed = header.write(&mac_key(&file_key)?);
    sealed.extend_from_slice(&nonce);
    stream::seal(&body_key(&file_key, &nonce)?, plain, &mut sealed)?;
    Ok(sealed)
}

/// Opens what was sealed to one of `identities`.
///
/// # Errors
/// If it is not in the format, sealed to somebody else, or damaged.
pub fn open(sealed: &[u8], identities: &[Identity]) -> Result<Secret> {
    let (header, rest) = Header::parse(sealed)?;
    let mut file_key = None;
    for stanza in &header.stanzas {
        for identity in identities {
            file_key = file_key.or(unwrap(stanza, identity)?);
        }
    }
    let file_key = file_key.context(
        "it is sealed to somebody else: none of these identities opens it; give the file of the key \
         whose public half backup.recipients names",
    )?;
    header.check(&mac_key(&file_key)?)?;
    let nonce = rest.get(..BODY_NONCE).context("it is cut off")?;
    let body = rest.get(BODY_NONCE..).unwrap_or_default();
    stream::open(&body_key(&file_key, nonce)?, body).map(Secret::new)
}

/// To how many recipients something is sealed. Only its header is read, and not verified: that takes an
/// identity.
///
/// # Errors
/// If it is not in the format.
pub fn recipients_of(sealed: &[u8]) -> Result<usize> {
    let (header, _) = Header::parse(sealed)?;
    Ok(header.stanzas.iter().filter(|one| one.is_ours()).count())
}

/// The file key for one recipient.
fn wrap(
    file_key: &[u8; FILE_KEY],
    recipient: &Recipient,
    ephemeral: &[u8; keys::LENGTH],
) -> Result<Stanza> {
    let share = keys::public(ephemeral);
    let shared = keys::exchange(ephemeral, &recipient.0)
        .with_context(|| format!("{recipient} is no key that anything can be sealed to"))?;
    let key = wrapping_key(&shared, &share, &recipient.0)?;
    let mut body = file_key.to_vec();
    key.seal_in_place_append_tag(nonce([0; NONCE_LEN]), Aad::empty(), &mut body)
        .map_err(|_| anyhow!("cannot seal"))?;
    Ok(Stanza::ours(&share, body))
}

/// The file key, if the stanza is for this identity.
fn unwrap(stanza: &Stanza, identity: &Identity) -> Result<Option<[u8; FILE_KEY]>> {
    let Some(share) = stanza.share()? else {
        return Ok(None);
    };
    let shared = keys::exchange(&identity.0, &share).context("its header names no key")?;
    let key = wrapping_key(&shared, &share, &keys::public(&identity.0))?;
    let mut body = stanza.body.clone();
    let opened = key.open_in_place(nonce([0; NONCE_LEN]), Aad::empty(), &mut body);
    Ok(opened.ok().and_then(|opened| (&*opened).try_into().ok()))
}

fn wrapping_key(
    shared: &[u8; keys::LENGTH],
    share: &[u8; keys::LENGTH],
    recipient: &[u8; keys::LENGTH],
) -> Result<LessSafeKey> {
    let salt = [*share, *recipient].concat();
    cipher(&derived(shared, &salt, "age-encryption.org/v1/X25519")?)
}

fn mac_key(file_key: &[u8; FILE_KEY]) -> Result<[u8; 32]> {
    derived(file_key, &[], "header")
}

fn body_key(file_key: &[u8; FILE_KEY], nonce: &[u8]) -> Result<LessSafeKey> {
    cipher(&derived(file_key, nonce, "payload")?)
}

/// HKDF with SHA-256.
fn derived(secret: &[u8], salt: &[u8], info: &str) -> Result<[u8; 32]> {
    struct Long;
    impl KeyType for Long {
        fn len(&self) -> usize {
            32
        }
    }
    let mut key = [0; 32];
    Salt::new(HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[info.as_bytes()], Long)
        .and_then(|key_material| key_material.fill(&mut key))
        .map_err(|_| anyhow!("cannot derive a key"))?;
    Ok(key)
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key);
    key.map(LessSafeKey::new)
        .map_err(|_| anyhow!("cannot use a key"))
}

fn nonce(bytes: [u8; NONCE_LEN]) -> Nonce {
    Nonce::assume_unique_for_key(bytes)
}

fn fill(random: &SystemRandom, bytes: &mut [u8]) -> Result<()> {
    random
        .fill(bytes)
        .map_err(|_| anyhow!("the system gives no random bytes"))
}
