//! What a recovery begins with: a cluster's store, with what `slipway start` would have put there, and files with the
//! keys that a person kept. Recoveries run below a root of their own, in memory: one that is killed hundreds of times
//! would else wait for a disk that others use.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use slipway::assets::Assets;
use slipway::exit::Exit;
use slipway::render::directory;
use slipway::start;

use super::tree::Tree;
use crate::api::Cluster;
use crate::api::cluster::{Setup, User};
use crate::process;
use crate::scenario::Context;

const DOCUMENT: &str = "apiVersion: slipway.dev/v1alpha1\nkind: Machine\nclock: unchecked\n\
    node: {name: node-a, address: 192.0.2.1}\ncluster: {name: harbour}\nencryption: {provider: secretbox}\n";
const MEMORY: &str = "/dev/shm";
/// Where an asset directory lies below a root.
pub const ASSETS: &str = "var/lib/slipway/assets";
/// The authorities of which only an asset directory has the keys: what supplies them, and where they lie.
const KEPT: [(&str, &str); 2] = [
    ("etcd-ca", "tls/etcd-client-ca"),
    ("front-proxy-ca", "tls/front-proxy-ca"),
];
/// What a recovery must not make anew, in `tls/`.
const AUTHORITIES: [&str; 8] = [
    "ca.crt",
    "ca.key",
    "etcd-client-ca.crt",
    "etcd-client-ca.key",
    "front-proxy-ca.crt",
    "front-proxy-ca.key",
    "service-account.key",
    "service-account.pub",
];

/// A cluster's store and what is kept beside it.
pub struct Left {
    pub cluster: Cluster,
    /// The asset directory that the cluster was launched with.
    pub assets: PathBuf,
    /// Its API server's encryption configuration, which the cluster's has too.
    pub encryption: PathBuf,
    work: PathBuf,
    payload: PathBuf,
    slipway: PathBuf,
    roots: tempfile::TempDir,
}

impl Left {
    /// Of an API server that answers still.
    pub fn of(context: &Context) -> Result<Left> {
        let (document, assets) = (document(&context.work), context.work.join("assets"));
        fs::write(&document, DOCUMENT)?;
        let mut render = Command::new(&context.slipway);
        render.arg("render").arg("--config").arg(document);
        process::output(render.arg("--asset-dir").arg(&assets))?;
        let encryption = assets.join("tls/encryption.yaml");
        let flag = format!("--encryption-provider-config={}", encryption.display());
        let cluster = Cluster::with(Setup {
            flags: vec![flag],
            ..Setup::of(context)
        })?;
        let left = Left {
            cluster,
            assets,
            encryption,
            work: context.work.clone(),
            payload: context.payload.clone(),
            slipway: context.slipway.clone(),
            roots: tempfile::tempdir_in(MEMORY)?,
        };
        left.launch()?;
        left.keep()?;
        Ok(left)
    }

    /// What `slipway start` applies, the node among it.
    fn launch(&self) -> Result<()> {
        let client = self.cluster.admin()?;
        for manifest in start::manifests(&self.rendered()?)? {
            client.apply(&manifest.object, start::MANAGER, true)?;
        }
        Ok(())
    }

    /// The files of a person: the authorities, and what etcd lets in.
    fn keep(&self) -> Result<()> {
        for (name, path) in KEPT {
            let read = |ending| fs::read(self.assets.join(format!("{path}.{ending}")));
            fs::write(self.kept(name), [read("crt")?, read("key")?].concat())?;
        }
        let etcd = self.cluster.etcd()?;
        let (certificate, key) = etcd.certificate.context("etcd takes everybody")?;
        fs::write(self.kept("certificate"), certificate)?;
        fs::write(self.kept("key"), key.expose())?;
        fs::write(self.kept("ca"), etcd.ca_pem)?;
        Ok(())
    }

    fn kept(&self, name: &str) -> PathBuf {
        self.work.join(format!("kept-{name}.pem"))
    }

    /// The asset directory that the cluster was launched with.
    pub fn rendered(&self) -> Result<Assets> {
        directory::load(&self.assets)
    }

