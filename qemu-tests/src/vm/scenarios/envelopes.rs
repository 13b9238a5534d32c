//! The machine document in every envelope, each with something else in it that must arrive too.

use anyhow::{Context as _, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::process;

/// The file that envelopes carry besides the document, and what it holds.
pub const CARRIED: (&str, &str) = ("/etc/motd.d/from-metadata", "carried\n");
/// A host name that is not the node's.
pub const HOSTNAME: &str = "carried-name";

/// gzip, by the system's own.
pub fn gzip(work: &Path, bytes: &[u8]) -> Result<Vec<u8>> {
    let (plain, packed) = (work.join("plain"), work.join("plain.gz"));
    fs::write(&plain, bytes).context("cannot write what is to be packed")?;
    process::output(
        Command::new("gzip")
            .args(["--keep", "--force", "-9"])
            .arg(&plain),
    )?;
    fs::read(packed).context("cannot read what was packed")
}

/// A cloud-config with the document, a file and a host name.
pub fn cloud_config(document: &[u8]) -> Vec<u8> {
    let ((path, text), document) = (CARRIED, STANDARD.encode(document));
    format!(
        "#cloud-config\nhostname: {HOSTNAME}\nwrite_files:\n- path: /etc/slipway/machine.yaml\n  \
         encoding: b64\n  content: {document}\n- path: {path}\n  content: {text:?}\n  \
         permissions: '0640'\n"
    )
    .into_bytes()
}

/// A MIME message of two parts: a cloud-config with the file, and the document itself in base64.
pub fn mime(document: &[u8]) -> Vec<u8> {
    let ((path, text), document) = (CARRIED, STANDARD.encode(document));
    format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"==b==\"\r\n\r\n--==b==\r\n\
         Content-Type: text/cloud-config; charset=\"utf-8\"\r\n\r\n#cloud-config\r\nwrite_files:\r\n\
         - {{path: {path}, content: {text:?}, permissions: '0640'}}\r\n--==b==\r\n\
         Content-Type: application/vnd.slipway.machine+yaml\r\nContent-Transfer-Encoding: base64\r\n\r\n\
         {document}\r\n--==b==--\r\n"
    )
    .into_bytes()
}

/// The document as JSON.
pub fn json(node: &str) -> Vec<u8> {
    format!(
        "{{\"apiVersion\": \"slipway.dev/v1alpha1\", \"kind\": \"Machine\", \
         \"node\": {{\"name\": \"{node}\", \"address\": \"10.0.2.15\"}}, \
         \"cluster\": {{\"name\": \"harbour\"}}}}\n"
    )
    .into_bytes()
}

/// An Ignition config that merges another, which has the document; it has the packed file itself.
pub fn ignition(work: &Path, document: &[u8]) -> Result<Vec<u8>> {
    let ((path, text), document) = (CARRIED, STANDARD.encode(document));
    let packed = STANDARD.encode(gzip(work, text.as_bytes())?);
    let sum = process::output(Command::new("sha256sum").arg(work.join("plain")))?;
    let sum = sum.split_whitespace().next().unwrap_or_default();
    let inner = STANDARD.encode(format!(
        "{{\"ignition\": {{\"version\": \"3.3.0\"}}, \"storage\": {{\"files\": [{{\"path\": \
         \"/etc/slipway/machine.yaml\", \"contents\": {{\"source\": \"data:;base64,{document}\"}}}}]}}}}"
    ));
    let config = format!(
        "{{\"ignition\": {{\"version\": \"3.4.0\", \"config\": {{\"merge\": [{{\"source\": \
         \"data:;base64,{inner}\"}}]}}}}, \"storage\": {{\"files\": [{{\"path\": \"{path}\", \"mode\": 416, \
         \"contents\": {{\"compression\": \"gzip\", \"source\": \"data:;base64,{packed}\", \
         \"verification\": {{\"hash\": \"sha256-{sum}\"}}}}}}]}}}}"
    );
    Ok(config.into_bytes())
}
