//! What a person has of a cluster beside its store: the machine document, the keys that nothing in the store has, and perhaps
//! a snapshot. With these alone a recovery can be typed, long after the cluster is gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::api::Cluster;
use crate::process;

const DOCUMENT: &str = "apiVersion: slipway.dev/v1alpha1\nkind: Machine\nclock: unchecked\n\
    node: {name: node-a, address: 192.0.2.1}\ncluster: {name: harbour}\nencryption: {provider: secretbox}\n";
/// The authorities of which only an asset directory has the keys: what supplies them, and where they lie.
const AUTHORITIES: [(&str, &str); 2] = [
    ("etcd-ca", "tls/etcd-client-ca"),
    ("front-proxy-ca", "tls/front-proxy-ca"),
];
/// Where an asset directory has the API server's encryption configuration.
const ENCRYPTION: &str = "tls/encryption.yaml";
const SNAPSHOT: &str = "snapshot.db";

/// A folder with all of it.
pub struct Kept {
    folder: PathBuf,
    slipway: PathBuf,
}

impl Kept {
    /// Of a folder that has it.
    pub fn in_folder(folder: &Path, slipway: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            slipway: slipway.to_owned(),
        }
    }

    /// In a new folder, the document alone.
    pub fn begin(folder: &Path, slipway: &Path) -> Result<Self> {
        let kept = Self::in_folder(folder, slipway);
        fs::create_dir_all(folder)?;
        fs::write(kept.document(), DOCUMENT)?;
        Ok(kept)
    }

    /// Takes what else there is to keep: the authorities, and how Secrets are encrypted.
    pub fn take(&self, assets: &Path) -> Result<()> {
        for (name, path) in AUTHORITIES {
            let read = |ending| fs::read(assets.join(format!("{path}.{ending}")));
            fs::write(self.file(name), [read("crt")?, read("key")?].concat())?;
        }
        fs::copy(assets.join(ENCRYPTION), self.encryption())?;
        Ok(())
    }

    /// Takes a snapshot, if there is none yet.
    pub fn take_snapshot(&self, cluster: &Cluster) -> Result<()> {
        if !self.snapshot().exists() {
            let mut save = cluster.etcdctl();
            process::output(save.args(["snapshot", "save"]).arg(self.snapshot()))?;
        }
        Ok(())
    }

    /// The machine document.
    pub fn document(&self) -> PathBuf {
        self.folder.join("machine.yaml")
    }

    /// The snapshot.
    pub fn snapshot(&self) -> PathBuf {
        self.folder.join(SNAPSHOT)
    }

    fn encryption(&self) -> PathBuf {
        self.folder.join("encryption.yaml")
    }

    /// A file of a name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    /// `slipway recover` below a root; its source is still to be named.
    pub fn recover(&self, root: &Path) -> Command {
        let mut command = Command::new(&self.slipway);
        command.arg("recover").arg("--root").arg(root);
        command.arg("--config").arg(self.document());
        command
    }

    /// The same from the snapshot.
    pub fn recover_from_snapshot(&self, root: &Path) -> Command {
        let mut command = self.recover(root);
        command.arg("--snapshot").arg(self.snapshot());
        command
    }

    /// With the keys, so that only what the authorities sign is new.
    pub fn supply(&self, command: &mut Command) {
        command.arg("--encryption-config").arg(self.encryption());
        for (name, _) in AUTHORITIES {
            command.arg(format!("--{name}")).arg(self.file(name));
        }
    }
}
