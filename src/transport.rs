//! Connections to one server: an HTTP agent with our trust, our certificate, our door and our timeouts.
//!
//! The clients of the API server and of etcd share it. Everything of ureq that is not covered by its
//! version promise (resolver, connector) is used here and in [`crate::tls`], nowhere else. ureq panics
//! on a client key that does not fit its certificate, so that is checked before ureq sees it.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use ureq::http::{Request, Response, Uri};
use ureq::tls::{Certificate, ClientCert, PrivateKey, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, AsSendBody, Body, Timeout};

use crate::secret::Secret;
use crate::tls;

/// Reading goes through a buffer of this size; the largest header of the API is far smaller.
const INPUT_BUFFER: usize = 64 * 1024;
/// Writing goes through a buffer of this size.
const OUTPUT_BUFFER: usize = 16 * 1024;
/// A TCP and TLS handshake that takes longer than this will not end well.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Who asks, for servers that note it.
pub const USER_AGENT: &str = concat!("slipway/", env!("CARGO_PKG_VERSION"));

/// The parts of a server's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Whether it speaks TLS (https).
    pub tls: bool,
    /// A name or an address, an IPv6 address without brackets.
    pub host: String,
    /// Default 443, or 80 without TLS.
    pub port: u16,
    /// The path below which everything lies, without a slash at its end; usually empty.
    pub prefix: String,
}

impl Server {
    /// Understands `https://HOST[:PORT][/PREFIX]` or `http://…`.
    ///
    /// # Errors
    /// Begin with the URL.
    pub fn parse(url: &str) -> Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => bail!("{url:?} does not start with https://"),
        };
        let host = uri.host().with_context(|| format!("{url:?} has no host"))?;
        Ok(Self {
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The URL again; `name` in place of its host, if given.
    pub fn url(&self, name: Option<&str>) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let host = name.unwrap_or(&self.host);
        let (port, prefix) = (self.port, &self.prefix);
        match host.contains(':') {
            true => format!("{scheme}://[{host}]:{port}{prefix}"),
            false => format!("{scheme}://{host}:{port}{prefix}"),
        }
    }
}

/// Whom an agent talks to, whom it trusts and what it shows.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// Where the server is.
    pub server: &'a Server,
    /// The PEM bundle of those who may have signed its certificate; counts for TLS only.
    pub ca_pem: &'a [u8],
    /// Our certificate chain and its key, both PEM.
    pub certificate: Option<&'a (Vec<u8>, Secret)>,
}

/// How an agent behaves.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// The door: where TCP goes, while TLS still verifies the URL's host name.
    pub connect_to: Option<SocketAddr>,
    /// The longest that one exchange may take.
    pub timeout: Duration,
    /// `User-Agent`.
    pub user_agent: &'a str,
    /// Whether connections are used again.
    pub keep_alive: bool,
}

/// An agent for one server.
///
/// # Errors
/// If a certificate or key cannot be used, or if they do not fit each other; begins with which.
pub fn agent(peer: Peer<'_>, settings: &Settings<'_>) -> Result<Agent> {
    let idle = if settings.keep_alive { 2 } else { 0 };
    let config = Agent::config_builder()
        .http_status_as_error(false)
        // A redirect is an answer like any other: following it would carry our token elsewhere.
        .max_redirects(0)
        .proxy(None)
        .accept_encoding("identity")
        .user_agent(settings.user_agent)
        .input_buffer_size(INPUT_BUFFER)
        .output_buffer_size(OUTPUT_BUFFER)
        .max_idle_connections(idle)
        .max_idle_connections_per_host(idle)
        .timeout_global(Some(settings.timeout))
        .timeout_connect(Some(settings.timeout.min(CONNECT_TIMEOUT)))
        .timeout_send_request(Some(settings.timeout))
        .timeout_send_body(Some(settings.timeout))
        .timeout_recv_response(Some(settings.timeout))
        .timeout_recv_body(Some(settings.timeout))
        .tls_config(if peer.server.tls {
            trust(peer)?
        } else {
            TlsConfig::default()
        })
        .build();
    let door = Door {
        address: settings.connect_to,
        host: peer.server.host.clone(),
        names: DefaultResolver::default(),
    };
    Ok(Agent::with_parts(config, DefaultConnector::default(), door))
}

