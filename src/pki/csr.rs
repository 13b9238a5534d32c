//! A certificate request (PKCS #10) of a kubelet, read strictly.
//!
//! Whoever approves a request must see in it what the signer will see: Go's
//! `x509.ParseCertificateRequest`, which passes over attributes, extensions and kinds of names that it
//! does not know and keeps the last of several common names. Rather than repeat that, this reader
//! takes only what a kubelet writes (a common name, an organization, one extension with names) and
//! refuses everything else by its name; so two readers cannot differ about what is left.
//!
//! The signature is not verified. The API server does that before it stores a request (`validateCSR` in
//! pkg/apis/certificates/validation), it keeps `spec` as it is from then on, and the signer verifies
//! again. The road not taken is yasna, which rcgen links: it adds hostile lengths up without looking
//! for an overflow when it passes over a value, and its errors do not say what is wrong.

use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::quote;

use super::der::{
    BIT_STRING, BOOLEAN, Der, INTEGER, OCTET_STRING, OID, PRINTABLE_STRING, SEQUENCE, SET,
    UTF8_STRING,
};
use super::x509::{COMMON_NAME, ORGANIZATION};

/// What a kubelet asks to have certified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The subject's common name.
    pub common_name: String,
    /// The subject's organization.
    pub organization: String,
    /// The DNS names among its subject alternative names.
    pub dns_names: Vec<String>,
    /// The addresses among them; an IPv4 address is one, also if it is written as IPv6.
    pub addresses: Vec<IpAddr>,
}

const BEGIN: &str = "-----BEGIN CERTIFICATE REQUEST-----";
const END: &str = "-----END CERTIFICATE REQUEST-----";

const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
/// 1.2.840.113549.1.9.14
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];

/// The attributes of a request.
const ATTRIBUTES: u8 = 0xa0;
/// Kinds of names.
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const ADDRESS: u8 = 0x87;

/// Reads a request: one PEM block and nothing else.
///
/// # Errors
/// What it holds that a kubelet's request does not, or lacks.
pub fn parse(pem: &[u8]) -> Result<Request> {
    parse_der(&unwrap(pem)?)
}

/// Reads what stands in the PEM block.
///
/// # Errors
/// As [`parse`].
pub fn parse_der(bytes: &[u8]) -> Result<Request> {
    let mut file = Der(bytes);
    let mut request = file.take(SEQUENCE)?;
    file.end()?;
    let mut info = request.take(SEQUENCE)?;
    request
        .take(SEQUENCE)
        .context("its signature's algorithm")?;
    request.take(BIT_STRING).context("its signature")?;
    request.end()?;
    let version = info.take(INTEGER).context("its version")?;
    ensure!(version == Der(&[0]), "it is of an unknown version");
    let subject = info.take(SEQUENCE).context("its subject")?;
    info.take(SEQUENCE).context("its key")?;
    let attributes = info.take(ATTRIBUTES).context("its attributes")?;
    info.end()?;
    let mut read = Request::default();
    (read.common_name, read.organization) = subject_of(subject).context("its subject")?;
    names_of(attributes, &mut read)?;
    Ok(read)
}

/// One PEM block without headers: Go looks for the first usable one, whatever surrounds it.
fn unwrap(pem: &[u8]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(pem)
        .unwrap_or_default()
        .trim_ascii_end();
    let body = text
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.strip_suffix(END))
        .context("it is not one PEM block CERTIFICATE REQUEST and nothing else")?;
    let body: String = body.split(['\r', '\n']).collect();
    STANDARD.decode(body).context("its PEM is no base64")
}

/// Common name and organization, each exactly once.
fn subject_of(mut subject: Der<'_>) -> Result<(String, String)> {
    let (mut common_name, mut organization) = (None, None);
    while !subject.is_empty() {
        let mut set = subject.take(SET)?;
        let mut attribute = set.take(SEQUENCE)?;
        set.end()?;
        let slot = match attribute.take(OID)?.0 {
            COMMON_NAME => &mut common_name,
            ORGANIZATION => &mut organization,
            _ => bail!("it says more than a common name and an organization"),
        };
        let value = match attribute.next()? {
            (UTF8_STRING | PRINTABLE_STRING, text) => string(text)?,
            (tag, _) => bail!("a text of the unusual kind {tag:#04x}"),
        };
        attribute.end()?;
        let before = slot.replace(value);
        ensure!(before.is_none(), "several common names or organizations");
    }
    Ok((
        common_name.context("no common name")?,
        organization.context("no organization")?,
    ))
}

/// The names in the one extension of the one attribute.
fn names_of(mut attributes: Der<'_>, read: &mut Request) -> Result<()> {
    if attributes.is_empty() {
        // For its client certificate a kubelet asks for no names, and Go writes no attribute then.
        return Ok(());
    }
    let mut attribute = attributes.take(SEQUENCE)?;
    ensure!(
        attribute.take(OID)?.0 == EXTENSION_REQUEST && attributes.is_empty(),
        "it has attributes beside the extensions that it asks for"
    );
    let mut values = attribute.take(SET)?;
    attribute.end()?;
    let mut extensions = values.take(SEQUENCE)?;
    values.end()?;
    let mut extension = extensions.take(SEQUENCE).context("it asks for no names")?;
    ensure!(
        extension.take(OID)?.0 == SUBJECT_ALT_NAME && extensions.is_empty(),
        "it asks for extensions beside subject alternative names"
    );
    let value = match extension.next()? {
        (BOOLEAN, Der(&[0xff])) => extension.take(OCTET_STRING)?,
        (OCTET_STRING, value) => value,
        _ => bail!("its names are in an extension of an unusual form"),
    };
    extension.end()?;
    let mut value = value;
    let mut names = value.take(SEQUENCE)?;
    value.end()?;
    while !names.is_empty() {
        name(names.next()?, read)?;
    }
    Ok(())
}

fn name((kind, value): (u8, Der<'_>), read: &mut Request) -> Result<()> {
    match kind {
        DNS => read.dns_names.push(string(value)?),
        ADDRESS => read.addresses.push(address(value)?),
        EMAIL => bail!("it asks for the e-mail address {}", quote(&string(value)?)),
        URI => bail!("it asks for the URI {}", quote(&string(value)?)),
        _ => bail!("it asks for a name of the unusual kind {kind:#04x}"),
    }
    Ok(())
}

fn address(value: Der<'_>) -> Result<IpAddr> {
    let address = <[u8; 4]>::try_from(value.0).map(IpAddr::from);
    address
        .or_else(|_| <[u8; 16]>::try_from(value.0).map(IpAddr::from))
        .map(|address| address.to_canonical())
        .context("it asks for an address that is none")
}

fn string(value: Der<'_>) -> Result<String> {
    let text = std::str::from_utf8(value.0).context("a text is not UTF-8")?;
    Ok(text.to_owned())
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
