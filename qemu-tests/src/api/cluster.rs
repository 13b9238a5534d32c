//! A real kube-apiserver on a real etcd, without nodes: what an API test needs of a cluster.
//!
//! Nothing else runs, so what the API holds is what the test put there. Admission of service
//! accounts is off, because the controller that would make them does not run either.

use anyhow::{Context as _, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use slipway::etcd::Endpoints;
use slipway::kube::{Client, Options, kubeconfig};
use slipway::secret::Secret;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Duration;

use super::child::Child;
use super::pki::Pki;
use crate::scenario::Context;
use crate::wait;

/// A name that the API server's certificate carries and that no resolver knows.
pub const HOST: &str = "api.slipway.test";
/// How long a server may take to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(90);
/// How long a server may take to stop when asked to.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How long etcd may take to answer on a busy machine.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Of the group system:masters, which no authorizer is asked about.
    Admin,
    /// May read everything and change nothing, by RBAC.
    Viewer,
}

impl User {
    fn name(self) -> &'static str {
        match self {
            User::Admin => "admin",
            User::Viewer => "viewer",
        }
    }
}

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where logs and certificates go.
    pub work: PathBuf,
    /// The API server's program.
    pub apiserver: PathBuf,
    /// The folder of etcd's.
    pub bin: PathBuf,
    /// Service networks, one or one a family with a comma between.
    pub services: String,
    /// Whether nodes are authorized and restricted as rendered. Otherwise RBAC alone counts, so that what a test
    /// asks for in a node's name reaches the part that is to refuse it.
    pub restricts_nodes: bool,
    /// Flags of the API server besides.
    pub flags: Vec<String>,
    /// The folder `tls` of an asset directory, whose certificates etcd and who asks it use, and whose encryption
    /// configuration the API server.
    pub rendered: Option<PathBuf>,
}

impl Setup {
    /// Of the payload's programs, in the scenario's folder.
    pub fn of(context: &Context) -> Setup {
        let bin = context.payload.join("bin");
        Setup {
            work: context.work.clone(),
            apiserver: bin.join("kube-apiserver"),
            bin,
            services: "10.3.0.0/24".to_owned(),
            restricts_nodes: false,
            flags: Vec::new(),
            rendered: None,
        }
    }
}

/// An etcd and API servers on it; all are killed when it is dropped.
pub struct Cluster {
    setup: Setup,
    pki: Pki,
    etcd_port: u16,
    port: u16,
    servers: Vec<(IpAddr, Child)>,
    etcd: Child,
}

impl Cluster {
    /// Starts etcd and one API server on 127.0.0.1, ready when this returns. Logs and certificates
    /// lie in the scenario's folder.
    pub fn start(context: &Context) -> Result<Cluster> {
        Self::with(Setup::of(context))
    }

    /// The same, with nodes authorized and restricted as rendered.
    pub fn start_restricting_nodes(context: &Context) -> Result<Cluster> {
        Self::with(Setup {
            restricts_nodes: true,
            ..Setup::of(context)
        })
    }

    /// The same with the certificates and the encryption of an asset directory's folder `tls`.
    pub fn start_rendered(context: &Context, tls: PathBuf) -> Result<Cluster> {
        Self::with(Setup {
            rendered: Some(tls),
            ..Setup::of(context)
        })
    }

    /// The same of other parts.
    pub fn with(setup: Setup) -> Result<Cluster> {
        let work = &setup.work;
        let pki = Pki::new(&work.join("pki"))?;
        match &setup.rendered {
            Some(tls) => place_rendered(tls, &pki)?,
            None => {
                pki.issue("etcd", &[], &["127.0.0.1"])?;
                pki.issue("etcd-client", &[], &[])?;
                fs::write(pki.file("etcd-ca.crt"), pki.ca())?;
            }
        }
        pki.issue(
            "apiserver",
            &[],
            &[HOST, "localhost", "127.0.0.1", "127.0.0.2"],
        )?;
        let [etcd_port, peer_port, port] = free_ports()?;
        let arguments = etcd_arguments(work, &pki, etcd_port, peer_port);
        let etcd = Child::start(&setup.bin.join("etcd"), &arguments, &work.join("etcd.log"))?;
        let mut cluster = Cluster {
            setup,
            pki,
            etcd_port,
            port,
            servers: Vec::new(),
            etcd,
        };
        for (user, groups) in [(User::Admin, &["system:masters"][..]), (User::Viewer, &[])] {
            cluster.write_kubeconfig(user.name(), groups)?;
        }
        cluster.start_server(Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into())?;
        for object in viewer_rights() {
            cluster.admin()?.apply(&object, "api-tier", true)?;
        }
        Ok(cluster)
    }

