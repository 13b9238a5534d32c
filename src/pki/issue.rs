//! Issuing: P-256 keys and the certificates around them.

use std::time::Duration as StdDuration;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use time::{Duration, OffsetDateTime};

use super::Pair;
use super::inventory::{Record, date};
use super::table::{Use, Wanted};
use crate::config::machine::AltName;
use crate::hash::sha256;
use crate::secret::Secret;

const DAY: StdDuration = StdDuration::from_secs(24 * 60 * 60);
/// Certificates begin this much before they are made, for peers whose clocks are behind.
const BACKDATED: Duration = Duration::HOUR;

/// How long an authority is valid.
fn authority_life() -> Duration {
    Duration::days(3653)
}

/// How long everything else is valid.
pub fn leaf_life() -> Duration {
    Duration::seconds(365 * DAY.as_secs() as i64)
}

/// An authority that can sign: its key and its subject.
pub struct Authority {
    key: KeyPair,
    params: CertificateParams,
    fingerprint: String,
    not_after: OffsetDateTime,
}

impl Authority {
    /// From its files and the record, which knows the subject it was made with.
    pub fn new(pair: &Pair, record: &Record) -> Result<Self> {
        let pem = std::str::from_utf8(pair.key.expose()).context("its key is not PEM")?;
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(&record.common_name, record.organization.as_deref());
        Ok(Self {
            key: parse_key(pem)?,
            params,
            fingerprint: sha256(pair.cert.as_bytes()),
            not_after: record.not_after()?,
        })
    }
}

/// A new key and certificate for a line of the table; `authority` is `None` for one that signs
/// itself. Nothing outlives what signed it.
pub fn issue(
    wanted: &Wanted,
    authority: Option<&Authority>,
    now: OffsetDateTime,
) -> Result<(Pair, Record)> {
    let key = KeyPair::generate().context("cannot make a key")?;
    let mut params = params(wanted, now)?;
    let cert = match authority {
        None => params.self_signed(&key),
        Some(authority) => {
            params.not_after = params.not_after.min(authority.not_after);
            params.signed_by(
                &key,
                &Issuer::from_params(&authority.params, &authority.key),
            )
        }
    };
    let cert = cert.context("cannot sign")?.pem();
    let record = Record {
        common_name: wanted.common_name.clone(),
        organization: wanted.organization.clone(),
        usage: usage(wanted.usage).to_owned(),
        names: names(wanted),
        issuer: authority.map(|authority| authority.fingerprint.clone()),
        not_after: date(params.not_after)?,
        sha256: sha256(cert.as_bytes()),
        public_key: public_key(&key),
    };
    Ok((
        Pair {
            cert,
            key: Secret::new(key.serialize_pem()),
        },
        record,
    ))
}

fn params(wanted: &Wanted, now: OffsetDateTime) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(&wanted.common_name, wanted.organization.as_deref());
    params.not_before = now - BACKDATED;
    params.subject_alt_names = wanted.names.iter().map(san).collect::<Result<_>>()?;
    params.use_authority_key_identifier_extension = true;
    if wanted.usage == Use::Authority {
        params.not_after = now + authority_life();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    } else {
        params.not_after = now + leaf_life();
        // Not merely "no": only this writes the subject key identifier too.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = purposes(wanted.usage);
    }
    Ok(params)
}

fn purposes(usage: Use) -> Vec<ExtendedKeyUsagePurpose> {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    match usage {
        Use::Authority => vec![],
        Use::Server => vec![ServerAuth],
        Use::Client => vec![ClientAuth],
        Use::Both => vec![ServerAuth, ClientAuth],
    }
}

fn subject(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(organization) = organization {
        subject.push(DnType::OrganizationName, organization);
    }
    subject.push(DnType::CommonName, common_name);
    subject
}

fn san(name: &AltName) -> Result<SanType> {
    Ok(match name {
        AltName::Dns(name) => SanType::DnsName(
            name.as_str()
                .try_into()
                .with_context(|| format!("{name:?} is no DNS name"))?,
        ),
        AltName::Ip(address) => SanType::IpAddress(*address),
    })
}

/// The names of a certificate as its record holds them.
pub fn names(wanted: &Wanted) -> Vec<String> {
    let text = |name: &AltName| match name {
        AltName::Dns(name) => format!("DNS:{name}"),
        AltName::Ip(address) => format!("IP:{address}"),
    };
    let mut names: Vec<String> = wanted.names.iter().map(text).collect();
    names.sort();
    names
}

/// The use of a certificate as its record holds it.
pub fn usage(usage: Use) -> &'static str {
    match usage {
        Use::Authority => "authority",
        Use::Server => "server",
        Use::Client => "client",
        Use::Both => "both",
    }
}

/// Reads a P-256 key (PKCS #8 PEM).
pub fn parse_key(pem: &str) -> Result<KeyPair> {
    // The algorithm is named because guessing tries RSA too, and that is slow.
    KeyPair::from_pkcs8_pem_and_sign_algo(pem, &PKCS_ECDSA_P256_SHA256)
        .context("it is no P-256 key in PKCS #8 PEM")
}

/// Fingerprint of a key pair's public half.
pub fn public_key(key: &KeyPair) -> String {
    sha256(key.der_bytes())
}
