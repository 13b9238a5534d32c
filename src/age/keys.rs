//! Keys as people keep them: `age1…` to seal with, `AGE-SECRET-KEY-1…` to open with.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use curve25519_dalek::montgomery::MontgomeryPoint;

/// Bytes of a key, public or secret.
pub const LENGTH: usize = 32;
/// The curve's base point.
const BASE: MontgomeryPoint = {
    let mut bytes = [0; LENGTH];
    bytes[0] = 9;
    MontgomeryPoint(bytes)
};

const PUBLIC: &str = "age";
const SECRET: &str = "age-secret-key-";
/// Other things that begin so, and what they are.
const STRANGERS: [(&str, &str); 4] = [
    ("age1pq1", "a post-quantum key"),
    ("age1tag", "a key of a hardware token"),
    ("age1yubikey1", "a key of a hardware token"),
    ("ssh-", "an SSH key"),
];
/// How every secret key begins, in small letters: what follows is never shown.
const SECRET_START: &str = "age-secret-key";

/// Whom something can be sealed to: the public half of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Recipient(pub(super) [u8; LENGTH]);

/// Who can open it: the secret half.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity(pub(super) [u8; LENGTH]);

impl FromStr for Recipient {
    type Err = Error;

    /// Understands `age1…`. What it says of a secret key does not show it.
    fn from_str(text: &str) -> Result<Self> {
        let small = text.to_ascii_lowercase();
        if small.starts_with(SECRET_START) {
            bail!(
                "this is a secret key, which has no place here; give the public one that belongs to it, \
                 age1… (`age-keygen -y` prints it), and take this one for known"
            );
        }
        if let Some((_, what)) = STRANGERS.iter().find(|(start, _)| small.starts_with(start)) {
            bail!("{what} is not supported; make one with `age-keygen`, whose public key is age1…");
        }
        let bytes = decoded(text, PUBLIC)
            .context("it is no public key of age; `age-keygen` prints one: age1…")?;
        let key = Self(bytes);
        // All-zero and a few others: whatever is exchanged with them is known to everybody.
        exchange(&[1; LENGTH], &key.0).context("it is no key of its own")?;
        Ok(key)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hrp = Hrp::parse(PUBLIC).map_err(|_| fmt::Error)?;
        let text = bech32::encode_lower::<Bech32>(hrp, &self.0).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Identity {
    /// The public half.
    pub fn recipient(&self) -> Recipient {
        Recipient(public(&self.0))
    }
}

impl FromStr for Identity {
    type Err = Error;

    /// Understands `AGE-SECRET-KEY-1…`. No error shows it.
    fn from_str(text: &str) -> Result<Self> {
        decoded(text, SECRET).map(Self)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity of {}", self.recipient())
    }
}

/// The secret keys of a file as `age-keygen` writes it: one a line, comments begin with `#`.
///
/// # Errors
/// If a line is something else, which is named by its number alone, or there is no key.
pub fn identities(file: &[u8]) -> Result<Vec<Identity>> {
    let text = std::str::from_utf8(file).map_err(|_| anyhow!("it is no text"))?;
    ensure!(
        !text.starts_with("age-encryption.org/") && !text.starts_with("-----BEGIN AGE"),
        "it is itself encrypted; decrypt it first, with `age -d`"
    );
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line.parse::<Identity>();
        keys.push(key.map_err(|_| {
            anyhow!("line {number} is no secret key of age (AGE-SECRET-KEY-1…, as `age-keygen` writes it)")
        })?);
    }
    ensure!(!keys.is_empty(), "there is no key in it");
    Ok(keys)
}

/// The key of a text that begins with `start`. bech32 takes all small or all large letters, not both.
fn decoded(text: &str, start: &str) -> Result<[u8; LENGTH]> {
    let checked = CheckedHrpstring::new::<Bech32>(text)
        .map_err(|_| anyhow!("its letters do not fit together"))?;
    ensure!(
        checked.hrp().to_lowercase() == start,
        "it does not begin with {start}1"
    );
    let bytes: Vec<u8> = checked.byte_iter().collect();
    let length = bytes.len();
    bytes
        .try_into()
        .map_err(|_| anyhow!("it has {length} bytes, not {LENGTH}"))
}

/// The public half of a secret key.
pub fn public(secret: &[u8; LENGTH]) -> [u8; LENGTH] {
    BASE.mul_clamped(*secret).to_bytes()
}

/// X25519; `None` where the outcome does not depend on the secret (RFC 7748 §6.1).
pub fn exchange(secret: &[u8; LENGTH], public: &[u8; LENGTH]) -> Option<[u8; LENGTH]> {
    let shared = MontgomeryPoint(*public).mul_clamped(*secret).to_bytes();
    (shared != [0; LENGTH]).then_some(shared)
}
