//! `tls/` and the kubelet's certificates, as files and as the data of Secrets.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::ByteString;

use super::Output;
use crate::assets::CONTROL_PLANE_UID;
use crate::pki::{INVENTORY, Secrets};

/// One authority signs etcd's servers, peers and clients; its certificate stands under the
/// original's three names.
const ETCD_CA: &str = "tls/etcd-client-ca";
const ETCD_CA_COPIES: [&str; 2] = ["tls/etcd/server-ca.crt", "tls/etcd/peer-ca.crt"];

pub fn render(out: &mut Output, secrets: &Secrets) -> Result<()> {
    for (name, pair) in secrets.pairs() {
        out.assets.add(format!("{name}.crt"), pair.cert.as_bytes());
        out.assets
            .add_secret(format!("{name}.key"), owner(name), pair.key.expose());
    }
    for copy in ETCD_CA_COPIES {
        out.assets.add(copy, secrets.pair(ETCD_CA)?.cert.as_bytes());
    }
    let key = secrets.service_account_key().expose();
    out.assets
        .add_secret("tls/service-account.key", CONTROL_PLANE_UID, key);
    out.assets
        .add("tls/service-account.pub", secrets.service_account_pub());
    out.assets.add(INVENTORY, secrets.inventory()?);
    Ok(())
}

/// Whose a file is once it is installed on a node: the control plane's user reads `tls/` and
/// `auth/`, but etcd and the kubelet run as root.
pub fn owner(path: &str) -> u32 {
    let control_plane = path.starts_with("tls/") || path.starts_with("auth/");
    if control_plane && !path.starts_with("tls/etcd/") {
        CONTROL_PLANE_UID
    } else {
        0
    }
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
    let pair = secrets.pair(&format!("tls/{stem}"))?;
    Ok(if ending == "key" {
        pair.key.expose().to_vec()
    } else {
        pair.cert.clone().into_bytes()
    })
}
