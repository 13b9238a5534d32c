//! Reading certificates (RFC 5280): what is asked of those that were not made here.
//!
//! Not a verifier of strangers: whom TLS trusts is rustls' business. This tells a person which of the
//! certificates they put into the document or the asset directory is the wrong one, and why.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use rcgen::string::{Ia5String, PrintableString};
use rcgen::{DistinguishedName, DnType, DnValue};
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use time::{Date, Month, OffsetDateTime, Time};

use super::der::{self, Der};
use super::key;

/// Bits of `keyUsage`, the first byte.
pub const SIGNS_CERTIFICATES: u8 = 0x04;
/// Purposes of `extendedKeyUsage`.
pub const SERVER: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x03\x01";
pub const CLIENT: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x03\x02";
const ANY_PURPOSE: &[u8] = b"\x55\x1d\x25\x00";
/// id-ce: the first two bytes of the extensions that are read; the third says which.
const EXTENSION: [u8; 2] = [0x55, 0x1d];
/// Which names those below may have.
const NAME_CONSTRAINTS: &[u8] = b"\x55\x1d\x1e";
/// What may be critical: every verifier knows key usage, basic constraints and purposes.
const KNOWN: [&[u8]; 3] = [b"\x55\x1d\x0f", b"\x55\x1d\x13", b"\x55\x1d\x25"];
/// Attributes of a name.
pub const COMMON_NAME: &[u8] = b"\x55\x04\x03";
pub const ORGANIZATION: &[u8] = b"\x55\x04\x0a";

/// A certificate, taken apart.
#[derive(Clone, Debug, Default)]
pub struct Certificate {
    /// What is signed.
    tbs: Vec<u8>,
    signature_algorithm: Vec<u8>,
    signature: Vec<u8>,
    /// Name of its signer, DER.
    pub issuer: Vec<u8>,
    /// Its own name, DER.
    pub subject: Vec<u8>,
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// When it begins and when it ends; seconds since 1970.
    validity: [i64; 2],
    /// Alternative names: `DNS:…`, `IP:…`, sorted; others by their number.
    pub names: Vec<String>,
    /// Whether it may sign others.
    pub is_authority: bool,
    /// How many authorities may stand between it and a leaf.
    pub path_length: Option<u8>,
    /// The first byte of `keyUsage`.
    pub key_usage: Option<u8>,
    purposes: Option<Vec<Vec<u8>>>,
    /// Subject key identifier.
    pub key_id: Option<Vec<u8>>,
    /// An extension with which a verifier may refuse what is below: name constraints, or a critical one that
    /// not every verifier knows.
    pub limit: Option<String>,
}

impl Certificate {
    /// Reads one.
    pub fn parse(der: &CertificateDer<'_>) -> Result<Self> {
        read(der).context("it is no certificate that can be read")
    }

    /// The first second it is valid in.
    pub fn not_before(&self) -> Result<OffsetDateTime> {
        Ok(OffsetDateTime::from_unix_timestamp(self.validity[0])?)
    }

    /// The last second it is valid in.
    pub fn not_after(&self) -> Result<OffsetDateTime> {
        Ok(OffsetDateTime::from_unix_timestamp(self.validity[1])?)
    }

    /// Whether it may be used so; one that says nothing may be used for everything.
    pub fn serves(&self, purpose: &[u8]) -> bool {
        self.purposes.as_ref().is_none_or(|purposes| {
            let mut purposes = purposes.iter();
            purposes.any(|one| one == purpose || one == ANY_PURPOSE)
        })
    }

