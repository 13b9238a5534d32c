//! The asset directory as a value: what `render` makes, what `recover` makes, what `start` takes.
//!
//! A map from relative path to mode, owner and bytes. It is the one contract between the rooms that
//! make a control plane's files and the room that launches it, so neither knows the other.

use std::collections::BTreeMap;

use crate::secret::Secret;

/// The numeric user of the bootstrap, self-hosted and checkpointed control-plane components.
///
/// One for all of them, because SO_REUSEPORT lets two processes share a port only if their user is
/// the same, and because secret files belong to it. Changing it is a migration.
pub const CONTROL_PLANE_UID: u32 = 65532;

/// The label of nodes that carry the control plane.
pub const CONTROL_PLANE_LABEL: &str = "node-role.kubernetes.io/control-plane";

/// Where an asset directory has the temporary control plane's static pods.
pub const BOOTSTRAP_MANIFESTS: &str = "bootstrap-manifests/";
/// Where it has the permanent ones, if the control plane is of that kind.
pub const STATIC_MANIFESTS: &str = "static-manifests/";

/// One file of the asset directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Permission bits, e.g. 0o600.
    pub mode: u32,
    /// Numeric owner and group of the file once it is installed on a node. The asset directory
    /// itself belongs to whoever rendered it.
    pub owner: u32,
    /// The content. Kept unprintable because most of it is secret.
    pub bytes: Secret,
}

/// The files of an asset directory by path relative to it, e.g. `tls/ca.crt`; never starts with
/// `/`, never contains `..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assets(BTreeMap<String, Asset>);

impl Assets {
    /// Adds a world-readable file (0644).
    pub fn add(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        let asset = Asset {
            mode: 0o644,
            owner: 0,
            bytes: Secret::new(bytes),
        };
        self.0.insert(path.into(), asset);
    }

    /// Adds a file only its owner can read (0600); `owner` is its user once installed on a node.
    pub fn add_secret(&mut self, path: impl Into<String>, owner: u32, bytes: impl Into<Vec<u8>>) {
        let asset = Asset {
            mode: 0o600,
            owner,
            bytes: Secret::new(bytes),
        };
        self.0.insert(path.into(), asset);
    }

    /// Puts a file in place of whatever is at `path`.
    pub fn insert(&mut self, path: impl Into<String>, asset: Asset) {
        self.0.insert(path.into(), asset);
    }

    /// The file at `path`.
    pub fn get(&self, path: &str) -> Option<&Asset> {
        self.0.get(path)
    }

    /// All files in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Asset)> {
        self.0.iter().map(|(path, asset)| (path.as_str(), asset))
    }

    /// Files below `prefix` (which ends in `/`), with the rest of their path.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Asset)> {
        self.iter()
            .filter_map(move |(path, asset)| Some((path.strip_prefix(prefix)?, asset)))
    }

    /// Those files whose paths are `wanted`.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let files = self.0.iter().filter(|(path, _)| wanted(path));
        Self(
            files
                .map(|(path, asset)| (path.clone(), asset.clone()))
                .collect(),
        )
    }

    /// Whether the control plane is of static pods that stay.
    pub fn is_static(&self) -> bool {
        self.below(STATIC_MANIFESTS).next().is_some()
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Which of `files` somebody reads whose arguments are in `text`: those whose path it names, and those that
/// they name in turn, as a kubeconfig names certificates.
pub fn named<'a>(
    files: impl Iterator<Item = (&'a str, &'a Asset)>,
    text: &'a str,
) -> BTreeMap<&'a str, &'a Asset> {
    let mut others: Vec<_> = files.collect();
    let mut found = BTreeMap::new();
    let mut texts = vec![text];
    while let Some(text) = texts.pop() {
        others.retain(|(path, asset)| {
            let is_named = names(text, path);
            if is_named {
                found.insert(*path, *asset);
                texts.extend(std::str::from_utf8(asset.bytes.expose()));
            }
            !is_named
        });
    }
    found
}

/// Whether `path` stands in `text` as a whole name, so that `etcd-client-ca.crt` does not name `ca.crt`.
fn names(text: &str, path: &str) -> bool {
    let goes_on = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    text.match_indices(path).any(|(at, _)| {
        !text[..at].ends_with(goes_on) && !text[at + path.len()..].starts_with(goes_on)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_and_what_that_names() {
        let mut assets = Assets::default();
        assets.add("ca.crt", "");
        assets.add("ca.key", "");
        assets.add("etcd/client.crt", "");
        assets.add("a.kubeconfig", "certificate-authority: ca.crt\n");
        assets.add("kubeconfig", "");
        let table: [(&str, &[&str]); 7] = [
            ("--cert=/s/ca.crt", &["ca.crt"]),
            ("--cert=/s/front-ca.crt,/s/ca.crt.old", &[]),
            ("[\"/s/etcd/client.crt\"]", &["etcd/client.crt"]),
            ("--kubeconfig=/s/a.kubeconfig", &["a.kubeconfig", "ca.crt"]),
            ("--kubeconfig=/s/kubeconfig", &["kubeconfig"]),
            (
                "--client-ca=/s/ca.crt\n--key=/s/ca.key",
                &["ca.crt", "ca.key"],
            ),
            ("", &[]),
        ];
        for (text, expected) in table {
            let found: Vec<_> = named(assets.iter(), text).into_keys().collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
