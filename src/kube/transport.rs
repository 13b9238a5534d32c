//! Connections: one HTTP agent with our trust, our certificate, our door and our timeouts.
//!
//! Everything of ureq that is not covered by its version promise (resolver, connector) is used here
//! and in [`crate::tls`], nowhere else. ureq panics on a client key that does not fit its
//! certificate, so that is checked before ureq sees it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use ureq::http::{Request, Response, Uri};
use ureq::tls::{Certificate, ClientCert, PrivateKey, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, AsSendBody, Body, Timeout};

use super::client::Options;
use super::error::{Error, How};
use super::kubeconfig::{Config, Server};
use crate::secret::Secret;
use crate::tls;

/// Reading goes through a buffer of this size; the largest header of the API is far smaller.
const INPUT_BUFFER: usize = 64 * 1024;
/// Writing goes through a buffer of this size.
const OUTPUT_BUFFER: usize = 16 * 1024;
/// A TCP and TLS handshake that takes longer than this will not end well.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An agent for one server.
pub(super) fn agent(config: &Config, options: &Options) -> Result<Agent, Error> {
    let idle = if options.keep_alive { 2 } else { 0 };
    let settings = Agent::config_builder()
        .http_status_as_error(false)
        // A redirect is an answer like any other: following it would carry our token elsewhere.
        .max_redirects(0)
        .proxy(None)
        .accept_encoding("identity")
        .user_agent(&options.user_agent)
        .input_buffer_size(INPUT_BUFFER)
        .output_buffer_size(OUTPUT_BUFFER)
        .max_idle_connections(idle)
        .max_idle_connections_per_host(idle)
        .timeout_global(Some(options.timeout))
        .timeout_connect(Some(options.timeout.min(CONNECT_TIMEOUT)))
        .timeout_send_request(Some(options.timeout))
        .timeout_send_body(Some(options.timeout))
        .timeout_recv_response(Some(options.timeout))
        .timeout_recv_body(Some(options.timeout))
        .tls_config(if config.server.tls {
            tls(config)?
        } else {
            TlsConfig::default()
        })
        .build();
    let door = Door {
        address: options.connect_to,
        host: config.server.host.clone(),
        names: DefaultResolver::default(),
    };
    Ok(Agent::with_parts(
        settings,
        DefaultConnector::default(),
        door,
    ))
}

/// How long the parts of one exchange may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Times {
    /// What the agent was made with.
    First,
    /// A repetition: what is left of the call's time.
    Left(Duration),
    /// A stream: this long for its head, that long for all of it.
    Stream(Duration, Duration),
}

impl Times {
    /// Sends `request`. The agent's own settings are overridden only if need be, because a
    /// connection made under others does not share the cached TLS configuration.
    pub fn run(
        self,
        agent: &Agent,
        request: Request<impl AsSendBody>,
    ) -> Result<Response<Body>, ureq::Error> {
        let configure = |request| agent.configure_request(request);
        let request = match self {
            Self::First => request,
            Self::Left(left) => configure(request).timeout_global(Some(left)).build(),
            Self::Stream(head, whole) => configure(request)
                .timeout_global(None)
                .timeout_recv_response(Some(head))
                .timeout_recv_body(Some(whole))
                .build(),
        };
        agent.run(request)
    }
}

/// The URL below which the API lies. Its host is what TLS verifies; where TCP goes is [`Door`]'s.
pub(super) fn base_url(config: &Config) -> String {
    let Server {
        tls,
        host,
        port,
        prefix,
    } = &config.server;
    let scheme = if *tls { "https" } else { "http" };
    let host = config.tls_server_name.as_ref().unwrap_or(host);
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.clone()
    };
    format!("{scheme}://{host}:{port}{prefix}")
}

/// Resolves every request to the same place, whatever name its URL carries.
#[derive(Debug)]
struct Door {
    address: Option<SocketAddr>,
    host: String,
    names: DefaultResolver,
}

impl Resolver for Door {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let port = uri.port_u16().ok_or(ureq::Error::HostNotFound)?;
        let literal = || Some(SocketAddr::new(self.host.parse::<IpAddr>().ok()?, port));
        if let Some(address) = self.address.or_else(literal) {
            let mut addresses = self.empty();
            addresses.push(address);
            return Ok(addresses);
        }
        let scheme = uri.scheme_str().unwrap_or("https");
        let named = format!("{scheme}://{}:{port}/", self.host).parse::<Uri>();
        let named = named.map_err(|error| ureq::Error::BadUri(error.to_string()))?;
        self.names.resolve(&named, config, timeout)
    }
}

fn tls(config: &Config) -> Result<TlsConfig, Error> {
    let roots =
        tls::authorities(&config.ca_pem).map_err(|error| bad("certificate-authority", &error))?;
    let client = match &config.certificate {
        Some((chain, key)) => Some(client_certificate(chain, key)?),
        None => None,
    };
    Ok(tls::config(&roots, client))
}

fn client_certificate(chain: &[u8], key: &Secret) -> Result<ClientCert, Error> {
    let ders = tls::certificates(chain).map_err(|error| bad("client-certificate", &error))?;
    let key_der =
        PrivateKeyDer::from_pem_slice(key.expose()).map_err(|error| bad("client-key", &error))?;
    CertifiedKey::from_der(ders.clone(), key_der, &ring::default_provider())
        .map_err(|error| bad("client-key or client-certificate", &error))?;
    let key = PrivateKey::from_pem(key.expose()).map_err(|error| bad("client-key", &error))?;
    let chain: Vec<_> = ders
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn bad(what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::Request(format!("the kubeconfig's {what} cannot be used: {why:#}"))
}

/// What ureq's error means for `request` to `server`.
pub(super) fn explain(error: ureq::Error, server: &str, request: &str) -> Error {
    let server = server.to_owned();
    match error {
        ureq::Error::Io(io) => explain_io(&io, server),
        ureq::Error::Timeout(which) => Error::Unreachable {
            server,
            how: How::TimedOut,
            cause: waited_for(which),
        },
        ureq::Error::HostNotFound => {
            let cause = "no such host name".to_owned();
            Error::Unreachable {
                server,
                how: How::Other,
                cause,
            }
        }
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => Error::Tls {
            server,
            cause: error.to_string(),
        },
        ureq::Error::BodyExceedsLimit(limit) => {
            let cause = format!("it is larger than {limit} bytes");
            Error::Decode {
                request: request.to_owned(),
                cause,
            }
        }
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => {
            Error::Request(format!("{request}: {error}"))
        }
        other => Error::Decode {
            request: request.to_owned(),
            cause: other.to_string(),
        },
    }
}

fn explain_io(io: &std::io::Error, server: String) -> Error {
    use std::io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected, TimedOut,
        UnexpectedEof, WouldBlock,
    };
    if let Some(cause) = tls::refusal(io) {
        return Error::Tls { server, cause };
    }
    let how = match io.kind() {
        ConnectionRefused => How::Refused,
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected => {
            How::Closed
        }
        TimedOut | WouldBlock => How::TimedOut,
        _ => How::Other,
    };
    Error::Unreachable {
        server,
        how,
        cause: io.to_string(),
    }
}

fn waited_for(which: Timeout) -> String {
    let what = match which {
        Timeout::Resolve => "resolving the name",
        Timeout::Connect => "connecting",
        Timeout::SendRequest | Timeout::SendBody => "sending the request",
        Timeout::RecvResponse => "waiting for the answer",
        Timeout::RecvBody => "reading the answer",
        _ => "in the middle of the request",
    };
    format!("timed out {what}")
}
