//! The bootstrap token: what a new node shows until it has a certificate.
//!
//! Losing it harms nobody, so unlike a key it is simply made anew. Its end is counted from the day it
//! was made and kept in the record, because a render must not prolong it. One that has ended is followed by
//! another when certificates are renewed, once an hour, and not when a node renders as it boots: a boot would
//! wait for the clock then. The document's is never dated anew; whoever wrote it down wanted it to end.

use std::time::SystemTime;

use anyhow::{Context, Result, anyhow};
use ring::rand::{SecureRandom, SystemRandom};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::inventory::{Inventory, TokenRecord, date};
use super::{Given, text};
use crate::assets::Assets;
use crate::config::Machine;
use crate::exit::{Exit, WithExit};
use crate::secret::Secret;

/// Where the token is kept.
pub const FILE: &str = "auth/bootstrap-token";
/// The group of users that show a token of ours; no other token lets nodes in.
pub const GROUP: &str = "system:bootstrappers:slipway:node";
const ID: usize = 6;
const SECRET: usize = 16;

/// A bootstrap token and the time it is good for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootstrapToken {
    /// The public half: the name of its Secret ends in it.
    pub id: String,
    /// The other half.
    pub secret: Secret,
    /// When it ends, RFC 3339.
    pub expires: String,
}

impl BootstrapToken {
    /// As nodes write it: `ID.SECRET`.
    pub fn token(&self) -> Secret {
        joined(&self.id, &self.secret)
    }

    /// Whether it lets nodes in.
    pub fn is_good(&self, now: SystemTime) -> bool {
        is_good(&self.expires, now.into())
    }
}

/// Whether a token that ends then is good now.
pub fn is_good(expires: &str, now: OffsetDateTime) -> bool {
    OffsetDateTime::parse(expires, &Rfc3339).is_ok_and(|end| end > now)
}

/// The token that serves on, if there is one: the document's, or that of the last render. With `renewed` one
/// that was made here and has ended by then does not.
pub fn keep(
    given: &Given,
    earlier: &Assets,
    old: Option<&Inventory>,
    renewed: Option<OffsetDateTime>,
) -> Result<Option<BootstrapToken>> {
    let given = given.token.as_ref().map(parse).transpose();
    let given = given.context("join.token").exit(Exit::Invalid)?;
    let kept = text(earlier, FILE).and_then(|text| parse(&Secret::new(text)).ok());
    let record = old.and_then(|old| old.token.as_ref());
    let (Some((id, secret)), Some(record)) = (kept, record) else {
        return Ok(None);
    };
    let other = match given {
        Some(given) => given != (id.clone(), secret.clone()),
        None => renewed.is_some_and(|now| !is_good(&record.expires, now)),
    };
    Ok((!other && record.id == id).then(|| BootstrapToken {
        id,
        secret,
        expires: record.expires.clone(),
    }))
}

/// The document's token or a new one, good from now on.
pub fn make(machine: &Machine, given: &Given, now: OffsetDateTime) -> Result<BootstrapToken> {
    let (id, secret) = match &given.token {
        Some(token) => parse(token)?,
        None => (random(ID)?, Secret::new(random(SECRET)?)),
    };
    Ok(BootstrapToken {
        id,
        secret,
        expires: date(now + machine.join.token_lifetime)?,
    })
}

/// What the record keeps of it.
pub fn record(token: &BootstrapToken) -> TokenRecord {
    TokenRecord {
        id: token.id.clone(),
        expires: token.expires.clone(),
    }
}

impl Given {
    /// The token that a worker shows.
    ///
    /// # Errors
    /// [`Exit::Invalid`] if the document gives none, or something else.
    pub fn join_token(&self) -> Result<Secret> {
        let token = self.token.as_ref().context("a worker joins with a token");
        token
            .and_then(parse)
            .map(|(id, secret)| joined(&id, &secret))
            .context("join.token")
            .exit(Exit::Invalid)
    }
}

fn joined(id: &str, secret: &Secret) -> Secret {
    let mut whole = Secret::new(format!("{id}."));
    whole.expose_mut().extend(secret.expose());
    whole
}

fn parse(token: &Secret) -> Result<(String, Secret)> {
    let wrong = || anyhow!("it is no bootstrap token: 6 small letters or digits, a dot, 16 more");
    let text = std::str::from_utf8(token.expose()).map_err(|_| wrong())?;
    let (id, secret) = text.trim_end().split_once('.').with_context(wrong)?;
    let plain = |text: &str, length| text.len() == length && text.bytes().all(is_plain);
    match plain(id, ID) && plain(secret, SECRET) {
        true => Ok((id.to_owned(), Secret::new(secret))),
        false => Err(wrong()),
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Letters and digits, each as likely as any other: bytes that would favour some are drawn again.
fn random(length: usize) -> Result<String> {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::new();
    while text.len() < length {
        let mut byte = [0];
        fill(&mut byte)?;
        if byte[0] < 252 {
            text.push(char::from(LETTERS[usize::from(byte[0] % 36)]));
        }
    }
    Ok(text)
}

/// Random bytes of the system.
pub fn fill(bytes: &mut [u8]) -> Result<()> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| anyhow!("the system has no random numbers"))
}
