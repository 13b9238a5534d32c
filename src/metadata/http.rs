//! HTTP for metadata: short answers from services that are trusted little.
//!
//! Nothing is followed (a redirect from a link-local service leads out of the machine), no proxy is
//! asked, nothing is unpacked on the way, and every part of an exchange has a time and a size. The
//! API client of `kube` is another one, because it knows connections, tokens and watches.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use ureq::http::{HeaderMap, Method, Request};
use ureq::tls::TlsConfig;
use ureq::{Agent, Timeout};

use super::deadline::Failed;
use super::room;
use crate::tls;

/// How long the parts of an exchange may take.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// To resolve the name, and again to connect.
    connect: Duration,
    /// From the request to the last header.
    head: Duration,
    /// For the whole body.
    body: Duration,
}

/// Services on the link answer in milliseconds; a packet lost once is sent again after 1 s.
const TIMES: Times = Times {
    connect: Duration::from_secs(4),
    head: Duration::from_secs(10),
    body: Duration::from_secs(60),
};
/// The attempt at the very deadline gets this much more, so that it ends with the true reason.
const GRACE: Duration = Duration::from_millis(100);

/// Who asks.
const USER_AGENT: &str = concat!("slipway/", env!("CARGO_PKG_VERSION"));

/// An answer, whatever its code.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub code: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A header as text; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str());
        value.and_then(Result::ok).unwrap_or_default()
    }

    /// Whether the code is one that time may cure (RFC 9110 §15, RFC 6585 §4, RFC 8470 §5.2).
    pub fn is_busy(&self) -> bool {
        matches!(self.code, 408 | 425 | 429 | 500..=599)
    }

    /// The failure that a busy server's reply is: it may say when to come back, in seconds
    /// (RFC 9110 §10.2.3; a date says little to a machine whose clock is not set yet).
    pub fn busy(&self, error: anyhow::Error) -> Failed {
        match self.header("retry-after").trim().parse() {
            Ok(seconds) => Failed::Later(error, Duration::from_secs(seconds)),
            Err(_) => Failed::Again(error),
        }
    }
}

/// A URL as messages show it: without what may be a secret, which is its query and its user.
pub fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

/// A client for any number of requests.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
}

impl Client {
    /// For plain HTTP, as link-local services speak it.
    pub fn plain() -> Self {
        Self::new(TlsConfig::default())
    }

    /// For HTTPS.
    pub fn new(tls: TlsConfig) -> Self {
        Self::within(TIMES, tls)
    }

    /// With other times.
    fn within(times: Times, tls: TlsConfig) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .accept_encoding("identity")
            .user_agent(USER_AGENT)
            .max_idle_connections(0)
            .timeout_connect(Some(times.connect))
            .timeout_resolve(Some(times.connect))
            .timeout_send_request(Some(times.head))
            .timeout_recv_response(Some(times.head))
            .timeout_recv_body(Some(times.body))
            .tls_config(tls)
            .build();
        Self {
            agent: config.into(),
        }
    }

    /// Asks once, and reads at most `max` bytes of the answer within `left`.
    ///
    /// # Errors
    /// [`Failed::Again`] if nobody could be asked or the answer broke off; [`Failed::Finally`] for a
    /// bad URL, TLS that does not verify, an answer that is too large, a redirect, and a page for
    /// people in place of data.
    pub fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        max: u64,
        left: Duration,
    ) -> Result<Reply, Failed> {
        // Without it, ureq sends the body that is none in chunks, which small services do not read.
        let length = (method == Method::PUT).then_some(("Content-Length", "0"));
        let request = headers.iter().chain(&length).fold(
            Request::builder().method(method).uri(url),
            |request, (name, value)| request.header(*name, *value),
        );
        let place = shown(url);
        let request = request
            .body(())
            .with_context(|| format!("{place} is not a usable URL"))
            .map_err(Failed::Finally)?;
        let request = self
            .agent
            .configure_request(request)
            .timeout_global(Some(left.max(GRACE)))
            .build();
        let failed = |error| explain(error, &place);
        let mut response = self.agent.run(request).map_err(failed)?;
        let code = response.status().as_u16();
        let headers = response.headers().clone();
        let reader = response.body_mut().with_config().limit(max + 1).reader();
        let mut body = Vec::new();
        let all = room::read(reader, &mut body, max);
        if !all.map_err(|error| failed(error.into()))? {
            return Err(Failed::Finally(too_large(&place, max)));
        }
        let reply = Reply {
            code,
            headers,
            body,
        };
        acceptable(reply, &place).map_err(Failed::Finally)
    }
}

/// What no metadata service may answer.
fn acceptable(reply: Reply, url: &str) -> Result<Reply> {
    if (300..400).contains(&reply.code) {
        let to = shown(reply.header("location"));
        return Err(anyhow!(
            "{url} redirects to {to:?}, which is not followed; give the final address"
        ));
    }
    if reply.code == 200 && reply.header("content-type").starts_with("text/html") {
        return Err(anyhow!(
            "{url} answers with a web page: something else than a metadata service is there"
        ));
    }
    Ok(reply)
}

fn too_large(url: &str, max: u64) -> anyhow::Error {
    let max = match max / 1024 {
        0 => format!("{max} bytes"),
        kib => format!("{kib} KiB"),
    };
    anyhow!("{url} gives more than {max}; is it the right one?")
}

fn explain(error: ureq::Error, url: &str) -> Failed {
    match error {
        ureq::Error::Io(io) => match tls::refusal(&io) {
            Some(tls) => Failed::Finally(anyhow!("{url} cannot be trusted: {tls}")),
            None => Failed::Again(anyhow!("{url} cannot be reached: {io}")),
        },
        ureq::Error::Timeout(which) => {
            Failed::Again(anyhow!("{url} is silent: timed out {}", waited_for(which)))
        }
        ureq::Error::HostNotFound => Failed::Again(anyhow!("{url}: no such host name")),
        ureq::Error::BodyExceedsLimit(max) => Failed::Finally(too_large(url, max - 1)),
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => {
            Failed::Finally(anyhow!("{url} cannot be trusted: {error}"))
        }
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => {
            Failed::Finally(anyhow!("{url} is not a usable URL"))
        }
        // What is no HTTP may be a service that is still starting.
        other => Failed::Again(anyhow!("{url}: {other}")),
    }
}

fn waited_for(which: Timeout) -> &'static str {
    match which {
        Timeout::Resolve => "resolving its name",
        Timeout::Connect => "connecting",
        Timeout::SendRequest | Timeout::SendBody => "sending the request",
        Timeout::RecvResponse => "waiting for the answer",
        Timeout::RecvBody => "reading the answer",
        _ => "in the middle of the request",
    }
}

#[cfg(test)]
mod tests;
