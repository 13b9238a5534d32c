//! An authority whose key somebody else has: requests go out, certificates come in.
//!
//! The key that a request is for waits beside it, in `tls/csr/`, until its certificate is put in place.
//! So what serves goes on serving, and a request that is never answered harms nothing. Certificates stay as
//! their signer wrote them, byte by byte: a file that a person put there is not rewritten.

use anyhow::{Context, Result, anyhow, bail, ensure};
use rcgen::KeyPair;

use super::decide::{self, AGED, Decision, Found};
use super::inventory::{Record, Request};
use super::round::Round;
use super::table::{Use, Wanted};
use super::x509::{self, Certificate};
use super::{Pair, issue, key, pem, text};
use crate::exit::{Exit, fail};
use crate::hash::sha256;
use crate::secret::Secret;

/// `digitalSignature`, the first bit of `keyUsage`.
const SIGNS: u8 = 0x80;

/// The path of a certificate's request without the ending, e.g. `tls/csr/kubelet-client`.
pub fn path(name: &str) -> String {
    let name = name.strip_prefix("tls/").unwrap_or(name);
    format!("tls/csr/{}", name.replace('/', "-"))
}

/// Takes what was put in place, keeps what serves, and asks for the rest.
pub fn settle(
    round: &mut Round<'_>,
    wanted: &Wanted,
    found: Found,
    table: &[Wanted],
) -> Result<()> {
    let known = |cert: &String| {
        let record = found.record.as_ref();
        record.is_some_and(|record| record.sha256 == sha256(cert.as_bytes()))
    };
    if let Some(cert) = found.cert.as_ref().filter(|cert| !known(cert)) {
        round.task.needs_date()?;
        return match accept(round, wanted, &found, cert, table) {
            Ok((pair, record)) => {
                round.note(wanted.name, "signed by the document's authority");
                round.take(wanted, pair, record)
            }
            Err(error) => {
                remember(round, wanted, &found);
                let reason = format!("the one there is refused: {error:#}");
                ask(round, wanted, reason, true)
            }
        };
    }
    let signer = round.signers.get(wanted.issuer.unwrap_or_default());
    let fingerprint = signer.context("its authority is missing")?.fingerprint();
    match decide::decide(wanted, &found, Some(&fingerprint), round.task.now) {
        Decision::Refuse(why) => Err(fail(Exit::Refused, anyhow!(why))),
        Decision::Issue(reason) => {
            round.task.needs_date()?;
            remember(round, wanted, &found);
            ask(round, wanted, reason, true)
        }
        Decision::Renew => {
            round.task.needs_date()?;
            round.keep(wanted, found)?;
            ask(round, wanted, AGED.to_owned(), false)
        }
        Decision::Keep if round.task.order.renews(wanted) => {
            round.task.needs_date()?;
            round.keep(wanted, found)?;
            ask(round, wanted, "asked for".to_owned(), false)
        }
        Decision::Keep => {
            let asked = requests(round).and_then(|all| all.get(wanted.name));
            let asked = asked.map(|request| request.reason.clone());
            round.keep(wanted, found)?;
            asked.map_or(Ok(()), |reason| ask(round, wanted, reason, false))
        }
    }
}

/// What does not serve any more stays where it is until its successor comes, and is still known then.
fn remember(round: &mut Round<'_>, wanted: &Wanted, found: &Found) {
    if let Some(record) = &found.record {
        round.records.insert(wanted.name.to_owned(), record.clone());
    }
}

fn requests<'a>(round: &Round<'a>) -> Option<&'a std::collections::BTreeMap<String, Request>> {
    round.task.old.map(|old| &old.requests)
}

/// Has a request lie there; `missing` if nothing can go on without its answer.
fn ask(round: &mut Round<'_>, wanted: &Wanted, reason: String, missing: bool) -> Result<()> {
    let asks = asks(wanted);
    let kept = requests(round)
        .and_then(|all| all.get(wanted.name))
        .filter(|request| request.asks == asks)
        .and_then(|request| unchanged(round, wanted, request));
    let pair = match kept {
        Some(pair) => pair,
        None => {
            let key =
                waiting_key(round, wanted).map_or_else(|| key::generate(wanted.key_type), Ok)?;
            let request = issue::params(wanted)?
                .serialize_request(&key)
                .context("cannot make a request")?;
            Pair {
                cert: pem::encode("CERTIFICATE REQUEST", request.der()),
                key: Secret::new(key::private_pem(&key)),
            }
        }
    };
    let request = Request {
        asks,
        reason: reason.clone(),
        sha256: sha256(pair.cert.as_bytes()),
        key_sha256: sha256(pair.key.expose()),
    };
    round.requests.insert(wanted.name.to_owned(), request);
    round.request_pairs.insert(path(wanted.name), pair);
    if missing {
        round.missing.push((wanted.name, reason));
    }
    Ok(())
}

/// Subject and names out of what a request asks for; none of its parts has a space in it.
pub fn asked(asks: &str) -> (String, Vec<String>) {
    let mut parts = asks.split(' ').map(str::to_owned);
    let common_name = parts.next().unwrap_or_default();
    let organization = parts.next().filter(|organization| !organization.is_empty());
    let subject = issue::subject_text(&common_name, organization.as_deref());
    (subject, parts.skip(2).collect())
}

