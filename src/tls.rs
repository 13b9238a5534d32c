//! What every HTTPS connection trusts, and how it proves who it is.
//!
//! ureq's way to choose a crypto provider is not covered by its version promise, and it ignores an
//! authority that it cannot read: both are dealt with here, once for every room that speaks HTTPS.

#[cfg(test)]
pub(crate) mod testing;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use ureq::tls::{Certificate, ClientCert, RootCerts, TlsConfig};

/// How long a server may take for a step of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// TLS that verifies servers against the certificates in `roots` and shows `client`, if given.
pub fn config(roots: &[CertificateDer<'_>], client: Option<ClientCert>) -> TlsConfig {
    let roots: Vec<_> = roots
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(client)
        .build()
}

/// The same for a connection that is nobody's but the caller's; it shows no certificate.
pub fn client(roots: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The certificates that a server shows, its own first, if they verify against `roots`.
pub fn shown(
    server: SocketAddr,
    roots: &[CertificateDer<'static>],
) -> Result<Vec<CertificateDer<'static>>> {
    let mut connection = ClientConnection::new(client(roots)?, server.ip().into())?;
    let mut stream = TcpStream::connect_timeout(&server, HANDSHAKE)?;
    stream.set_read_timeout(Some(HANDSHAKE))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    let shown = connection.peer_certificates().unwrap_or_default();
    Ok(shown.to_vec())
}

/// What TLS found wrong with the other side, if that is what an I/O error is about: ureq passes a
/// handshake's error on as one.
pub fn refusal(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(inner.to_string())
}

/// The certificates of a PEM file, in its order.
///
/// # Errors
/// If one is broken, or there is none.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let ders: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .context("it is not PEM")?;
    if ders.is_empty() {
        bail!("it holds no PEM certificate");
    }
    Ok(ders)
}

/// As [`certificates`], each of which can be a trust anchor.
///
/// # Errors
/// As [`certificates`], and if one is no X.509 certificate.
pub fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let ders = certificates(pem)?;
    let mut store = RootCertStore::empty();
    for der in &ders {
        store.add(der.clone()).context("it is no authority")?;
    }
    Ok(ders)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::testing::Authority;
    use super::*;

    /// Shakes hands with two clients that hang up.
    fn server(authority: &Authority) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = authority.server("127.0.0.1");
        std::thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
                let _ = stream.read(&mut [0]);
            }
        });
        address
    }

    #[test]
    fn what_a_server_shows_has_to_verify() {
        let (ours, other) = (Authority::new(), Authority::new());
        let address = server(&ours);
        // This one wants a client's certificate too, and is not asked for more than its own.
        let shown = shown(address, &authorities(&ours.pem()).unwrap()).unwrap();
        assert_eq!(shown.len(), 1);
        let error = super::shown(address, &authorities(&other.pem()).unwrap()).unwrap_err();
        let why = refusal(error.downcast_ref().unwrap()).unwrap();
        assert!(
            why.contains("UnknownIssuer") || why.contains("BadSignature"),
            "{why}"
        );
    }
}
