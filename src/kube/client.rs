//! Requests: one path, one answer, every failure named.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use ureq::http::{HeaderValue, Method, Request as HttpRequest, Response};
use ureq::{Agent, Body};

use super::discovery::Discovery;
use super::error::{Error, Status};
use super::kubeconfig::Config;
use super::retry;
use crate::transport::{self, Failure, Peer, Settings, Times, USER_AGENT};

/// How a client behaves; the kubeconfig says to whom it talks.
#[derive(Clone, Debug)]
pub struct Options {
    /// The door: where TCP goes, while TLS still verifies the kubeconfig's host name.
    pub connect_to: Option<SocketAddr>,
    /// The longest that one call may take, its retries included; default 30 s. A watch has its own.
    pub timeout: Duration,
    /// `User-Agent`, which the audit log shows.
    pub user_agent: String,
    /// Whether connections are used again; default true.
    pub keep_alive: bool,
    /// Whether the client repeats what is safe to repeat; default true. A prober sets both to
    /// false, see [`Options::probe`].
    pub retry: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_to: None,
            timeout: Duration::from_secs(30),
            user_agent: USER_AGENT.to_owned(),
            keep_alive: true,
            retry: true,
        }
    }
}

impl Options {
    /// A new connection for every request and no retries: each request tells the truth about the
    /// server at that moment.
    pub fn probe() -> Self {
        Self {
            keep_alive: false,
            retry: false,
            ..Self::default()
        }
    }
}

/// The largest answer that is read into memory.
const BODY_LIMIT: u64 = 64 * 1024 * 1024;

/// A client of one API server. Clones share connections and what was discovered.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    agent: Agent,
    options: Options,
    base_url: String,
    server: String,
    authorization: Option<HeaderValue>,
    discovery: Discovery,
}

/// A request whose body, if any, is JSON.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    pub method: Method,
    /// Path and query.
    pub path: &'a str,
    pub content_type: &'static str,
    pub body: Option<Vec<u8>>,
    pub accept: &'static str,
    /// Whether sending it twice does no more than sending it once.
    pub idempotent: bool,
}

const JSON: &str = "application/json";

impl<'a> Request<'a> {
    pub fn get(path: &'a str) -> Self {
        Self {
            idempotent: true,
            ..Self::new(Method::GET, path)
        }
    }

    pub fn new(method: Method, path: &'a str) -> Self {
        let (content_type, accept) = (JSON, JSON);
        Self {
            method,
            path,
            content_type,
            body: None,
            accept,
            idempotent: false,
        }
    }

    pub fn with(self, body: &Value) -> Self {
        Self {
            body: Some(body.to_string().into_bytes()),
            ..self
        }
    }

    /// `METHOD /path` for messages, without the query.
    pub fn name(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{} {path}", self.method)
    }
}

/// An answer, whatever its status.
pub(super) struct Reply {
    pub code: u16,
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

impl Client {
    /// A client for the server of `config`. Connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::Request`] if a certificate or key cannot be used, or if they do not fit each other.
    pub fn new(config: &Config, options: Options) -> Result<Self, Error> {
        // Its host is what TLS verifies; where TCP goes is the transport's own matter.
        let base_url = config.server.url(config.tls_server_name.as_deref());
        let server = match options.connect_to {
            Some(door) => format!("{base_url} (through {door})"),
            None => base_url.clone(),
        };
        Ok(Self(Arc::new(Shared {
            agent: agent(config, &options)?,
            authorization: authorization(config)?,
            discovery: Discovery::default(),
            options,
            base_url,
            server,
        })))
    }

    /// What `path` holds, e.g. one object.
    pub fn get(&self, path: &str) -> Result<Value, Error> {
        self.json(&Request::get(path))
    }