    /// Starts an API server that binds `address` on the shared port, and waits until it is ready
    /// through `door`, an address that reaches it and no other.
    pub fn start_server(&mut self, address: IpAddr, door: IpAddr) -> Result<()> {
        let log = self
            .setup
            .work
            .join(format!("kube-apiserver-{address}.log"));
        let server = Child::start(&self.setup.apiserver, &self.server_arguments(address), &log)?;
        self.servers.push((address, server));
        let door = SocketAddr::new(door, self.port);
        let options = Options {
            connect_to: Some(door),
            ..Options::probe()
        };
        let probe = self.client(User::Admin, options)?;
        wait::until("ready API server", START_LIMIT, || {
            self.etcd.check_alive()?;
            for (_, server) in &mut self.servers {
                server.check_alive()?;
            }
            match probe.status("/readyz")? {
                (200, _) => Ok(()),
                (code, text) => bail!("/readyz says {code}: {text}"),
            }
        })
    }

    /// Kills the API server bound to `address`; connections to it are reset.
    pub fn kill_server(&mut self, address: IpAddr) -> Result<()> {
        self.take_server(address).map(drop)
    }

    /// Stops the API server bound to `address` as a kubelet would.
    pub fn terminate_server(&mut self, address: IpAddr) -> Result<()> {
        self.take_server(address)?.terminate(STOP_LIMIT)
    }

    fn take_server(&mut self, address: IpAddr) -> Result<Child> {
        let index = self.servers.iter().position(|(bound, _)| *bound == address);
        let index = index.with_context(|| format!("no API server is bound to {address}"))?;
        Ok(self.servers.remove(index).1)
    }

    /// A client of the administrator with the default options.
    pub fn admin(&self) -> Result<Client> {
        self.client(User::Admin, Options::default())
    }

    /// A client of `user`.
    pub fn client(&self, user: User, options: Options) -> Result<Client> {
        Ok(Client::new(
            &kubeconfig::load(&self.kubeconfig(user))?,
            options,
        )?)
    }

    /// The kubeconfig of `user`: everything embedded, server `https://127.0.0.1:PORT`.
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        self.file_of(user.name())
    }

    /// A client of a user `name` with a certificate that makes it a member of `groups`.
    pub fn client_of(&self, name: &str, groups: &[&str]) -> Result<Client> {
        self.write_kubeconfig(name, groups)?;
        let config = kubeconfig::load(&self.file_of(name))?;
        Ok(Client::new(&config, Options::default())?)
    }

    /// A kubeconfig whose user has these `credentials`.
    pub fn kubeconfig_with(&self, credentials: &Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "api-tier", "user": "it"}}],
            "clusters": [{"name": "api-tier", "cluster": {
                "server": format!("https://{}", self.address()),
                "certificate-authority-data": STANDARD.encode(self.pki.ca()),
            }}],
            "users": [{"name": "it", "user": credentials}],
        })
    }

    /// The cluster's etcd, and what lets the API server in.
    pub fn etcd(&self) -> Result<Endpoints> {
        let read = |name: &str| fs::read(self.pki.file(name));
        Ok(Endpoints {
            urls: vec![self.etcd_url()],
            ca_pem: read("etcd-ca.crt")?,
            certificate: Some((
                read("etcd-client.crt")?,
                Secret::new(read("etcd-client.key")?),
            )),
            timeout: CALL_LIMIT,
        })
    }

    /// `etcdctl` of the payload, let in to the cluster's etcd.
    pub fn etcdctl(&self) -> Command {
        let mut command = Command::new(self.setup.bin.join("etcdctl"));
        command.arg(format!("--endpoints={}", self.etcd_url()));
        for (flag, name) in [
            ("cacert", "etcd-ca.crt"),
            ("cert", "etcd-client.crt"),
            ("key", "etcd-client.key"),
        ] {
            command.arg(format!("--{flag}={}", self.pki.file(name).display()));
        }
        command
    }

    /// `etcdutl` of the payload.
    pub fn etcdutl(&self) -> Command {
        Command::new(self.setup.bin.join("etcdutl"))
    }

    fn etcd_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.etcd_port)
    }

    fn file_of(&self, name: &str) -> PathBuf {
        self.setup.work.join(format!("{name}.kubeconfig"))
    }

    /// Where the first API server listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port)
    }

    fn write_kubeconfig(&self, name: &str, groups: &[&str]) -> Result<()> {
        let (certificate, key) = self.pki.issue(name, groups, &[])?;
        let config = self.kubeconfig_with(&json!({
            "client-certificate-data": STANDARD.encode(certificate),
            "client-key-data": STANDARD.encode(key),
        }));
        Ok(fs::write(self.file_of(name), config.to_string())?)
    }

    fn server_arguments(&self, address: IpAddr) -> Vec<String> {
        let pki = |name: &str| self.pki.file(name).display().to_string();
        let mut arguments = vec![
            format!("--bind-address={address}"),
            format!("--secure-port={}", self.port),
            "--permit-port-sharing".to_owned(),
            "--allow-privileged".to_owned(),
            // No server of this tier is reachable from elsewhere, and loopback is not accepted.
            "--advertise-address=192.0.2.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--etcd-servers={}", self.etcd_url()),
            format!("--etcd-cafile={}", pki("etcd-ca.crt")),
            format!("--etcd-certfile={}", pki("etcd-client.crt")),
            format!("--etcd-keyfile={}", pki("etcd-client.key")),
            format!("--tls-cert-file={}", pki("apiserver.crt")),
            format!("--tls-private-key-file={}", pki("apiserver.key")),
            format!("--client-ca-file={}", pki("ca.crt")),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            format!("--service-cluster-ip-range={}", self.setup.services),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", pki("service-account.pub")),
            format!(
                "--service-account-signing-key-file={}",
                pki("service-account.key")
            ),
            format!("--cert-dir={}", self.setup.work.display()),
        ];
        if let Some(tls) = &self.setup.rendered {
            let file = tls.join("encryption.yaml");
            arguments.push(format!("--encryption-provider-config={}", file.display()));
        }
        if self.setup.restricts_nodes {
            arguments.push("--authorization-mode=Node,RBAC".to_owned());
            arguments.push("--enable-admission-plugins=NodeRestriction".to_owned());
        } else {
            arguments.push("--authorization-mode=RBAC".to_owned());
        }
        arguments.extend_from_slice(&self.setup.flags);
        arguments
    }
}