    /// Whether the owner of `signer`'s key signed it.
    pub fn is_signed_by(&self, signer: &Self) -> Result<bool> {
        let (key_type, public) = key::public_key(&signer.spki)?;
        let provider = rustls::crypto::ring::default_provider();
        let fits = |algorithm: &&dyn SignatureVerificationAlgorithm| {
            algorithm.public_key_alg_id().as_ref() == key_type
                && algorithm.signature_alg_id().as_ref() == self.signature_algorithm
        };
        let all = provider.signature_verification_algorithms.all;
        let algorithm = all.iter().copied().find(|algorithm| fits(algorithm)).context(
            "its signature is of an unknown kind; known are ECDSA on P-256 and P-384, and RSA, with SHA-2",
        )?;
        Ok(algorithm
            .verify_signature(public, &self.tbs, &self.signature)
            .is_ok())
    }

    /// Its name as people write it, e.g. `O=harbour, CN=kube-ca`.
    pub fn subject_text(&self) -> String {
        text_of(&self.subject)
    }

    /// Its signer's name as people write it.
    pub fn issuer_text(&self) -> String {
        text_of(&self.issuer)
    }

    /// The values of an attribute of its subject.
    pub fn values(&self, oid: &[u8]) -> Vec<String> {
        let parts = parts(&self.subject).unwrap_or_default();
        let of_kind = parts.iter().filter(|part| part.oid == oid);
        of_kind
            .map(|part| String::from_utf8_lossy(part.value).into_owned())
            .collect()
    }

    /// The last common name of its subject.
    pub fn common_name(&self) -> Option<String> {
        self.values(COMMON_NAME).pop()
    }

    /// The subject for whoever writes it as an issuer.
    ///
    /// # Errors
    /// If what would be written differs from what stands here: programs compare the bytes.
    pub fn distinguished_name(&self) -> Result<DistinguishedName> {
        let mut name = DistinguishedName::new();
        let parts = parts(&self.subject)?;
        for (at, part) in parts.iter().enumerate() {
            if parts[..at].iter().any(|earlier| earlier.oid == part.oid) {
                bail!("its name has two parts of one kind, which slipway cannot sign for");
            }
            name.push(DnType::CustomDnType(der::arcs(part.oid)?), part.encoded()?);
        }
        Ok(name)
    }
}

/// An attribute of a name.
struct Part<'a> {
    oid: &'a [u8],
    tag: u8,
    value: &'a [u8],
}

impl Part<'_> {
    fn encoded(&self) -> Result<DnValue> {
        let text = std::str::from_utf8(self.value).context("its name is not UTF-8")?;
        Ok(match self.tag {
            der::UTF8_STRING => DnValue::Utf8String(text.to_owned()),
            der::PRINTABLE_STRING => DnValue::PrintableString(PrintableString::try_from(text)?),
            der::IA5_STRING => DnValue::Ia5String(Ia5String::try_from(text)?),
            _ => bail!("its name is written in an encoding of old, which slipway cannot sign for"),
        })
    }
}

fn parts(name: &[u8]) -> Result<Vec<Part<'_>>> {
    let mut sets = Der(name).take(der::SEQUENCE)?;
    let mut parts = Vec::new();
    while !sets.is_empty() {
        let mut set = sets.take(der::SET)?;
        let mut pair = set.take(der::SEQUENCE)?;
        let oid = pair.take(der::OID)?.0;
        let (tag, value) = pair.next()?;
        set.end()
            .context("a part of its name has two values, which slipway cannot sign for")?;
        parts.push(Part {
            oid,
            tag,
            value: value.0,
        });
    }
    Ok(parts)
}

fn text_of(name: &[u8]) -> String {
    let Ok(parts) = parts(name) else {
        return "(a name with parts of several values)".to_owned();
    };
    let text = |part: &Part<'_>| {
        let kind = match part.oid {
            [0x55, 4, 3] => "CN".to_owned(),
            [0x55, 4, 6] => "C".to_owned(),
            [0x55, 4, 7] => "L".to_owned(),
            [0x55, 4, 8] => "ST".to_owned(),
            [0x55, 4, 10] => "O".to_owned(),
            [0x55, 4, 11] => "OU".to_owned(),
            oid => dotted(oid),
        };
        format!("{kind}={}", String::from_utf8_lossy(part.value))
    };
    parts.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// An object identifier as people write it, e.g. `2.5.29.30`.
