//! Calls: one URL after the other until one answers, every failure with its URL and what to look at.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use ureq::http::header::CONTENT_TYPE;
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

use super::Endpoints;
use crate::exit::{Exit, fail};
use crate::transport::{self, Failure, How, Peer, Server, Settings, Times, USER_AGENT};

/// The largest answer that is taken. A page of keys that is larger is asked for again in parts, so it
/// bounds our memory and need only exceed one value (etcd takes 1.5 MiB, a third more in base64).
pub(super) const BODY_LIMIT: u64 = 16 * 1024 * 1024;
/// How much of a refusal goes into a message.
const EXCERPT: usize = 300;

/// A client of one etcd cluster.
pub struct Client {
    doors: Vec<Door>,
    timeout: Duration,
    /// Which door answered last: the next call begins there.
    first: AtomicUsize,
}

/// A URL and the connections to it.
pub(super) struct Door {
    url: String,
    agent: Agent,
}

/// Why one URL gave no answer.
pub(super) enum Refused {
    /// Another member may answer.
    Here(Silent),
    /// Another member would say the same.
    Everywhere(anyhow::Error),
}

/// What was wrong with one member.
#[derive(Debug)]
pub(super) struct Silent {
    url: String,
    why: String,
    next: &'static str,
    timed_out: bool,
}

impl Client {
    /// A client of the cluster at `endpoints`. Connects to nothing yet.
    ///
    /// # Errors
    /// If a URL, a certificate or the key cannot be used.
    pub fn new(endpoints: &Endpoints) -> Result<Self> {
        ensure!(!endpoints.urls.is_empty(), "no URL of etcd is given");
        let settings = Settings {
            connect_to: None,
            timeout: endpoints.timeout,
            user_agent: USER_AGENT,
            keep_alive: true,
        };
        let door = |url: &String| {
            let server = Server::parse(url)?;
            let peer = Peer {
                server: &server,
                ca_pem: &endpoints.ca_pem,
                certificate: endpoints.certificate.as_ref(),
            };
            let agent = transport::agent(peer, &settings)
                .with_context(|| format!("no client of etcd at {url}"))?;
            let url = server.url(None);
            Ok(Door { url, agent })
        };
        Ok(Self {
            doors: endpoints.urls.iter().map(door).collect::<Result<_>>()?,
            timeout: endpoints.timeout,
            first: AtomicUsize::new(0),
        })
    }

    /// The answer to `body`, whole and understood.
    pub(super) fn call<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        let bytes = self.in_turn(|door| {
            let answer = door.post(path, body, Times::First)?;
            read(answer).map_err(|failure| door.refused(failure))
        })?;
        decoded(path, &bytes)
    }

    /// What the first door that answers says.
    pub(super) fn in_turn<T>(&self, attempt: impl Fn(&Door) -> Result<T, Refused>) -> Result<T> {
        let first = self.first.load(Ordering::Relaxed);
        let doors = self.doors.iter().enumerate();
        let mut silent = Vec::new();
        for (index, door) in doors.cycle().skip(first).take(self.doors.len()) {
            match attempt(door) {
                Ok(answer) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(Refused::Here(why)) => {
                    log::debug!("{why}");
                    silent.push(why);
                }
                Err(Refused::Everywhere(error)) => return Err(error),
            }
        }
        Err(unanswered(&silent))
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls = self.doors.iter().map(|door| &door.url);
        f.debug_list().entries(urls).finish()
    }
}

impl Door {
    /// Sends once and insists on success; the body is still to be read.
    pub fn post(&self, path: &str, body: &Value, times: Times) -> Result<Response<Body>, Refused> {
        let request = Request::post(format!("{}{path}", self.url))
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string())
            .map_err(|error| Refused::Everywhere(anyhow!(error)))?;
        let answer = times
            .run(&self.agent, request)
            .map_err(|error| self.refused(error.into()))?;
        let code = answer.status().as_u16();
        match code {
            200 => Ok(answer),
            _ => Err(self.turned_away(path, code, &read(answer).unwrap_or_default())),
        }
    }

    /// What a failed exchange means.
    pub fn refused(&self, failure: Failure) -> Refused {
        let timed_out = matches!(failure, Failure::Unreachable(How::TimedOut, _));
        let (why, next) = match failure {
            Failure::Unreachable(How::TimedOut, why) => (why, "does it hang? see its log"),
            // Who shows no certificate, or a strange one, may learn of it only so: what etcd says of it and
            // our request pass each other.
            Failure::Unreachable(How::Closed, why) => {
                (why, "does it know our certificate? see its log")
            }
            Failure::Unreachable(_, why) => (why, "is etcd running there?"),
            Failure::Tls(why) => (
                why,
                "is this the authority that signed its certificate, and does it know ours?",
            ),
            Failure::TooLarge(limit) => (format!("its answer exceeds {limit} bytes"), ""),
            Failure::Answer(why) | Failure::Request(why) => (why, "is it etcd's client URL?"),
        };
        self.silent(why, next, timed_out)
    }

    /// An answer that is no success: `{"code": …, "message": …}` of the gateway.
    fn turned_away(&self, path: &str, code: u16, body: &[u8]) -> Refused {
        let value = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let said = match value["message"].as_str() {
            Some(message) => Cow::Borrowed(message),
            None => String::from_utf8_lossy(body),
        };
        let said: String = said.trim().chars().take(EXCERPT).collect();
        let why = format!("{path}: {code}: {said}");
        match code {
            500.. => self.silent(why, "has it lost its quorum? see its log", code == 504),
            404 => self.silent(why, "does it run with --enable-grpc-gateway=false?", false),
            _ => Refused::Everywhere(anyhow!("etcd at {}: {why}", self.url)),
        }
    }

    fn silent(&self, why: String, next: &'static str, timed_out: bool) -> Refused {
        Refused::Here(Silent {
            url: self.url.clone(),
            why,
            next,
            timed_out,
        })
    }
}

impl Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd at {}: {}", self.url, self.why)?;
        match self.next {
            "" => Ok(()),
            next => write!(f, " ({next})"),
        }
    }
}

/// One error of all that was tried.
fn unanswered(silent: &[Silent]) -> anyhow::Error {
    let all: Vec<_> = silent.iter().map(Silent::to_string).collect();
    let exit = match silent.iter().any(|silent| silent.timed_out) {
        true => Exit::TimedOut,
        false => Exit::NotFound,
    };
    fail(exit, anyhow!("{}", all.join("; ")))
}

/// All of an answer, up to [`BODY_LIMIT`].
pub(super) fn read(answer: Response<Body>) -> Result<Vec<u8>, Failure> {
    let body = answer.into_body().into_with_config().limit(BODY_LIMIT);
    body.read_to_vec().map_err(Failure::from)
}

/// An answer that is understood. What it says is not quoted: it may be secret.
pub(super) fn decoded<'a, T: Deserialize<'a>>(path: &str, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        anyhow!("etcd's answer to {path} is not understood (line {line}, column {column})")
    })
}

/// A 64-bit number, which the gateway writes as a string.
pub(super) fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = Cow::<str>::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}
