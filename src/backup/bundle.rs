//! The bundle: what a restore needs and a snapshot lacks.
//!
//! The files below `tls/`, `auth/` and `etcd/` of the asset directory: the authorities with their keys,
//! the service accounts' key, the encryption configuration, the bootstrap token. That is a rule instead
//! of a list that somebody forgets to lengthen; the rest of the directory is in the snapshot, as objects,
//! or is rendered again. Beside them the machine document, because secrets that it refers to (systemd
//! credentials, sealed blobs) end with the machine, and what cluster and snapshot this was.
//!
//! As JSON it exists in memory only; on a disk it is sealed (see [`crate::age`]).

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{API_VERSION, Taken};
use crate::age::{self, Identity, Recipient};
use crate::assets::{Asset, Assets};
use crate::etcd;
use crate::secret::Secret;

/// The kind of document that it is.
pub const KIND: &str = "Bundle";
/// What of the asset directory is in it.
const FOLDERS: [&str; 3] = ["tls/", "auth/", "etcd/"];
/// Without these no control plane comes back that the old one's clients would believe. The keys may be
/// somebody else's to keep.
const NEEDED: [&str; 3] = [
    "tls/ca.crt",
    "tls/etcd-client-ca.crt",
    "tls/service-account.key",
];

/// What a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The node that it is of.
    pub node: String,
    /// When it was made: RFC 3339, UTC.
    pub taken: String,
    /// The version of the slipway that made it.
    pub slipway: String,
    /// The snapshot beside it.
    pub snapshot: Taken,
    /// What the API server said of its version, e.g. `v1.37.2`, if it answered.
    pub kubernetes: Option<String>,
    /// The etcd that the snapshot is of.
    pub etcd: Etcd,
    /// The machine document as it was kept, if one was.
    pub machine: Option<Secret>,
    /// Those files of the asset directory, by their paths there.
    pub assets: Assets,
}

/// An etcd cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etcd {
    /// Its version, e.g. `3.7.0`.
    pub version: String,
    /// Its id.
    pub cluster_id: u64,
    /// Its members.
    pub members: Vec<etcd::Member>,
}

/// What of an asset directory belongs in a bundle.
pub fn selected(assets: &Assets) -> Assets {
    assets.only(|path| FOLDERS.iter().any(|folder| path.starts_with(folder)))
}

/// What of those files is not there and is needed.
pub fn missing(assets: &Assets) -> Vec<&'static str> {
    let is_missing = |path: &&str| assets.get(path).is_none();
    NEEDED.into_iter().filter(is_missing).collect()
}

/// The bundle for whoever has the secret half of one of `recipients`.
///
/// # Errors
/// If there is no recipient.
pub fn seal(bundle: &Bundle, recipients: &[Recipient]) -> Result<Vec<u8>> {
    age::seal(write(bundle)?.expose(), recipients)
}

/// The bundle again.
///
/// # Errors
/// If it is sealed to somebody else, damaged, or no bundle that this slipway understands.
pub fn open(sealed: &[u8], identities: &[Identity]) -> Result<Bundle> {
    let opened = age::open(sealed, identities)?;
    read(opened.expose())
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    api_version: String,
    kind: String,
    node: String,
    taken: String,
    slipway: String,
    snapshot: Taken,
    kubernetes: Option<String>,
    etcd: WrittenEtcd,
    /// In base64, as the files are.
    machine: Option<String>,
    assets: BTreeMap<String, WrittenAsset>,
}

#[derive(Serialize, Deserialize)]
struct WrittenEtcd {
    version: String,
    cluster: String,
    members: Vec<WrittenMember>,
}

/// With its id as etcdctl prints it.
#[derive(Serialize, Deserialize)]
struct WrittenMember {
    id: String,
    name: String,
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(rename = "clientURLs")]
    client_urls: Vec<String>,
    learner: bool,
}

#[derive(Serialize, Deserialize)]
struct WrittenAsset {
    mode: u32,
    owner: u32,
    data: String,
}

fn write(bundle: &Bundle) -> Result<Secret> {
    let encoded = |secret: &Secret| STANDARD.encode(secret.expose());
    let members = bundle.etcd.members.iter().map(|member| WrittenMember {
        id: format!("{:x}", member.id),
        name: member.name.clone(),
        peer_urls: member.peer_urls.clone(),
        client_urls: member.client_urls.clone(),
        learner: member.learner,
    });
    let assets = bundle.assets.iter().map(|(path, asset)| {
        let written = WrittenAsset {
            mode: asset.mode,
            owner: asset.owner,
            data: encoded(&asset.bytes),
        };
        (path.to_owned(), written)
    });
    let written = Written {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        node: bundle.node.clone(),
        taken: bundle.taken.clone(),
        slipway: bundle.slipway.clone(),
        snapshot: bundle.snapshot.clone(),
        kubernetes: bundle.kubernetes.clone(),
        etcd: WrittenEtcd {
            version: bundle.etcd.version.clone(),
            cluster: format!("{:x}", bundle.etcd.cluster_id),
            members: members.collect(),
        },
        machine: bundle.machine.as_ref().map(encoded),
        assets: assets.collect(),
    };
    let bytes = serde_json::to_vec(&written).context("cannot write the bundle")?;
    Ok(Secret::new(bytes))
}

