//! Somebody else's etcd: its authority, and the certificate that it knows us by, from the document.

use anyhow::{Context, Result, bail};

use super::inventory::Record;
use super::round::Round;
use super::table::{ETCD_CA, Use};
use super::x509::{self, Certificate};
use super::{Pair, issue, key, pem};
use crate::config::machine::{Etcd, ExternalEtcd};
use crate::exit::{Exit, WithExit};
use crate::hash::sha256;
use crate::secret::Secret;

const CLIENT: &str = "tls/etcd-client";

/// Takes both, if the document has them. What is as it was when it was taken is not judged again.
pub fn settle(round: &mut Round<'_>) -> Result<()> {
    let machine = round.task.machine;
    let (Etcd::External(etcd), Some(key)) = (&machine.etcd, &round.task.given.etcd_key) else {
        return Ok(());
    };
    take(round, etcd, key).exit(Exit::Invalid)
}

fn take(round: &mut Round<'_>, etcd: &ExternalEtcd, key: &Secret) -> Result<()> {
    let authority = pem::blocks(&etcd.authority).context("authority")?;
    let blocks = pem::blocks(&etcd.certificate).context("certificate")?;
    let read = || Certificate::parse(&pem::der(&blocks[0])?);
    let normal = key::normal(key.expose(), &|| Ok(read()?.spki)).context("key")?;
    let pair = Pair {
        cert: blocks.concat(),
        key: Secret::new(normal),
    };
    let (cert_hash, key_hash) = (sha256(pair.cert.as_bytes()), sha256(pair.key.expose()));
    let old = round.task.old.and_then(|old| old.certificates.get(CLIENT));
    let same =
        |old: &&Record| old.sha256 == cert_hash && old.key_sha256.as_ref() == Some(&key_hash);
    let record = match old.filter(same) {
        Some(old) => old.clone(),
        None => {
            round.task.needs_date()?;
            Record {
                sha256: cert_hash,
                key_sha256: Some(key_hash),
                ..judge(&read().context("certificate")?, &pair.key, round)?
            }
        }
    };
    round.certs.insert(ETCD_CA, authority.concat());
    round.pairs.insert(CLIENT, pair);
    round.records.insert(CLIENT.to_owned(), record);
    Ok(())
}

fn judge(read: &Certificate, key: &Secret, round: &Round<'_>) -> Result<Record> {
    key::parse_for(key.expose(), &read.spki).context("key")?;
    if !read.serves(x509::CLIENT) {
        bail!("certificate: it must not be used by a client (extendedKeyUsage)");
    }
    if read.not_after()? <= round.task.now {
        bail!("certificate: it expired on {}", read.not_after()?.date());
    }
    issue::given(read, Use::Client)
}
