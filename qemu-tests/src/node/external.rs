//! An etcd that is somebody else's: on a machine of its own, with an authority of its own that
//! slipway has never seen.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::native::{Node, NodeSpec};
use super::network::Network;
use super::process::{Process, Program};
use crate::api::Pki;
use crate::scenario::Context;
use crate::scenarios::indented;
use crate::wait;

/// Its machine's address.
const ADDRESS: &str = "10.77.0.9";
/// Where its certificates lie on that machine.
const FOLDER: &str = "/etc/etcd";
/// How long it may take to answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running etcd; it ends with its machine.
#[derive(Debug)]
pub struct Etcd {
    machine: Node,
    /// The lines of a machine document whose API server keeps its objects here.
    pub document: String,
}

impl Etcd {
    /// Starts it on a machine of its own and waits until it answers.
    pub fn start(context: &Context, network: &Arc<Network>) -> Result<Self> {
        let spec = NodeSpec::new("store", ADDRESS).on(network);
        let mut machine = Node::create(context, spec)?;
        machine.boot()?;
        let pki = Pki::new(&machine.path(FOLDER))?;
        pki.issue("server", &[], &[ADDRESS])?;
        let (certificate, key) = pki.issue("apiserver", &[], &[])?;
        let document = format!(
            "etcd:\n  external:\n    endpoints: [\"https://{ADDRESS}:2379\"]\n\
             \x20   authority: |\n{}    certificate: |\n{}    key: |\n{}",
            indented(&pki.ca()),
            indented(&certificate),
            indented(&key)
        );
        let etcd = Self { machine, document };
        let process = etcd.serve()?;
        etcd.wait_until_healthy(process)?;
        Ok(etcd)
    }

    fn serve(&self) -> Result<Process> {
        let url = format!("https://{ADDRESS}:2379");
        let arguments = [
            "--name=store".to_owned(),
            "--data-dir=/var/lib/etcd".to_owned(),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!("--cert-file={FOLDER}/server.crt"),
            format!("--key-file={FOLDER}/server.key"),
            format!("--trusted-ca-file={FOLDER}/ca.crt"),
            "--client-cert-auth".to_owned(),
        ];
        let program = Program::new(std::iter::once("etcd".to_owned()).chain(arguments));
        self.machine.start(&program.log("etcd"))
    }

    fn wait_until_healthy(&self, mut process: Process) -> Result<()> {
        wait::until("external etcd", PATIENCE, || {
            ensure!(
                !process.ends_within(Duration::ZERO)?,
                "it ended; see {}/etcd.log",
                self.machine.logs().display()
            );
            self.control(&["endpoint", "health"]).map(drop)
        })
    }

    /// How many keys of Kubernetes it holds.
    pub fn keys(&self) -> Result<usize> {
        let keys = self.control(&["get", "/registry/", "--prefix", "--keys-only"])?;
        Ok(keys.lines().filter(|line| !line.is_empty()).count())
    }

    fn control(&self, arguments: &[&str]) -> Result<String> {
        let program = Program::new([&["etcdctl"], arguments].concat())
            .env("ETCDCTL_ENDPOINTS", &format!("https://{ADDRESS}:2379"))
            .env("ETCDCTL_CACERT", &format!("{FOLDER}/ca.crt"))
            .env("ETCDCTL_CERT", &format!("{FOLDER}/apiserver.crt"))
            .env("ETCDCTL_KEY", &format!("{FOLDER}/apiserver.key"));
        self.machine.run(&program)?.success()
    }
}
