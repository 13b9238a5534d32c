//! ServiceAccount tokens, and the client certificates in their place.
//!
//! A token is bound to its pod and ends within the hour; a static pod may not have one. A certificate whose
//! common name is the account's user has the rights that roles give to the account, because RBAC compares that name. Rights
//! of the group of all accounts it has only if it names the group.

use anyhow::{Context, Result};
use serde_json::Value;

use super::{File, Files, Given, containers, list, paths};
use crate::checkpoint::workload::text;
use crate::secret::Secret;

/// The ConfigMap that the controller-manager puts into every namespace; it holds the cluster's authority.
pub(super) const AUTHORITY: &str = "kube-root-ca.crt";
const CERTIFICATE: &str = "client.crt";
const KEY: &str = "client.key";

/// A place where a container sees a token.
pub(super) struct Seen {
    /// The volume's name.
    pub volume: String,
    /// The token's path in the container.
    pub token: String,
    /// The folder there that holds the certificate.
    folder: String,
}

impl Seen {
    /// The path of the certificate in the container.
    pub fn certificate(&self) -> String {
        format!("{}/{CERTIFICATE}", self.folder)
    }

    /// The path of its key.
    pub fn key(&self) -> String {
        format!("{}/{KEY}", self.folder)
    }
}

/// Whether a volume projects a token.
pub(super) fn is_volume(volume: &Value) -> bool {
    token_paths(volume).next().is_some()
}

fn token_paths(volume: &Value) -> impl Iterator<Item = &str> {
    list(&volume["projected"]["sources"])
        .iter()
        .filter_map(|source| source["serviceAccountToken"]["path"].as_str())
}

/// Every place where a container of the pod sees a token.
pub(super) fn seen(pod: &Value) -> Result<Vec<Seen>> {
    let mut all = Vec::new();
    for volume in list(&pod["spec"]["volumes"]) {
        let name = text(&volume["name"]);
        let mounts = containers(pod).flat_map(|container| list(&container["volumeMounts"]));
        // Part of a volume may lie anywhere; who looks for a token there is told in a note.
        let whole = |mount: &&Value| mount["subPath"].is_null() && mount["subPathExpr"].is_null();
        for mount in mounts.filter(|mount| mount["name"] == name).filter(whole) {
            let root = text(&mount["mountPath"]).trim_end_matches('/');
            for path in token_paths(volume) {
                let path = paths::relative(path)?;
                all.push(Seen {
                    volume: name.to_owned(),
                    token: format!("{root}/{path}"),
                    folder: format!("{root}/{}", folder(&path))
                        .trim_end_matches('/')
                        .into(),
                });
            }
        }
    }
    Ok(all)
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// What stands in place of the token at `path`.
pub(super) fn stand_in(given: &Given<'_>, path: &str) -> Result<Files> {
    let namespace = text(&given.pod["metadata"]["namespace"]);
    let account = text(&given.pod["spec"]["serviceAccountName"]);
    let account = match account.is_empty() {
        true => "default",
        false => account,
    };
    let given = given.account.with_context(|| {
        format!(
            "no client certificate for system:serviceaccount:{namespace}:{account} is there, to stand in for the token \
             that it mounts; set automountServiceAccountToken: false if it does not use the API, or make the certificate"
        )
    })?;
    let path = paths::relative(path)?;
    let beside = |name: &str| match folder(&path) {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    };
    Ok(Files::from([
        (
            beside(CERTIFICATE),
            File::private(Secret::new(&*given.certificate)),
        ),
        (beside(KEY), File::private(given.key.clone())),
    ]))
}
