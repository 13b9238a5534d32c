//! The cluster's authority: made or given, and its successor while one takes over.
//!
//! `ca.crt` is what is trusted. It begins with the chain of the authority that signs; while a rotation
//! is under way the other one's follows. Which step that is says what lies beside it: `ca-next` after
//! the first (both are trusted, the old one signs), `ca-previous` after the second (the new one signs),
//! nothing after the third. So there is no state that could contradict the files, and every step
//! can be done again.

use anyhow::{Context, Result};

use super::decide::{self, Decision};
use super::inventory::Record;
use super::rotation::{self, Step, refuse, refuse_step};
use super::round::Round;
use super::table::{CA, NEXT, PREVIOUS, Use, Wanted};
use super::x509::Certificate;
use super::{NEW, Pair, chain, issue, key, pem};
use crate::exit::{Exit, WithExit};
use crate::hash::sha256;
use crate::secret::Secret;

/// An authority with the chain above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// What signs, then what stands above it, the root last; a PEM block each.
    pub chain: Vec<String>,
    /// The key of the first, if it is here.
    pub key: Option<Secret>,
    record: Record,
}

impl Generation {
    /// From a file that begins with its chain.
    pub fn new(file: &str, key: Option<Secret>, record: Record) -> Result<Self> {
        let mut chain = pem::blocks(file)?;
        chain.truncate(record.chain.max(1));
        Ok(Self { chain, key, record })
    }

    /// The certificate that signs.
    pub fn signer(&self) -> &str {
        &self.chain[0]
    }

    /// Its fingerprint, as leaves' records hold it.
    pub fn fingerprint(&self) -> String {
        sha256(self.signer().as_bytes())
    }

    /// What a leaf is followed by: all but the root, which everybody must have already.
    pub fn between(&self) -> &[String] {
        &self.chain[..self.chain.len() - 1]
    }
}

/// What the document says about the authority.
pub struct Document {
    pub chain: Vec<String>,
    key: Option<Secret>,
}

/// Settles the cluster's authority, and does the step of a rotation that is asked for.
pub fn settle(round: &mut Round<'_>, wanted: &Wanted) -> Result<()> {
    let document = document(round)?;
    let step = round.task.order.step;
    let Some(current) = load(round, wanted, CA)? else {
        if step.is_some() {
            return refuse("there is no authority yet; run `slipway render` first");
        }
        round.task.needs_date()?;
        let new = begin(round, wanted, document)?;
        round.note(CA, NEW);
        return put(round, new, None);
    };
    let next = load(round, wanted, NEXT)?.map(|next| (NEXT, next));
    let previous = load(round, wanted, PREVIOUS)?.map(|previous| (PREVIOUS, previous));
    let other = next.or(previous);
    if step.is_some() {
        round.task.needs_date()?;
    }
    let (current, other) = match (step, other) {
        (Some(Step::Trust), None) => rotation::trust(round, wanted, current, document)?,
        (step, other) => rotation::advance(round, step, current, other, document)?,
    };
    put(round, current, other)
}

/// A new authority: the document's, or one that is made.
pub fn begin(
    round: &mut Round<'_>,
    wanted: &Wanted,
    document: Option<Document>,
) -> Result<Generation> {
    let Some(document) = document else {
        let (pair, record) = round.issue(wanted)?;
        return Generation::new(&pair.cert, Some(pair.key), record);
    };
    let at = "certificates.authority";
    let chain = chain::check(&document.chain.concat(), round.task.now)
        .with_context(|| format!("{at}.certificate"))
        .exit(Exit::Invalid)?;
    let signer = Certificate::parse(&pem::der(&chain[0])?)?;
    if let Some(key) = &document.key {
        check_key(key, &signer)?;
    }
    let record = Record {
        chain: chain.len(),
        ..issue::given(&signer, Use::Authority)?
    };
    Ok(Generation {
        chain,
        key: document.key,
        record,
    })
}

fn check_key(key: &Secret, signer: &Certificate) -> Result<()> {
    let fits = key::parse_for(key.expose(), &signer.spki).map(drop);
    fits.context("certificates.authority.key")
        .exit(Exit::Invalid)
}