fn dotted(oid: &[u8]) -> String {
    let arcs = der::arcs(oid).unwrap_or_default();
    let numbers: Vec<_> = arcs.iter().map(u64::to_string).collect();
    numbers.join(".")
}

fn read(bytes: &[u8]) -> Result<Certificate> {
    let mut file = Der(bytes);
    let mut outer = file.take(der::SEQUENCE)?;
    file.end()?;
    let tbs = outer.whole()?;
    let signature_algorithm = outer.take(der::SEQUENCE)?;
    let signature = outer.bits()?;
    outer.end()?;
    let mut inner = Der(tbs).take(der::SEQUENCE)?;
    inner.optional(der::context(0))?;
    inner.take(der::INTEGER)?;
    if inner.take(der::SEQUENCE)? != signature_algorithm {
        bail!("it names two signature algorithms");
    }
    let issuer = inner.whole()?;
    let mut validity = inner.take(der::SEQUENCE)?;
    let mut certificate = Certificate {
        tbs: tbs.to_vec(),
        signature_algorithm: signature_algorithm.0.to_vec(),
        signature: signature.to_vec(),
        issuer: issuer.to_vec(),
        validity: [date(&mut validity)?, date(&mut validity)?],
        subject: inner.whole()?.to_vec(),
        spki: inner.whole()?.to_vec(),
        ..Certificate::default()
    };
    if let Some(mut list) = inner.optional(der::context(3))? {
        let mut list = list.take(der::SEQUENCE)?;
        while !list.is_empty() {
            extension(&mut certificate, list.take(der::SEQUENCE)?)?;
        }
    }
    Ok(certificate)
}

fn extension(certificate: &mut Certificate, mut reader: Der<'_>) -> Result<()> {
    let oid = reader.take(der::OID)?.0;
    let critical = reader.flag()?;
    let mut value = reader.take(der::OCTET_STRING)?;
    if oid == NAME_CONSTRAINTS || critical && !KNOWN.contains(&oid) {
        certificate.limit = Some(match oid {
            NAME_CONSTRAINTS => "nameConstraints".to_owned(),
            oid => format!("the critical extension {}", dotted(oid)),
        });
    }
    let Some(&[which]) = oid.strip_prefix(&EXTENSION) else {
        return Ok(());
    };
    match which {
        14 => certificate.key_id = Some(value.take(der::OCTET_STRING)?.0.to_vec()),
        15 => certificate.key_usage = value.take(der::BIT_STRING)?.0.get(1).copied(),
        17 => certificate.names = names(value.take(der::SEQUENCE)?)?,
        19 => {
            let mut constraints = value.take(der::SEQUENCE)?;
            certificate.is_authority = constraints.flag()?;
            certificate.path_length = match constraints.optional(der::INTEGER)? {
                None => None,
                Some(Der([length])) => Some(*length),
                Some(_) => bail!("its path length is no small number"),
            };
        }
        37 => {
            let (mut list, mut purposes) = (value.take(der::SEQUENCE)?, Vec::new());
            while !list.is_empty() {
                purposes.push(list.take(der::OID)?.0.to_vec());
            }
            certificate.purposes = Some(purposes);
        }
        _ => {}
    }
    Ok(())
}

fn names(mut list: Der<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    while !list.is_empty() {
        let (tag, Der(name)) = list.next()?;
        names.push(match (tag, name.len()) {
            (0x82, _) => format!("DNS:{}", String::from_utf8_lossy(name)),
            (0x87, 4 | 16) => format!("IP:{}", address(name)?),
            (tag, _) => format!("[{}]", tag & 0x1f),
        });
    }
    names.sort();
    Ok(names)
}

