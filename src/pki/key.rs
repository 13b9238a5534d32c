//! Private keys, in whichever of the three usual forms, made one.
//!
//! Our own keys and everybody's for whom we keep one are PKCS #8, which every program reads. The
//! forms differ in their wrapping only, so changing it needs no arithmetic: a key is understood
//! (and its two halves compared) only where it is used for the first time.

use anyhow::{Context, Result, anyhow, bail};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData,
    SignatureAlgorithm,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::der::{self, Der};
use super::pem;
use crate::config::machine::KeyType;
use crate::hash::sha256;

/// rsaEncryption and its parameters (NULL).
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
/// id-ecPublicKey and the curve.
const P256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
/// id-ecPublicKey: where the curve begins in the two above.
const CURVE: usize = 9;

/// What is known about a kind of key.
struct Kind {
    name: &'static str,
    /// Content of its AlgorithmIdentifier.
    id: &'static [u8],
    signs: &'static SignatureAlgorithm,
    /// Bytes of a private number; 0 for RSA.
    size: usize,
}

static KINDS: [Kind; 3] = [
    Kind {
        name: "P-256",
        id: P256,
        signs: &PKCS_ECDSA_P256_SHA256,
        size: 32,
    },
    Kind {
        name: "P-384",
        id: P384,
        signs: &PKCS_ECDSA_P384_SHA384,
        size: 48,
    },
    Kind {
        name: "RSA",
        id: RSA,
        signs: &PKCS_RSA_SHA256,
        size: 0,
    },
];

/// Makes a key.
pub fn generate(kind: KeyType) -> Result<KeyPair> {
    let algorithm = match kind {
        KeyType::P256 => &PKCS_ECDSA_P256_SHA256,
        KeyType::P384 => &PKCS_ECDSA_P384_SHA384,
    };
    KeyPair::generate_for(algorithm).context("cannot make a key")
}

/// The name of a key type, as documents and records write it.
pub fn type_name(kind: KeyType) -> &'static str {
    match kind {
        KeyType::P256 => "P-256",
        KeyType::P384 => "P-384",
    }
}

/// The name of a key's type: `P-256`, `P-384` or `RSA`.
pub fn type_of(key: &KeyPair) -> &'static str {
    let kind = KINDS.iter().find(|kind| kind.signs == key.algorithm());
    kind.map_or("", |kind| kind.name)
}

/// The name of a public key's type (SubjectPublicKeyInfo); empty if it is none of the three.
pub fn type_of_public(spki: &[u8]) -> Result<&'static str> {
    let (id, _) = public_key(spki)?;
    let kind = KINDS.iter().find(|kind| kind.id == id);
    Ok(kind.map_or("", |kind| kind.name))
}

/// Reads a key in any of its forms.
pub fn parse(text: &str) -> Result<KeyPair> {
    understand(&normal_der(text.as_bytes(), &nothing_known)?)
}

/// Reads a key of one of the types that are made here.
pub fn parse_elliptic(text: &str) -> Result<KeyPair> {
    let (kind, der) = normal_der(text.as_bytes(), &nothing_known)?;
    if kind.size == 0 {
        bail!("it is an RSA key");
    }
    understand(&(kind, der))
}

/// As [`parse`], for a key that belongs to the public key `spki` (its SubjectPublicKeyInfo): some
/// programs leave a key's public half out.
///
/// # Errors
/// If the two do not fit.
pub fn parse_for(text: &[u8], spki: &[u8]) -> Result<KeyPair> {
    let (_, public) = public_key(spki)?;
    let key = understand(&normal_der(text, &|| Ok(spki.to_vec()))?)?;
    if key.der_bytes() != public {
        bail!("it does not belong to the certificate");
    }
    Ok(key)
}

/// A key as PKCS #8 in PEM, whatever form it had. Says nothing about its arithmetic. `spki` gives its
/// public half (SubjectPublicKeyInfo) if that is missing.
pub fn normal(text: &[u8], spki: Spki<'_>) -> Result<String> {
    let (_, der) = normal_der(text, spki)?;
    Ok(pem::encode("PRIVATE KEY", &der))
}

/// Who knows a key's public half.
type Spki<'a> = &'a dyn Fn() -> Result<Vec<u8>>;

/// Nobody does.
pub fn nothing_known() -> Result<Vec<u8>> {
    bail!("its public half is missing; `openssl pkey -in KEY` adds it")
}

/// A key as PKCS #8 in PEM, as [`normal`] gives it.
pub fn private_pem(key: &KeyPair) -> String {
    pem::encode("PRIVATE KEY", key.serialized_der())
}

