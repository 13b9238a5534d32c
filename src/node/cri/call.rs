//! One gRPC server behind one Unix socket, and blocking calls to it.
//!
//! The connection is made by the first call and kept; a call that finds it dead makes another, once. The
//! runtime has no thread of its own: it lives while a call waits, so between calls nothing runs and nothing
//! is paid. What the server sends meanwhile (a ping, the end of the connection) is read by the next call.
//! Not tonic's `Channel`: it brings a balancer, buffers, reconnecting in the background and a pool for
//! HTTP/1, and none of it tells a lost connection from a server's answer.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

/// The largest answer that is read into memory; the kubelet's own limit for the container runtime.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// A request that knows its method. All of them can be sent twice without doing more than once.
pub trait Call: Message + Clone + 'static {
    /// `/package.Service/Method`.
    const PATH: &'static str;
    /// What comes back.
    type Answer: Message + Default + 'static;
}

/// A server as people know it.
#[derive(Debug)]
pub struct Server {
    /// As in "cannot connect to …".
    pub name: &'static str,
    /// What a person looks at when it does not answer.
    pub next_step: &'static str,
}

/// Makes calls to one server.
pub struct Caller {
    server: &'static Server,
    socket: PathBuf,
    live: Option<Live>,
}

/// A connection and what drives it; they end together.
struct Live {
    runtime: Runtime,
    connection: Connection,
}

/// Why there is no answer. Never to be taken for an empty one.
#[derive(Debug)]
pub struct Failure {
    server: &'static Server,
    socket: PathBuf,
    method: &'static str,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Unreachable(io::Error),
    Late(Duration),
    /// The connection ended before the answer did.
    Lost(String),
    Refused(Code, String),
}

impl Caller {
    /// Knows where the server is; nothing is opened.
    pub fn new(server: &'static Server, socket: &Path) -> Self {
        Self {
            server,
            socket: socket.to_owned(),
            live: None,
        }
    }

    /// Sends one request and waits for its answer, at most `limit`.
    pub fn call<C: Call>(&mut self, request: C, limit: Duration) -> Result<C::Answer, Failure> {
        let mut answers = self.calls(&[request], limit)?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// Sends all requests at the same time and waits for all answers, which come in any order.
    pub fn calls<C: Call>(
        &mut self,
        requests: &[C],
        limit: Duration,
    ) -> Result<Vec<C::Answer>, Failure> {
        let begin = Instant::now();
        let is_kept = self.live.is_some();
        let mut outcome = self.attempt(requests, limit);
        // A kept connection may have ended since the last call, with a server that was restarted.
        if is_kept && matches!(outcome, Err(Cause::Lost(_))) {
            outcome = self.attempt(requests, limit.saturating_sub(begin.elapsed()));
        }
        outcome.map_err(|cause| Failure {
            server: self.server,
            socket: self.socket.clone(),
            method: C::PATH.rsplit('/').next().unwrap_or_default(),
            cause,
        })
    }

    fn attempt<C: Call>(
        &mut self,
        requests: &[C],
        limit: Duration,
    ) -> Result<Vec<C::Answer>, Cause> {
        let live = match self.live.take() {
            Some(live) => live,
            None => Live::open(&self.socket, limit)?,
        };
        let exchange = exchange_all(&live.connection, requests, limit);
        let outcome = live
            .runtime
            .block_on(async { timeout(limit, exchange).await });
        let outcome = outcome.unwrap_or(Err(Cause::Late(limit)));
        // Only a server that answered, whatever it said, is asked over the same connection again.
        if matches!(outcome, Ok(_) | Err(Cause::Refused(..))) {
            self.live = Some(live);
        }
        outcome
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({})", self.socket.display())
    }
}

impl Live {
    fn open(socket: &Path, limit: Duration) -> Result<Self, Cause> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Cause::Unreachable)?;
        let connection = runtime.block_on(async { timeout(limit, connect(socket)).await });
        Ok(Self {
            connection: connection.unwrap_or(Err(Cause::Late(limit)))?,
            runtime,
        })
    }
}

async fn connect(socket: &Path) -> Result<Connection, Cause> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(Cause::Unreachable)?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|error| Cause::Lost(chain(&error)))?;
    // How it ends is told to whoever sends on it.
    tokio::spawn(async {
        let _ = connection.await;
    });
    Ok(Connection(sender))
}

async fn exchange_all<C: Call>(
    connection: &Connection,
    requests: &[C],
    limit: Duration,
) -> Result<Vec<C::Answer>, Cause> {
    let mut running = JoinSet::new();
    for request in requests {
        running.spawn(exchange(connection.clone(), request.clone(), limit));
    }
    let mut answers = Vec::with_capacity(requests.len());
    while let Some(ended) = running.join_next().await {
        answers.push(ended.map_err(|error| Cause::Lost(error.to_string()))??);
    }
    Ok(answers)
}

async fn exchange<C: Call>(
    connection: Connection,
    request: C,
    limit: Duration,
) -> Result<C::Answer, Cause> {
    // A Unix socket has no host; HTTP/2 wants one, and Go's servers refuse an empty one.
    let mut client = Grpc::with_origin(connection, Uri::from_static("http://localhost"))
        .max_decoding_message_size(ANSWER_LIMIT);
    client
        .ready()
        .await
        .map_err(|error| Cause::Lost(chain(&error)))?;
    let mut request = tonic::Request::new(request);
    // The server, too, gives up then.
    request.set_timeout(limit);
    let path = PathAndQuery::from_static(C::PATH);
    let answer = client
        .unary(request, path, ProstCodec::<C, C::Answer>::default())
        .await;
    Ok(answer.map_err(|status| cause_of(&status))?.into_inner())
}

/// A status that was received has nothing beneath it; one made here has the connection's error.
fn cause_of(status: &Status) -> Cause {
    match std::error::Error::source(status) {
        Some(error) => Cause::Lost(chain(error)),
        None => Cause::Refused(status.code(), status.message().to_owned()),
    }
}

/// An error and what lies beneath it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut beneath = error.source();
    while let Some(error) = beneath {
        text.push_str(&format!(": {error}"));
        beneath = error.source();
    }
    text
}

impl Failure {
    /// Whether the server says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self.cause, Cause::Refused(Code::NotFound, _))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            server,
            method,
            cause,
            ..
        } = self;
        let name = server.name;
        let socket = self.socket.display();
        match cause {
            Cause::Unreachable(error) => write!(f, "cannot connect to {name} at {socket}: {error}"),
            Cause::Late(limit) => {
                let limit = limit.as_secs_f32();
                write!(
                    f,
                    "{name} at {socket} did not answer {method} within {limit} s"
                )
            }
            Cause::Lost(why) => write!(f, "{name} at {socket} broke off {method}: {why}"),
            Cause::Refused(code, message) => {
                write!(
                    f,
                    "{name} at {socket} answers {method} with {code:?}: {message}"
                )
            }
        }?;
        write!(f, "; {}", server.next_step)
    }
}

impl std::error::Error for Failure {}

/// hyper's half of a connection that takes requests, as tonic wants to see it.
#[derive(Clone)]
struct Connection(SendRequest<Body>);

impl GrpcService<Body> for Connection {
    type ResponseBody = Incoming;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
