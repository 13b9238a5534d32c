//! What a recovery begins with: a cluster's store, with what `slipway start` would have put there, and what a person kept
//! beside it. Recoveries run below a root of their own, in memory: one that is killed hundreds of times
//! would else wait for a disk that others use.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use slipway::assets::Assets;
use slipway::exit::Exit;
use slipway::render::directory;
use slipway::start;

use super::kept::Kept;
use super::tree::Tree;
use crate::api::Cluster;
use crate::api::cluster::{Setup, User};
use crate::process;
use crate::scenario::Context;

const MEMORY: &str = "/dev/shm";
/// Where an asset directory lies below a root.
pub const ASSETS: &str = "var/lib/slipway/assets";
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
    /// What a person kept of it.
    pub kept: Kept,
    work: PathBuf,
    payload: PathBuf,
    roots: tempfile::TempDir,
}

impl Left {
    /// Of an API server that answers still.
    pub fn of(context: &Context) -> Result<Left> {
        let kept = Kept::begin(&context.work.join("kept"), &context.slipway)?;
        let assets = context.work.join("assets");
        let mut render = Command::new(&context.slipway);
        render.arg("render").arg("--config").arg(kept.document());
        process::output(render.arg("--asset-dir").arg(&assets))?;
        kept.take(&assets)?;
        let encryption = assets.join("tls/encryption.yaml");
        let flag = format!("--encryption-provider-config={}", encryption.display());
        let cluster = Cluster::with(Setup {
            flags: vec![flag],
            ..Setup::of(context)
        })?;
        let left = Left {
            cluster,
            assets,
            kept,
            work: context.work.clone(),
            payload: context.payload.clone(),
            roots: tempfile::tempdir_in(MEMORY)?,
        };
        left.launch()?;
        left.keep_door()?;
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

    /// What etcd lets in.
    fn keep_door(&self) -> Result<()> {
        let etcd = self.cluster.etcd()?;
        let (certificate, key) = etcd.certificate.context("etcd takes everybody")?;
        fs::write(self.kept.file("certificate"), certificate)?;
        fs::write(self.kept.file("key"), key.expose())?;
        fs::write(self.kept.file("ca"), etcd.ca_pem)?;
        Ok(())
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
        self.kubectl(&["set", "image", workload, &format!("*={image}")])
    }

    /// What people do who want anything else.
    pub fn patch(&self, workload: &str, patch: &Value) -> Result<()> {
        self.kubectl(&["patch", workload, "--patch", &patch.to_string()])
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<()> {
        let mut kubectl = Command::new(self.payload.join("bin/kubectl"));
        kubectl
            .arg("--kubeconfig")
            .arg(self.cluster.kubeconfig(User::Admin));
        kubectl.arg("--namespace=kube-system").args(arguments);
        process::output(&mut kubectl).map(drop)
    }

    /// `slipway recover` below a root from the live etcd.
    pub fn recover_from_etcd(&self, root: &Path) -> Result<Command> {
        let urls = self.cluster.etcd()?.urls;
        Ok(self.recover_from_etcd_at(root, &urls.join(",")))
    }

    /// The same from whatever etcd is there.
    pub fn recover_from_etcd_at(&self, root: &Path, servers: &str) -> Command {
        let mut command = self.kept.recover(root);
        for (flag, name) in [
            ("etcd-ca-path", "ca"),
            ("etcd-certificate-path", "certificate"),
            ("etcd-private-key-path", "key"),
        ] {
            command.arg(format!("--{flag}")).arg(self.kept.file(name));
        }
        command.arg("--etcd-servers").arg(servers);
        command
    }

    /// The same from the API server.
    pub fn recover_from_api(&self, root: &Path) -> Command {
        let mut command = self.kept.recover(root);
        command
            .arg("--kubeconfig")
            .arg(self.cluster.kubeconfig(User::Admin));
        command
    }

    /// The same from a snapshot that is taken now.
    pub fn recover_from_snapshot(&self, root: &Path) -> Result<Command> {
        self.kept.take_snapshot(&self.cluster)?;
        Ok(self.kept.recover_from_snapshot(root))
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