    /// All authorities and the key of ServiceAccounts, PEM.
    pub fn authorities(&self) -> Result<String> {
        let assets = self.rendered()?;
        let mut kept = String::new();
        for name in AUTHORITIES {
            let asset = assets.get(&format!("tls/{name}"));
            let asset = asset.with_context(|| format!("no tls/{name}"))?;
            kept += std::str::from_utf8(asset.bytes.expose())?;
        }
        Ok(kept)
    }

    /// What recoveries write below; each name has another, and nobody has made it yet.
    pub fn root(&self, name: &str) -> PathBuf {
        self.roots.path().join(name)
    }

    /// From now on nobody but etcd answers.
    pub fn stop_api(&mut self) -> Result<()> {
        self.cluster.terminate_server(Ipv4Addr::LOCALHOST.into())
    }

    /// What people do who want another image.
    pub fn set_image(&self, workload: &str, image: &str) -> Result<()> {
        let mut kubectl = Command::new(self.payload.join("bin/kubectl"));
        kubectl
            .arg("--kubeconfig")
            .arg(self.cluster.kubeconfig(User::Admin));
        kubectl.args(["--namespace=kube-system", "set", "image", workload]);
        process::output(kubectl.arg(format!("*={image}"))).map(drop)
    }

    /// `slipway recover` below a root; its source is still to be named.
    fn recover(&self, root: &Path) -> Command {
        let mut command = Command::new(&self.slipway);
        command.arg("recover").arg("--root").arg(root);
        command.arg("--config").arg(document(&self.work));
        command
    }

    /// The same from the live etcd.
    pub fn recover_from_etcd(&self, root: &Path) -> Result<Command> {
        let mut command = self.recover(root);
        for (flag, name) in [
            ("etcd-ca-path", "ca"),
            ("etcd-certificate-path", "certificate"),
            ("etcd-private-key-path", "key"),
        ] {
            command.arg(format!("--{flag}")).arg(self.kept(name));
        }
        let urls = self.cluster.etcd()?.urls;
        command.arg("--etcd-servers").arg(urls.join(","));
        Ok(command)
    }

    /// The same from the API server.
    pub fn recover_from_api(&self, root: &Path) -> Command {
        let mut command = self.recover(root);
        command
            .arg("--kubeconfig")
            .arg(self.cluster.kubeconfig(User::Admin));
        command
    }

    /// The same from a snapshot that is taken now.
    pub fn recover_from_snapshot(&self, root: &Path) -> Result<Command> {
        let snapshot = self.work.join("snapshot.db");
        if !snapshot.exists() {
            let mut save = self.cluster.etcdctl();
            process::output(save.args(["snapshot", "save"]).arg(&snapshot))?;
        }
        let mut command = self.recover(root);
        command.arg("--snapshot").arg(snapshot);
        Ok(command)
    }

    /// With what a person kept beside, so that only what the authorities sign is new.
    pub fn supply(&self, command: &mut Command) {
        command.arg("--encryption-config").arg(&self.encryption);
        for (name, _) in KEPT {
            command.arg(format!("--{name}")).arg(self.kept(name));
        }
    }

    /// A root with the asset directory.
    pub fn with_assets(&self) -> Result<Tree> {
        Ok(Tree::read(&self.assets)?.below(&["var", "var/lib", "var/lib/slipway", ASSETS]))
    }

    /// Keeps what differs where a person can look.
    pub fn show(&self, tree: &Tree, name: &str) -> Result<()> {
        tree.write(&self.work.join(name))
    }
}

fn document(work: &Path) -> PathBuf {
    work.join("machine.yaml")
}

/// Ends with this code; both that it said.
pub fn ends(command: &mut Command, exit: Exit) -> Result<(String, String)> {
    let output = command.output()?;
    let [out, error] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    ensure!(
        output.status.code() == Some(i32::from(exit as u8)),
        "{:?} instead of {exit:?}: {out}{error}",
        output.status
    );
    Ok((out, error))
}