fn address(bytes: &[u8]) -> Result<IpAddr> {
    match <[u8; 4]>::try_from(bytes) {
        Ok(bytes) => Ok(bytes.into()),
        Err(_) => Ok(<[u8; 16]>::try_from(bytes)?.into()),
    }
}

/// `YYMMDDHHMMSSZ`, or with four digits of the year from 2050 on (RFC 5280, 4.1.2.5).
fn date(reader: &mut Der<'_>) -> Result<i64> {
    let (tag, Der(bytes)) = reader.next()?;
    let text = std::str::from_utf8(bytes)?;
    let digits = text.strip_suffix('Z').context("a date is not in UTC")?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        bail!("a date is no number");
    }
    let (year, rest): (i32, &str) = match (tag, digits.len()) {
        (der::UTC_TIME, 12) => match digits[..2].parse()? {
            year @ 50.. => (1900 + year, &digits[2..]),
            year => (2000 + year, &digits[2..]),
        },
        (der::GENERALIZED_TIME, 14) => (digits[..4].parse()?, &digits[4..]),
        _ => bail!("a date has another form"),
    };
    let two = |at: usize| rest[at..at + 2].parse::<u8>();
    let day = Date::from_calendar_date(year, Month::try_from(two(0)?)?, two(2)?)?;
    let time = Time::from_hms(two(4)?, two(6)?, two(8)?)?;
    Ok(day.with_time(time).assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;
    use crate::tls::testing::Authority;

    fn leaf() -> Vec<u8> {
        let (pem, _) = Authority::new().issue("node-a");
        CertificateDer::from_pem_slice(&pem).unwrap().to_vec()
    }

    fn parse(bytes: &[u8]) -> Result<Certificate> {
        Certificate::parse(&CertificateDer::from(bytes))
    }

    #[test]
    fn what_is_damaged_is_refused_or_no_longer_signed() {
        let authority = Authority::new();
        let (pem, _) = authority.issue("node-a");
        let leaf = CertificateDer::from_pem_slice(&pem).unwrap().to_vec();
        let signer = CertificateDer::from_pem_slice(&authority.pem()).unwrap();
        let signer = Certificate::parse(&signer).unwrap();
        assert!(parse(&leaf).unwrap().is_signed_by(&signer).unwrap());
        for at in 0..leaf.len() {
            assert!(parse(&leaf[..at]).is_err(), "{at}");
            let mut damaged = leaf.clone();
            damaged[at] ^= 0x01;
            let signed = parse(&damaged).and_then(|read| read.is_signed_by(&signer));
            assert!(!signed.unwrap_or(false), "{at}");
        }
        assert!(parse(&[&leaf[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_leaf_says_what_it_is() {
        let read = parse(&leaf()).unwrap();
        assert_eq!(read.subject_text(), "CN=node-a");
        assert_eq!(read.issuer_text(), "CN=test CA");
        assert_eq!(read.names, ["DNS:node-a"]);
        assert!(read.serves(SERVER) && read.serves(CLIENT) && !read.is_authority);
        assert_eq!(read.not_after().unwrap().year(), 4096);
        assert_eq!(read.not_before().unwrap().year(), 1975);
    }

    #[test]
    fn dates_have_two_forms() {
        let day = |text: &str| {
            let tag = match text.len() {
                13 => der::UTC_TIME,
                _ => der::GENERALIZED_TIME,
            };
            date(&mut Der(&der::value(tag, &[text.as_bytes()]))).ok()
        };
        assert_eq!(day("700101000000Z"), Some(0));
        assert_eq!(day("491231235959Z"), Some(2_524_607_999));
        assert_eq!(day("20500101000000Z"), Some(2_524_608_000));
        for bad in [
            "7001010000Z",
            "700101000000+",
            "701301000000Z",
            "7001o1000000Z",
            "2050010100000Z",
        ] {
            assert_eq!(day(bad), None, "{bad}");
        }
    }
}
