//! Requests written byte by byte, so that a test can say what no library writes.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{
    ADDRESS, ATTRIBUTES, BEGIN, BIT_STRING, COMMON_NAME, DNS, END, EXTENSION_REQUEST, INTEGER,
    OCTET_STRING, OID, ORGANIZATION, PRINTABLE_STRING, SEQUENCE, SET, SUBJECT_ALT_NAME,
    UTF8_STRING,
};

/// One value of at most 64 KiB.
pub fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let length = match (high, low) {
        (0, 0..=0x7f) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [vec![tag], length, content].concat()
}

/// The parts of a request, each of them DER.
#[derive(Clone)]
pub struct Parts {
    pub version: Vec<u8>,
    /// Relative names.
    pub subject: Vec<Vec<u8>>,
    pub attributes: Vec<Vec<u8>>,
    /// Behind the signature.
    pub rest: Vec<u8>,
}

impl Parts {
    /// What a kubelet would send.
    pub fn new(common_name: &str, organization: &str, dns: &[&str], addresses: &[IpAddr]) -> Self {
        let mut names: Vec<_> = dns
            .iter()
            .map(|name| value(DNS, &[name.as_bytes()]))
            .collect();
        names.extend(addresses.iter().map(|address| match address {
            IpAddr::V4(v4) => value(ADDRESS, &[&v4.octets()]),
            IpAddr::V6(v6) => value(ADDRESS, &[&v6.octets()]),
        }));
        Self {
            version: value(INTEGER, &[&[0]]),
            subject: vec![
                attribute(ORGANIZATION, PRINTABLE_STRING, organization),
                attribute(COMMON_NAME, UTF8_STRING, common_name),
            ],
            attributes: vec![extensions(&[names_of(&names)])],
            rest: Vec::new(),
        }
    }

    pub fn der(&self) -> Vec<u8> {
        let parts = |parts: &[Vec<u8>]| parts.concat();
        let algorithm = value(SEQUENCE, &[&value(OID, &[&[0x2a, 3]])]);
        let info = value(
            SEQUENCE,
            &[
                &self.version,
                &value(SEQUENCE, &[&parts(&self.subject)]),
                &value(SEQUENCE, &[&algorithm, &value(BIT_STRING, &[&[0, 4]])]),
                &value(ATTRIBUTES, &[&parts(&self.attributes)]),
            ],
        );
        let signature = value(BIT_STRING, &[&[0, 1]]);
        value(SEQUENCE, &[&info, &algorithm, &signature, &self.rest])
    }

    pub fn pem(&self) -> String {
        pem(&self.der())
    }
}

pub fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).collect();
    let body = String::from_utf8(lines.join(&b'\n')).unwrap();
    format!("{BEGIN}\n{body}\n{END}\n")
}

/// A relative name of the subject.
pub fn attribute(kind: &[u8], tag: u8, text: &str) -> Vec<u8> {
    let pair = [value(OID, &[kind]), value(tag, &[text.as_bytes()])].concat();
    value(SET, &[&value(SEQUENCE, &[&pair])])
}

/// The attribute that asks for extensions.
pub fn extensions(extensions: &[Vec<u8>]) -> Vec<u8> {
    let list = value(SEQUENCE, &[&extensions.concat()]);
    let kind = value(OID, &[EXTENSION_REQUEST]);
    value(SEQUENCE, &[&kind, &value(SET, &[&list])])
}

/// An extension, what it says about being critical included.
pub fn extension(kind: &[u8], critical: &[u8], content: &[u8]) -> Vec<u8> {
    let content = value(OCTET_STRING, &[content]);
    value(SEQUENCE, &[&value(OID, &[kind]), critical, &content])
}

/// The extension with these names.
pub fn names_of(names: &[Vec<u8>]) -> Vec<u8> {
    let names = value(SEQUENCE, &[&names.concat()]);
    extension(SUBJECT_ALT_NAME, &[], &names)
}
