//! The document's own authority: is it one, and whole?
//!
//! Everything is checked once, when the chain is taken, and in the order in which a person would put
//! it right; later renders compare its fingerprint only.

use anyhow::{Context, Result, anyhow, bail, ensure};
use time::OffsetDateTime;

use super::pem;
use super::x509::{Certificate, SIGNS_CERTIFICATES};

/// More is a bundle of strangers.
const LONGEST: usize = 8;

/// Reads a chain: the certificate that signs, then those above it, the root last; each in a block as this room
/// writes it.
///
/// # Errors
/// Which certificate is wrong, and why.
pub fn check(text: &str, now: OffsetDateTime) -> Result<Vec<String>> {
    let blocks = pem::blocks(text)?;
    ensure!(
        blocks.len() <= LONGEST,
        "it has {} certificates; give the one that signs and those above it only",
        blocks.len()
    );
    let chain: Vec<Certificate> = blocks
        .iter()
        .map(|block| Certificate::parse(&pem::der(block)?))
        .collect::<Result<_>>()?;
    for (at, one) in chain.iter().enumerate() {
        let above = chain.get(at + 1).unwrap_or(one);
        authority(one, at, now)
            .and_then(|()| link(one, above))
            .with_context(|| format!("certificate {} ({})", at + 1, one.subject_text()))?;
    }
    // Whether leaves can name it as their issuer.
    chain[0].distinguished_name()?;
    Ok(blocks)
}

fn authority(one: &Certificate, below: usize, now: OffsetDateTime) -> Result<()> {
    let (begins, ends) = (one.not_before()?, one.not_after()?);
    ensure!(
        one.is_authority,
        "it is no authority (basicConstraints CA); only authorities belong here"
    );
    ensure!(
        one.key_usage
            .is_none_or(|usage| usage & SIGNS_CERTIFICATES != 0),
        "it must not sign certificates (keyUsage without keyCertSign)"
    );
    if let Some(limit) = &one.limit {
        bail!(
            "it has {limit}, with which not every part of Kubernetes verifies what is signed below it; give an \
             authority without"
        );
    }
    ensure!(
        begins <= now,
        "it begins on {}; is the clock right?",
        begins.date()
    );
    ensure!(ends > now, "it expired on {}", ends.date());
    ensure!(
        one.path_length
            .is_none_or(|length| usize::from(length) >= below),
        "it allows {} authorities below it (pathlen), and there are {below}",
        one.path_length.unwrap_or_default()
    );
    Ok(())
}

fn link(one: &Certificate, above: &Certificate) -> Result<()> {
    let next = above.subject_text();
    if one.issuer != above.subject {
        return Err(match std::ptr::eq(one, above) {
            true => anyhow!(
                "it is the last one, but no root: it was signed by {}, which must follow it",
                one.issuer_text()
            ),
            false => anyhow!(
                "it was signed by {}, but {next} follows it: give the one that signs first, each \
                 one's signer after it, the root last",
                one.issuer_text()
            ),
        });
    }
    if !one.is_signed_by(above)? {
        bail!("its signature is not that of {next}, which has the right name but another key");
    }
    Ok(())
}