    /// The text at `path`, e.g. a container's log; bytes that are not UTF-8 are replaced.
    pub fn text(&self, path: &str) -> Result<String, Error> {
        let body = self
            .succeed(&Request {
                accept: "*/*",
                ..Request::get(path)
            })?
            .body;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Status and body of one GET, whatever the status; never retried. For `/readyz` and the like.
    pub fn status(&self, path: &str) -> Result<(u16, String), Error> {
        let request = Request {
            accept: "*/*",
            ..Request::get(path)
        };
        let reply = self.attempt(&request, Times::First)?;
        Ok((
            reply.code,
            String::from_utf8_lossy(&reply.body).into_owned(),
        ))
    }

    /// Sends, insists on success, and understands the JSON of the answer.
    pub(super) fn json(&self, request: &Request<'_>) -> Result<Value, Error> {
        let reply = self.succeed(request)?;
        serde_json::from_slice(&reply.body).map_err(|error| Error::Decode {
            request: request.name(),
            cause: error.to_string(),
        })
    }

    /// Sends and insists on a 2xx status.
    pub(super) fn succeed(&self, request: &Request<'_>) -> Result<Reply, Error> {
        let reply = if self.0.options.retry {
            retry::within(self.0.options.timeout, request, |times| {
                self.attempt(request, times)
            })?
        } else {
            self.attempt(request, Times::First)?
        };
        if (200..300).contains(&reply.code) {
            return Ok(reply);
        }
        Err(Error::Status(Status {
            retry_after: reply.retry_after,
            ..Status::parse(&request.name(), reply.code, &reply.body)
        }))
    }

    /// Sends once and reads the whole answer.
    fn attempt(&self, request: &Request<'_>, times: Times) -> Result<Reply, Error> {
        let response = self.open(request, times)?;
        let code = response.status().as_u16();
        let retry_after = retry::after(response.headers());
        let read = response
            .into_body()
            .into_with_config()
            .limit(BODY_LIMIT)
            .read_to_vec();
        let body = read.map_err(|error| self.explain(error, request))?;
        Ok(Reply {
            code,
            retry_after,
            body,
        })
    }

    /// Sends once; the body of the answer is still to be read.
    pub(super) fn open(
        &self,
        request: &Request<'_>,
        times: Times,
    ) -> Result<Response<Body>, Error> {
        let mut head = HttpRequest::builder()
            .method(request.method.clone())
            .uri(format!("{}{}", self.0.base_url, request.path))
            .header(ACCEPT, request.accept);
        if let Some(authorization) = &self.0.authorization {
            head = head.header(AUTHORIZATION, authorization);
        }
        let agent = &self.0.agent;
        let sent = match &request.body {
            None => head
                .body(())
                .map_err(Into::into)
                .and_then(|whole| times.run(agent, whole)),
            Some(body) => head
                .header(CONTENT_TYPE, request.content_type)
                .body(body.as_slice())
                .map_err(Into::into)
                .and_then(|whole| times.run(agent, whole)),
        };
        sent.map_err(|error| self.explain(error, request))
    }

    pub(super) fn explain(&self, error: ureq::Error, request: &Request<'_>) -> Error {
        Error::of(Failure::from(error), &self.0.server, &request.name())
    }

    /// The server, and the door if it is another address; for messages.
    pub fn server(&self) -> &str {
        &self.0.server
    }

    pub(super) fn timeout(&self) -> Duration {
        self.0.options.timeout
    }

    pub(super) fn discovery(&self) -> &Discovery {
        &self.0.discovery
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.0.server).finish()
    }
}

fn agent(config: &Config, options: &Options) -> Result<Agent, Error> {
    let peer = Peer {
        server: &config.server,
        ca_pem: &config.ca_pem,
        certificate: config.certificate.as_ref(),
    };
    let settings = Settings {
        connect_to: options.connect_to,
        timeout: options.timeout,
        user_agent: &options.user_agent,
        keep_alive: options.keep_alive,
    };
    transport::agent(peer, &settings)
        .map_err(|error| Error::Request(format!("the kubeconfig's {error:#}")))
}

/// The header that carries the token, marked so that nobody prints it.
fn authorization(config: &Config) -> Result<Option<HeaderValue>, Error> {
    let Some(token) = &config.token else {
        return Ok(None);
    };
    let bytes = [b"Bearer ", token.expose()].concat();
    let mut value = HeaderValue::from_bytes(&bytes)
        .map_err(|_| Error::Request("the kubeconfig's token is no header value".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests;
