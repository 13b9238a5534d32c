//! `tls/` and the kubelet's certificates, as files and as the data of Secrets.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::ByteString;

use super::Output;
use crate::pki::{BOOTSTRAP_TOKEN, ENCRYPTION_KEY, INVENTORY, Secrets};

/// One authority signs etcd's servers, peers and clients; its certificate stands under the
/// original's three names.
const ETCD_CA: &str = "tls/etcd-client-ca";
const ETCD_CA_COPIES: [&str; 2] = ["tls/etcd/server-ca.crt", "tls/etcd/peer-ca.crt"];

/// Everything of it; nothing for a worker, which has no secrets of its cluster.
pub fn render(out: &mut Output, secrets: &Secrets) -> Result<()> {
    if secrets.is_empty() {
        return Ok(());
    }
    for (name, pair) in secrets.pairs() {
        out.public(format!("{name}.crt"), pair.cert.as_bytes());
        out.private(format!("{name}.key"), pair.key.expose());
    }
    for (name, cert) in secrets.certs() {
        out.public(format!("{name}.crt"), cert);
    }
    for (path, pair) in secrets.requests() {
        out.public(format!("{path}.csr"), pair.cert.as_bytes());
        out.private(format!("{path}.key"), pair.key.expose());
    }
    // etcd's own files, if it is ours.
    if secrets.pair("tls/etcd/server").is_ok() {
        for copy in ETCD_CA_COPIES {
            out.public(copy, secrets.cert(ETCD_CA)?);
        }
    }
    let key = secrets.service_account_key().expose();
    out.private("tls/service-account.key", key);
    out.public("tls/service-account.pub", secrets.service_account_pub());
    out.private(BOOTSTRAP_TOKEN, secrets.bootstrap_token().token().expose());
    if let Some(key) = secrets.encryption_key() {
        out.private(ENCRYPTION_KEY, key.expose());
    }
    out.public(INVENTORY, secrets.inventory()?);
    Ok(())
}

/// The named files of `tls/` as the data of a Secret.
pub fn data(secrets: &Secrets, files: &[&str]) -> Result<BTreeMap<String, ByteString>> {
    files
        .iter()
        .map(|file| Ok(((*file).to_owned(), ByteString(bytes(secrets, file)?))))
        .collect()
}

fn bytes(secrets: &Secrets, file: &str) -> Result<Vec<u8>> {
    match file {
        "service-account.key" => return Ok(secrets.service_account_key().expose().to_vec()),
        "service-account.pub" => return Ok(secrets.service_account_pub().into()),
        _ => {}
    }
    let (stem, ending) = file
        .rsplit_once('.')
        .context("a secret's file has no ending")?;
    let name = format!("tls/{stem}");
    Ok(match ending {
        "key" => secrets.pair(&name)?.key.expose().to_vec(),
        _ => secrets.cert(&name)?.into(),
    })
}
