//! Issuing: keys and the certificates around them.

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use super::inventory::{Record, date};
use super::table::{Use, Wanted};
use super::x509::Certificate;
use super::{Pair, key, pem};
use crate::config::machine::AltName;
use crate::hash::sha256;
use crate::secret::Secret;

/// Certificates begin this much before they are made, for peers whose clocks are behind; those of a short
/// life by a tenth of it.
const BACKDATED: Duration = Duration::HOUR;

/// An authority that can sign: its key, and what its certificate says.
pub struct Authority {
    key: KeyPair,
    params: CertificateParams,
    fingerprint: String,
    not_after: OffsetDateTime,
}

impl Authority {
    /// From its certificate and its key, both PEM.
    ///
    /// What it signs repeats its name and its key's identifier byte by byte, as openssl demands.
    pub fn new(certificate: &str, key: &Secret) -> Result<Self> {
        let read = Certificate::parse(&pem::der(certificate)?)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = read.distinguished_name()?;
        params.use_authority_key_identifier_extension = read.key_id.is_some();
        if let Some(id) = &read.key_id {
            params.key_identifier_method = KeyIdMethod::PreSpecified(id.clone());
        }
        Ok(Self {
            key: key::parse_for(key.expose(), &read.spki).context("its key")?,
            params,
            fingerprint: sha256(certificate.as_bytes()),
            not_after: read.not_after()?,
        })
    }
}

/// A new key and certificate for a line of the table; `authority` is `None` for one that signs
/// itself. Nothing outlives what signed it. `above` are the certificates that are sent along with it.
pub fn issue(
    wanted: &Wanted,
    authority: Option<&Authority>,
    above: &[String],
    now: OffsetDateTime,
) -> Result<(Pair, Record)> {
    let key = key::generate(wanted.key_type)?;
    let mut params = params(wanted)?;
    params.not_before = now - BACKDATED.min(Duration::try_from(wanted.life)? / 10);
    params.not_after = now + wanted.life;
    let cert = match authority {
        None => {
            params.use_authority_key_identifier_extension = true;
            params.self_signed(&key)
        }
        Some(authority) => {
            let signer = &authority.params;
            params.use_authority_key_identifier_extension =
                signer.use_authority_key_identifier_extension;
            params.not_after = params.not_after.min(authority.not_after);
            params.signed_by(&key, &Issuer::from_params(signer, &authority.key))
        }
    };
    let pair = Pair {
        cert: pem::certificate(cert.context("cannot sign")?.der()) + &above.concat(),
        key: Secret::new(key::private_pem(&key)),
    };
    let record = Record {
        issuer: authority.map(|authority| authority.fingerprint.clone()),
        public_key: key::fingerprint(&key),
        key_type: key::type_of(&key).to_owned(),
        ..record(wanted, &pair, params.not_before, params.not_after)?
    };
    Ok((pair, record))
}

/// What is recorded about a pair that was made for a line of the table, but for its signer and key.
pub fn record(
    wanted: &Wanted,
    pair: &Pair,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
) -> Result<Record> {
    Ok(Record {
        common_name: wanted.common_name.clone(),
        organization: wanted.organization.clone(),
        usage: usage(wanted.usage).to_owned(),
        names: names(wanted),
        issuer: None,
        not_before: Some(date(not_before)?),
        not_after: date(not_after)?,
        sha256: sha256(pair.cert.as_bytes()),
        public_key: String::new(),
        key_type: String::new(),
        key_sha256: Some(sha256(pair.key.expose())),
        chain: 1,
        given: false,
    })
}

/// What is recorded about a certificate that the document gives, but for the hashes of its files.
pub fn given(read: &Certificate, usage: Use) -> Result<Record> {
    Ok(Record {
        common_name: read.common_name().unwrap_or_default(),
        organization: None,
        usage: self::usage(usage).to_owned(),
        names: Vec::new(),
        issuer: None,
        not_before: Some(date(read.not_before()?)?),
        not_after: date(read.not_after()?)?,
        sha256: String::new(),
        public_key: sha256(key::public_key(&read.spki)?.1),
        key_type: key::type_of_public(&read.spki)?.to_owned(),
        key_sha256: None,
        chain: 1,
        given: true,
    })
}

/// What a certificate, or a request for one, says; without dates.
pub fn params(wanted: &Wanted) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(&wanted.common_name, wanted.organization.as_deref());
    params.subject_alt_names = wanted.names.iter().map(san).collect::<Result<_>>()?;
    if wanted.usage == Use::Authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    } else {
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

/// A subject for people, e.g. `O=system:masters, CN=kubernetes-admin`.
pub fn subject_text(common_name: &str, organization: Option<&str>) -> String {
    match organization {
        Some(organization) => format!("O={organization}, CN={common_name}"),
        None => format!("CN={common_name}"),
    }
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