/// Its public half as PKIX PEM.
pub fn public_pem(key: &KeyPair) -> String {
    pem::encode("PUBLIC KEY", &key.subject_public_key_info())
}

/// Fingerprint of a key pair's public half.
pub fn fingerprint(key: &KeyPair) -> String {
    sha256(key.der_bytes())
}

/// Algorithm and bits of a SubjectPublicKeyInfo.
pub fn public_key(spki: &[u8]) -> Result<(&[u8], &[u8])> {
    let mut outer = Der(spki).take(der::SEQUENCE)?;
    let algorithm = outer.take(der::SEQUENCE)?;
    Ok((algorithm.0, outer.bits()?))
}

fn understand((kind, der): &(&'static Kind, Vec<u8>)) -> Result<KeyPair> {
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(&der[..]), kind.signs)
        .map_err(|error| anyhow!("its numbers are wrong ({error}); is it complete?"))
        .with_context(|| match kind.size {
            0 => "it is no RSA key of 2048 to 4096 bits".to_owned(),
            _ => format!("it is no {} key", kind.name),
        })
}

fn normal_der(text: &[u8], spki: Spki<'_>) -> Result<(&'static Kind, Vec<u8>)> {
    if text.windows(19).any(|part| part == b"BEGIN ENCRYPTED PRI") {
        bail!("it is encrypted; decrypt it with `openssl pkey -in KEY`");
    }
    let key = PrivateKeyDer::from_pem_slice(text)
        .map_err(|_| anyhow!("it is no private key in PEM (PKCS #8, PKCS #1 or SEC 1)"))?;
    match key {
        PrivateKeyDer::Pkcs1(key) => Ok(wrapped(&KINDS[2], key.secret_pkcs1_der())),
        PrivateKeyDer::Sec1(key) => elliptic(None, key.secret_sec1_der(), spki),
        PrivateKeyDer::Pkcs8(key) => pkcs8(key.secret_pkcs8_der(), spki),
        _ => bail!("it is a private key of no known form"),
    }
    .context("it is damaged or of another kind than RSA, P-256 and P-384")
}

fn pkcs8(key: &[u8], spki: Spki<'_>) -> Result<(&'static Kind, Vec<u8>)> {
    let mut outer = Der(key).take(der::SEQUENCE)?;
    outer.take(der::INTEGER)?;
    let id = outer.take(der::SEQUENCE)?.0;
    let kind = (KINDS.iter().find(|kind| kind.id == id)).context("its algorithm is not known")?;
    let inner = outer.take(der::OCTET_STRING)?.0;
    match kind.size {
        0 => Ok(wrapped(kind, inner)),
        _ => elliptic(Some(kind), inner, spki),
    }
}

/// Makes a SEC 1 key one whose public half stands in it and whose curve does not.
fn elliptic(
    kind: Option<&'static Kind>,
    key: &[u8],
    spki: Spki<'_>,
) -> Result<(&'static Kind, Vec<u8>)> {
    let mut reader = Der(key).take(der::SEQUENCE)?;
    reader.take(der::INTEGER)?;
    let number = reader.take(der::OCTET_STRING)?.0;
    let curve = reader.optional(der::context(0))?;
    let own = reader.optional(der::context(1))?;
    let kind = match (kind, curve) {
        (Some(kind), _) => kind,
        (None, Some(curve)) => KINDS
            .iter()
            .find(|kind| kind.size > 0 && &kind.id[CURVE..] == curve.0)
            .context("its curve is not known")?,
        (None, None) => bail!("it does not name its curve"),
    };
    let known = own.is_none().then(spki).transpose()?;
    let public = match (own, &known) {
        (Some(mut own), _) => own.bits()?,
        (None, Some(spki)) => public_key(spki)?.1,
        (None, None) => bail!("its public half is missing"),
    };
    let missing = kind
        .size
        .checked_sub(number.len())
        .context("its number is too long")?;
    let number = der::value(der::OCTET_STRING, &[&vec![0; missing], number]);
    let bits = der::value(der::BIT_STRING, &[&[0], public]);
    let public = der::value(der::context(1), &[&bits]);
    let key = der::value(der::SEQUENCE, &[&[der::INTEGER, 1, 1], &number, &public]);
    Ok(wrapped(kind, &key))
}

fn wrapped(kind: &'static Kind, key: &[u8]) -> (&'static Kind, Vec<u8>) {
    let id = der::value(der::SEQUENCE, &[kind.id]);
    let key = der::value(der::OCTET_STRING, &[key]);
    let whole = der::value(der::SEQUENCE, &[&[der::INTEGER, 1, 0], &id, &key]);
    (kind, whole)
}