/// The authority that the document must give, if it gives one: with the key that it gives now.
pub fn as_document(
    round: &Round<'_>,
    mut generation: Generation,
    document: Option<Document>,
) -> Result<Generation> {
    match document {
        None if !generation.record.given => Ok(generation),
        // The one that was made here, copied into the document: its key stays where it is.
        Some(document) if !generation.record.given && document.chain == generation.chain => {
            Ok(generation)
        }
        Some(document) if document.chain == generation.chain => {
            let now = document.key.as_ref().map(|key| sha256(key.expose()));
            if let (Some(key), true) = (&document.key, now != generation.record.key_sha256) {
                check_key(key, &Certificate::parse(&pem::der(generation.signer())?)?)?;
            }
            generation.key = document.key;
            Ok(generation)
        }
        _ if round.task.order.step.is_some() => refuse(
            "certificates.authority is not the one that this rotation began with; put that one back",
        ),
        _ => refuse_step(
            "the document's certificates.authority is not the authority that signs in this cluster, and whoever \
             trusts only that one would be cut off",
            Step::Trust,
        ),
    }
}

/// The document's chain and key. The chain is not judged here, only brought into the form of records.
fn document(round: &Round<'_>) -> Result<Option<Document>> {
    let Some(authority) = &round.task.machine.certificates.authority else {
        return Ok(None);
    };
    let read = || -> Result<Document> {
        let chain = pem::blocks(&authority.certificate).context("certificate")?;
        let signer = || Certificate::parse(&pem::der(&chain[0])?);
        let key = round.task.given.authority_key.as_ref();
        let key = key.map(|key| key::normal(key.expose(), &|| Ok(signer()?.spki)));
        let key = key.transpose().context("key")?.map(Secret::new);
        Ok(Document { chain, key })
    };
    read()
        .context("certificates.authority")
        .exit(Exit::Invalid)
        .map(Some)
}

/// What an earlier render left of an authority.
fn load(round: &Round<'_>, wanted: &Wanted, name: &'static str) -> Result<Option<Generation>> {
    let found = round.find(name);
    let wanted = Wanted {
        name,
        ..wanted.clone()
    };
    let Some(record) = &found.record else {
        return match decide::without_record(&wanted, &found) {
            Decision::Refuse(why) => refuse(&why),
            _ => Ok(None),
        };
    };
    // Of a given one the document is the place where its key is kept; the previous one's is gone.
    let keyless = record.given || name == PREVIOUS;
    let decision = match keyless {
        true => decide::damaged_cert(&wanted, &found, record),
        false => decide::damage(&wanted, &found, record),
    };
    if let Some(Decision::Refuse(why)) = decision {
        return refuse(&why);
    }
    if name == CA
        && let Decision::Refuse(why) =
            decide::authority(&wanted, record.not_after()?, round.task.now)
    {
        return refuse(&why);
    }
    let file = found.cert.context("its certificate is missing")?;
    let key = found.key.map(Secret::new);
    Generation::new(&file, key, record.clone()).map(Some)
}

/// Hands over what signs and what is trusted beside it.
fn put(
    round: &mut Round<'_>,
    current: Generation,
    other: Option<(&'static str, Generation)>,
) -> Result<()> {
    let mut bundle = current.chain.concat();
    if let Some((name, other)) = other {
        bundle += &other.chain.concat();
        file(round, name, other.chain.concat(), other.key, other.record);
    }
    file(
        round,
        CA,
        bundle,
        current.key.clone(),
        current.record.clone(),
    );
    round
        .certs
        .insert(super::SIGNER, current.signer().to_owned());
    round.signers.insert(CA, current);
    Ok(())
}

fn file(
    round: &mut Round<'_>,
    name: &'static str,
    cert: String,
    key: Option<Secret>,
    mut record: Record,
) {
    record.sha256 = sha256(cert.as_bytes());
    record.key_sha256 = key.as_ref().map(|key| sha256(key.expose()));
    match key {
        Some(key) => drop(round.pairs.insert(name, Pair { cert, key })),
        None => drop(round.certs.insert(name, cert)),
    }
    round.records.insert(name.to_owned(), record);
}