/// etcd's certificates as an asset directory has them, by the names that this tier's own have.
fn place_rendered(tls: &Path, pki: &Pki) -> Result<()> {
    for (from, to) in [
        ("etcd-client-ca.crt", "etcd-ca.crt"),
        ("etcd/server.crt", "etcd.crt"),
        ("etcd/server.key", "etcd.key"),
        ("etcd-client.crt", "etcd-client.crt"),
        ("etcd-client.key", "etcd-client.key"),
    ] {
        fs::copy(tls.join(from), pki.file(to)).with_context(|| format!("no {from}"))?;
    }
    Ok(())
}

fn etcd_arguments(work: &Path, pki: &Pki, port: u16, peer_port: u16) -> Vec<String> {
    let client = format!("https://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    vec![
        "--name=api-tier".to_owned(),
        format!("--data-dir={}", work.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=api-tier={peer}"),
        format!("--cert-file={}", pki.file("etcd.crt").display()),
        format!("--key-file={}", pki.file("etcd.key").display()),
        format!("--trusted-ca-file={}", pki.file("etcd-ca.crt").display()),
        "--client-cert-auth".to_owned(),
        // The data of a test need not survive a power cut.
        "--unsafe-no-fsync".to_owned(),
    ]
}

/// The right to read, and whose it is. Not the ClusterRole `view`: it is empty until a controller
/// aggregates it, and no controller runs.
fn viewer_rights() -> [Value; 2] {
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    let name = "api-tier:viewer";
    let role = json!({
        "apiVersion": version, "kind": "ClusterRole", "metadata": {"name": name},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}],
    });
    let binding = json!({
        "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": User::Viewer.name()}],
    });
    [role, binding]
}

/// Ports on which nobody listens, below the range from which the kernel picks ports for clients; so
/// nobody takes them by chance before the servers do.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    const RANGE: std::ops::Range<u16> = 20_000..32_000;
    let skip = usize::try_from(process::id())? * 16 % RANGE.len();
    let mut free = RANGE
        .cycle()
        .skip(skip)
        .take(RANGE.len())
        .filter(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok());
    let mut ports = [0; N];
    for port in &mut ports {
        *port = free.next().context("no port is free")?;
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_different_and_not_the_kernels() {
        let [a, b, c] = free_ports().unwrap();
        assert!(a != b && b != c && a != c);
        assert!([a, b, c].iter().all(|port| (20_000..32_000).contains(port)));
    }
}
