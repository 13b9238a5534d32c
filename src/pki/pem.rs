//! PEM as everybody writes it.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

const LINE: usize = 64;

/// One block.
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = &body[..];
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text += line;
        text.push('\n');
        rest = after;
    }
    text + "-----END " + label + "-----\n"
}

/// A certificate's block.
pub fn certificate(der: &[u8]) -> String {
    encode("CERTIFICATE", der)
}

/// The certificates of a text, each in a block as this room writes it.
pub fn blocks(text: &str) -> Result<Vec<String>> {
    let ders = crate::tls::certificates(text.as_bytes())?;
    Ok(ders.iter().map(|der| certificate(der)).collect())
}

/// The certificate of a block.
pub fn der(block: &str) -> Result<CertificateDer<'static>> {
    Ok(CertificateDer::from_pem_slice(block.as_bytes())?)
}