/// Everything that stands in a request.
fn asks(wanted: &Wanted) -> String {
    let mut parts = vec![
        wanted.common_name.clone(),
        wanted.organization.clone().unwrap_or_default(),
        issue::usage(wanted.usage).to_owned(),
        key::type_name(wanted.key_type).to_owned(),
    ];
    parts.extend(issue::names(wanted));
    parts.join(" ")
}

/// The earlier request's files, if nobody touched them.
fn unchanged(round: &Round<'_>, wanted: &Wanted, request: &Request) -> Option<Pair> {
    let path = path(wanted.name);
    let file = |ending| text(round.task.earlier, &format!("{path}.{ending}"));
    let (cert, key) = (file("csr")?, file("key")?);
    let same =
        sha256(cert.as_bytes()) == request.sha256 && sha256(key.as_bytes()) == request.key_sha256;
    same.then(|| Pair {
        cert,
        key: Secret::new(key),
    })
}

/// The key of an earlier request, for which a certificate may be on its way.
fn waiting_key(round: &Round<'_>, wanted: &Wanted) -> Option<KeyPair> {
    let file = text(round.task.earlier, &format!("{}.key", path(wanted.name)))?;
    let key = key::parse(&file).ok()?;
    (key::type_of(&key) == key::type_name(wanted.key_type)).then_some(key)
}

/// Judges a certificate that somebody put in place.
fn accept(
    round: &Round<'_>,
    wanted: &Wanted,
    found: &Found,
    file: &str,
    table: &[Wanted],
) -> Result<(Pair, Record)> {
    let blocks = pem::blocks(file)?;
    let leaf = Certificate::parse(&pem::der(&blocks[0])?)?;
    let path = path(wanted.name);
    let waiting = text(round.task.earlier, &format!("{path}.key"));
    let fits = |key: &&String| key::parse_for(key.as_bytes(), &leaf.spki).is_ok();
    let key = waiting.iter().chain(&found.key).find(fits);
    let key = key.with_context(|| format!("it is for another key than that of {path}.csr"))?;
    signed(round, wanted, &leaf, &blocks[1..])?;
    is_wanted(wanted, &leaf, table)?;
    let (begins, ends) = (leaf.not_before()?, leaf.not_after()?);
    ensure!(
        begins <= round.task.now,
        "it begins on {}; is the clock right?",
        begins.date()
    );
    ensure!(ends > round.task.now, "it expired on {}", ends.date());
    let pair = Pair {
        cert: file.to_owned(),
        key: Secret::new(key.as_bytes()),
    };
    let signer = round.signers.get(wanted.issuer.unwrap_or_default());
    let record = Record {
        issuer: signer.map(super::authority::Generation::fingerprint),
        public_key: sha256(key::public_key(&leaf.spki)?.1),
        key_type: key::type_of_public(&leaf.spki)?.to_owned(),
        ..issue::record(wanted, &pair, begins, ends)?
    };
    Ok((pair, record))
}

fn signed(round: &Round<'_>, wanted: &Wanted, leaf: &Certificate, after: &[String]) -> Result<()> {
    let signer = round.signers.get(wanted.issuer.unwrap_or_default());
    let generation = signer.context("its authority is missing")?;
    let signer = Certificate::parse(&pem::der(generation.signer())?)?;
    ensure!(
        leaf.issuer == signer.subject,
        "it was signed by {}, not by {}",
        leaf.issuer_text(),
        signer.subject_text()
    );
    ensure!(
        leaf.is_signed_by(&signer)?,
        "its signature is not that of {}",
        signer.subject_text()
    );
    match (generation.between(), after) {
        (between, after) if between == after => Ok(()),
        ([], _) => bail!("the file holds more than the one certificate"),
        (between, _) => bail!(
            "after it the file must hold those between it and the root: the first {} of \
             certificates.authority.certificate",
            between.len()
        ),
    }
}

fn is_wanted(wanted: &Wanted, leaf: &Certificate, table: &[Wanted]) -> Result<()> {
    let subject = (
        leaf.values(x509::COMMON_NAME),
        leaf.values(x509::ORGANIZATION),
    );
    let needed = (
        vec![wanted.common_name.clone()],
        Vec::from_iter(wanted.organization.clone()),
    );
    ensure!(
        subject == needed,
        "its subject is {}, but its common name must be {} and its organization {}: they are the user and \
         the group",
        leaf.subject_text(),
        wanted.common_name,
        wanted.organization.as_deref().unwrap_or("absent")
    );
    let needed = issue::names(wanted);
    if let Some(name) = needed.iter().find(|name| !leaf.names.contains(name)) {
        bail!("it lacks the name {name}");
    }
    let others: Vec<String> = table.iter().flat_map(issue::names).collect();
    let foreign = |name: &&String| others.contains(name) && !needed.contains(name);
    if let Some(name) = leaf.names.iter().find(foreign) {
        bail!("it has the name {name}, which is another server's of this cluster");
    }
    let (server, client) = match wanted.usage {
        Use::Server => (true, false),
        Use::Client => (false, true),
        _ => (true, true),
    };
    ensure!(
        !server || leaf.serves(x509::SERVER),
        "it must not be used by a server (extendedKeyUsage)"
    );
    ensure!(
        !client || leaf.serves(x509::CLIENT),
        "it must not be used by a client (extendedKeyUsage)"
    );
    ensure!(!leaf.is_authority, "it is an authority");
    ensure!(
        leaf.key_usage.is_none_or(|usage| usage & SIGNS != 0),
        "it must not sign (keyUsage without digitalSignature)"
    );
    Ok(())
}
