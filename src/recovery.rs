//! What `recover` tells `start` in an asset directory: that this cluster lived before.
//!
//! `recovery.json`, format of our own, camelCase JSON. A directory without it is a first launch, or one that `start`
//! simply goes on with.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::assets::Assets;
use crate::node::files::below;

/// Where it lies in an asset directory.
pub const FILE: &str = "recovery.json";

/// In etcd's data that was restored, until the launch after it is done: the hash of the snapshot. Below the root.
pub const STAMP: &str = "/var/lib/etcd/member/.slipway-restored";

/// What makes data of etcd's. Below the root.
pub const MEMBER: &str = "/var/lib/etcd/member";

/// Says, until it is done, that etcd's data is being restored: an etcd that started meanwhile would begin empty. Below the
/// root.
pub const RESTORING: &str = "/var/lib/etcd/.slipway-restoring";

/// Whether a restore of etcd's data began and did not end. Where there is data by now, whoever put it there, the mark means
/// nothing.
pub fn is_restoring(root: &Path) -> bool {
    below(root, RESTORING).exists() && !below(root, MEMBER).exists()
}

/// What is to be minded when a recovered cluster is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recovery {
    /// Which recovery it is: another one has another.
    pub id: String,
    /// The node that the cluster is recovered on.
    pub node: String,
    /// Where everything was read from, for people.
    pub source: String,
    /// The revision of the store that was read.
    pub revision: u64,
    /// The components that are recovered, e.g. `kube-scheduler`; all of the control plane if it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// The hash of the snapshot that etcd's data on this machine was restored from, if it was: no pod of the control plane
    /// that the API knows runs anywhere then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Nodes that are gone for good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forget_nodes: Vec<String>,
}

impl Recovery {
    /// That of an asset directory, if it is a recovered one.
    ///
    /// # Errors
    /// If it cannot be understood.
    pub fn of(assets: &Assets) -> Result<Option<Self>> {
        let asset = assets.get(FILE);
        let read = asset.map(|asset| serde_json::from_slice(asset.bytes.expose()));
        read.transpose()
            .with_context(|| format!("cannot read {FILE}; run `slipway recover` again"))
    }

    /// As a file.
    ///
    /// # Errors
    /// If it cannot be serialised.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).context("cannot write the record")?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Whether a component is one of those that are recovered.
    pub fn covers(&self, component: &str) -> bool {
        self.components.is_empty() || self.components.iter().any(|one| one == component)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_is_over_when_there_is_data() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(below(root.path(), "/var/lib/etcd")).unwrap();
        assert!(!is_restoring(root.path()));
        std::fs::write(below(root.path(), RESTORING), "").unwrap();
        assert!(is_restoring(root.path()));
        std::fs::create_dir(below(root.path(), MEMBER)).unwrap();
        assert!(!is_restoring(root.path()));
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let recovery = Recovery {
            id: "1".into(),
            node: "node-b".into(),
            source: "a snapshot".into(),
            revision: 7,
            components: vec!["kube-scheduler".into()],
            snapshot: Some("ab".into()),
            forget_nodes: vec!["node-a".into()],
        };
        let mut assets = Assets::default();
        assert_eq!(Recovery::of(&assets).unwrap(), None);
        assets.add(FILE, recovery.to_json().unwrap());
        assert_eq!(Recovery::of(&assets).unwrap(), Some(recovery.clone()));
        assert!(recovery.covers("kube-scheduler") && !recovery.covers("kube-apiserver"));
        assert!(Recovery::default().covers("kube-apiserver"));
        assets.add(FILE, "{");
        assert!(Recovery::of(&assets).is_err());
    }
}