/// How long the parts of one exchange may take.
#[derive(Clone, Copy, Debug)]
pub enum Times {
    /// What the agent was made with.
    First,
    /// A repetition: what is left of the call's time.
    Left(Duration),
    /// A stream: this long for its head, that long for all of it.
    Stream(Duration, Duration),
    /// A stream whose end nobody knows: this long for its head, and again for everything that is read of it.
    Steady(Duration),
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
            Self::Steady(each) => configure(request)
                .timeout_global(None)
                .timeout_recv_response(Some(each))
                .timeout_recv_body(None)
                .timeout_per_read(Some(each))
                .build(),
        };
        agent.run(request)
    }
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

fn trust(peer: Peer<'_>) -> Result<TlsConfig> {
    let roots =
        tls::authorities(peer.ca_pem).map_err(|error| unusable("certificate-authority", &error))?;
    let client = match peer.certificate {
        Some((chain, key)) => Some(client_certificate(chain, key)?),
        None => None,
    };
    Ok(tls::config(&roots, client))
}

fn client_certificate(chain: &[u8], key: &Secret) -> Result<ClientCert> {
    let ders = tls::certificates(chain).map_err(|error| unusable("client-certificate", &error))?;
    let key_der = PrivateKeyDer::from_pem_slice(key.expose())
        .map_err(|error| unusable("client-key", &error))?;
    CertifiedKey::from_der(ders.clone(), key_der, &ring::default_provider())
        .map_err(|error| unusable("client-key or client-certificate", &error))?;
    let key = PrivateKey::from_pem(key.expose()).map_err(|error| unusable("client-key", &error))?;
    let chain: Vec<_> = ders
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn unusable(what: &str, why: &dyn Display) -> anyhow::Error {
    anyhow!("{what} cannot be used: {why:#}")
}

/// Why there is no answer, or no whole one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answered, or the answer broke off.
    Unreachable(How, String),
    /// The other side is not who it should be, or does not accept our certificate.
    Tls(String),
    /// The answer is larger than what is taken, in bytes.
    TooLarge(u64),
    /// The answer is none of HTTP.
    Answer(String),
    /// The request could not even be sent.
    Request(String),
}

/// How a server was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Nobody listens there.
    Refused,
    /// The connection was closed or reset under the request.
    Closed,
    /// One of the timeouts passed.
    TimedOut,
    /// Anything else: no route, no such name.
    Other,
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Io(io) => explain_io(&io),
            ureq::Error::Timeout(which) => Self::Unreachable(How::TimedOut, waited_for(which)),
            ureq::Error::HostNotFound => {
                Self::Unreachable(How::Other, "no such host name".to_owned())
            }
            ureq::Error::Rustls(_) | ureq::Error::Tls(_) => Self::Tls(error.to_string()),
            ureq::Error::BodyExceedsLimit(limit) => Self::TooLarge(limit),
            ureq::Error::Http(_) | ureq::Error::BadUri(_) => Self::Request(error.to_string()),
            other => Self::Answer(other.to_string()),
        }
    }
}

fn explain_io(io: &std::io::Error) -> Failure {
    use std::io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected, TimedOut,
        UnexpectedEof, WouldBlock,
    };
    if let Some(cause) = tls::refusal(io) {
        return Failure::Tls(cause);
    }
    let how = match io.kind() {
        ConnectionRefused => How::Refused,
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected => {
            How::Closed
        }
        TimedOut | WouldBlock => How::TimedOut,
        _ => How::Other,
    };
    Failure::Unreachable(how, io.to_string())
}

fn waited_for(which: Timeout) -> String {
    let what = match which {
        Timeout::Resolve => "resolving the name",
        Timeout::Connect => "connecting",
        Timeout::SendRequest | Timeout::SendBody => "sending the request",
        Timeout::RecvResponse => "waiting for the answer",
        Timeout::RecvBody | Timeout::PerRead => "reading the answer",
        _ => "in the middle of the request",
    };
    format!("timed out {what}")
}