/// Understands what was sealed. What it says is not quoted: it is secret.
///
/// # Errors
/// If it is no bundle that this slipway understands.
pub fn read(bytes: &[u8]) -> Result<Bundle> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    #[derive(Default)]
    struct Head {
        api_version: String,
        kind: String,
    }
    let head: Head = serde_json::from_slice(bytes).map_err(|_| anyhow!("it is no bundle"))?;
    ensure!(head.kind == KIND, "it is no bundle");
    ensure!(
        head.api_version == API_VERSION,
        "it is a bundle of another slipway, {}; this one reads {API_VERSION}",
        head.api_version
    );
    let written: Written = serde_json::from_slice(bytes).map_err(|error| {
        anyhow!(
            "it is a broken bundle, at column {} of its JSON",
            error.column()
        )
    })?;
    let decoded = |text: &str| {
        let bytes = STANDARD.decode(text).ok();
        bytes
            .map(Secret::new)
            .context("it is a broken bundle: something is no base64")
    };
    let mut assets = Assets::default();
    for (path, written) in &written.assets {
        ensure!(
            is_below(path),
            "it is a broken bundle: a path leads out of its folder"
        );
        let asset = Asset {
            mode: written.mode,
            owner: written.owner,
            bytes: decoded(&written.data)?,
        };
        assets.insert(path.as_str(), asset);
    }
    let members = written.etcd.members.into_iter().map(member);
    Ok(Bundle {
        node: written.node,
        taken: written.taken,
        slipway: written.slipway,
        snapshot: written.snapshot,
        kubernetes: written.kubernetes,
        etcd: Etcd {
            version: written.etcd.version,
            cluster_id: id(&written.etcd.cluster)?,
            members: members.collect::<Result<_>>()?,
        },
        machine: written.machine.as_deref().map(decoded).transpose()?,
        assets,
    })
}

fn member(written: WrittenMember) -> Result<etcd::Member> {
    Ok(etcd::Member {
        id: id(&written.id)?,
        name: written.name,
        peer_urls: written.peer_urls,
        client_urls: written.client_urls,
        learner: written.learner,
    })
}

fn id(text: &str) -> Result<u64> {
    match u64::from_str_radix(text, 16) {
        Ok(id) => Ok(id),
        Err(_) => bail!("it is a broken bundle: an id is no number"),
    }
}

/// Whether a path stays below the folder it is relative to.
fn is_below(path: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    path.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        let mut assets = Assets::default();
        assets.add("tls/ca.crt", "certificate");
        assets.add_secret("tls/ca.key", 65532, "s3cret");
        Bundle {
            node: "a".to_owned(),
            taken: "2026-11-30T10:15:00Z".to_owned(),
            slipway: "0.1.0".to_owned(),
            snapshot: Taken {
                name: "20261130T101500Z-rev7".to_owned(),
                sha256: "00".to_owned(),
                bytes: 20_512,
                revision: 7,
                keys: Some(3),
            },
            kubernetes: None,
            etcd: Etcd {
                version: "3.7.0".to_owned(),
                cluster_id: u64::MAX,
                members: vec![etcd::Member {
                    id: 0x8e9e_05c5_2164_694d,
                    name: "a".to_owned(),
                    peer_urls: vec!["https://192.0.2.1:2380".to_owned()],
                    ..etcd::Member::default()
                }],
            },
            machine: Some(Secret::new(&b"kind: Machine\n"[..])),
            assets,
        }
    }

    #[test]
    fn what_is_sealed_is_opened_and_never_shown() {
        let identity = age::identities(
            b"AGE-SECRET-KEY-1AWFVKDVY90J66SNZ9TZRKNE0SNRA4QWYEG6DAP9EE4JYYJZVL8SQCV3JNF",
        )
        .unwrap();
        let sealed = seal(&bundle(), &[identity[0].recipient()]).unwrap();
        assert_eq!(open(&sealed, &identity).unwrap(), bundle());
        assert!(!String::from_utf8_lossy(&sealed).contains("Bundle"));
        assert!(!format!("{:?}", bundle()).contains("s3cret"));
    }

    #[test]
    fn what_is_no_bundle_of_ours_is_said_without_showing_it() {
        let text = write(&bundle()).unwrap();
        let text = String::from_utf8(text.expose().to_vec()).unwrap();
        let with = |from: &str, to: &str| text.replacen(from, to, 1);
        let table = [
            ("s3cret".to_owned(), "no bundle"),
            (with("Bundle", "Machine"), "no bundle"),
            (with("v1alpha1", "v2"), "another slipway, slipway.dev/v2"),
            (with("tls/ca.key", "../ca.key"), "leads out of its folder"),
            (with("tls/ca.key", "/etc/ca.key"), "leads out of its folder"),
            (with("8e9e05c52164694d", "x"), "an id is no number"),
            (
                with("\"mode\":420", "\"mode\":\"x\""),
                "broken bundle, at column",
            ),
            (with(&STANDARD.encode("s3cret"), "!"), "no base64"),
        ];
        for (text, expected) in table {
            let error = format!("{:#}", read(text.as_bytes()).unwrap_err());
            assert!(
                error.contains(expected) && !error.contains("s3cret"),
                "{expected}: {error}"
            );
        }
    }

    #[test]
    fn keys_are_in_it_and_objects_are_not() {
        let mut assets = bundle().assets;
        assets.add("manifests/a.yaml", "");
        assets.add("kubelet/client.key", "");
        assets.add("auth/bootstrap-token", "");
        let selected = selected(&assets);
        let paths: Vec<_> = selected.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["auth/bootstrap-token", "tls/ca.crt", "tls/ca.key"]);
        assert_eq!(
            missing(&selected),
            ["tls/etcd-client-ca.crt", "tls/service-account.key"]
        );
    }
}
