//! A guest whose clock is ahead of the host's: what it shows is judged by its own time.
//!
//! Its new certificates are not valid yet where the test runs, so kubectl there can no longer prove the
//! server. It is told not to, and the proof is given here, at the guest's hour.

use super::launch::Launched;
use crate::process;
use crate::scenarios::Kubectl;
use anyhow::{Context, Result};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// How long the server may take for a step of the handshake, on a free machine with KVM.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// The time of somebody else.
#[derive(Debug)]
struct At(UnixTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

impl Launched {
    /// Has kubectl talk to a server that it cannot prove.
    pub fn clock_is_ahead(&self) -> Result<()> {
        let config = |arguments: &[&str]| {
            let mut command = Command::new(super::launch::kubectl());
            command.arg("--kubeconfig").arg(&self.kubeconfig);
            process::output(command.arg("config").args(arguments))
        };
        let cluster = config(&["view", "--output=jsonpath={.clusters[0].name}"])?;
        let unproved = "--insecure-skip-tls-verify=true";
        config(&["set-cluster", &cluster, unproved]).map(drop)
    }

    /// The API server's certificate as the host sees it, if it is good below `authorities` at the second `now`.
    pub fn shown_at(&self, authorities: &[u8], now: u64) -> Result<CertificateDer<'static>> {
        let door = self.url.trim_start_matches("https://");
        let door: SocketAddr = door.parse().context("the API's address")?;
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(slipway::tls::authorities(authorities)?);
        let time = At(UnixTime::since_unix_epoch(Duration::from_secs(now)));
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_details(provider, Arc::new(time))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store)
            .with_no_client_auth();
        let mut connection = ClientConnection::new(Arc::new(config), door.ip().into())?;
        let mut stream = TcpStream::connect(door).context("cannot connect to the guest")?;
        stream.set_read_timeout(Some(HANDSHAKE * self.patience()))?;
        while connection.is_handshaking() {
            connection
                .complete_io(&mut stream)
                .context("the API server's certificate")?;
        }
        let chain = connection.peer_certificates().unwrap_or_default();
        let leaf = chain.first().context("it shows no certificate")?;
        Ok(leaf.clone().into_owned())
    }
}
