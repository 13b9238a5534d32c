//! A process' own word about itself, where several answer at one address.
//!
//! Two API servers of a rolling update share the node's address and port, so an answer there is that of either. But a
//! connection stays with the process that accepted it, and the kernel tells which that is ([`crate::node::sockets`]): so
//! connections are made until one is with a process that is meant, and /readyz on it is that process' own word. While the old
//! one serves, a marked connection goes to the new one ([`crate::node::steer`]); without that help it is a matter of a few tries.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

use crate::kube::Config;
use crate::node::{sockets, steer};
use crate::start::failed_checks;
use crate::tls;

/// A process that accepts nobody has nothing to say yet.
const STEP: Duration = Duration::from_secs(5);
/// For all tries together: who asks has other things to do.
const BUDGET: Duration = Duration::from_secs(10);
/// One in so many of two listeners is missed once in a thousand times.
const TRIES: u32 = 10;
/// The longest answer that is read.
const ANSWER: usize = 16 * 1024;

/// What it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It serves.
    Ready,
    /// It does not serve yet, and why.
    NotReady(String),
    /// It was not met, or did not answer.
    Unknown(String),
}

/// An address that processes share.
pub struct Address {
    address: SocketAddr,
    host: String,
    name: ServerName<'static>,
    tls: Arc<ClientConfig>,
}

impl Address {
    /// `address`, where whoever answers shows the certificate that the kubeconfig expects.
    pub fn new(config: &Config, address: SocketAddr) -> Result<Self> {
        let host = config.tls_server_name.as_ref();
        let host = host.unwrap_or(&config.server.host).clone();
        Ok(Self {
            address,
            name: ServerName::try_from(host.clone()).context("no name of a server")?,
            tls: tls::client(&tls::authorities(&config.ca_pem)?)?,
            host,
        })
    }

    /// What any of these processes says of itself.
    pub fn word(&self, root: &Path, pids: &[i32]) -> Word {
        let begun = Instant::now();
        let mut why = "it was not met".to_owned();
        for attempt in 0..TRIES {
            if begun.elapsed() > BUDGET {
                break;
            }
            match self.ask(root, pids, attempt % 2 == 0) {
                Ok(Some(word)) => return word,
                Ok(None) => {}
                Err(error) => why = format!("{error:#}"),
            }
        }
        Word::Unknown(why)
    }

    /// On one connection; nothing if that is with another process.
    fn ask(&self, root: &Path, pids: &[i32], second: bool) -> Result<Option<Word>> {
        let mut stream = open(self.address, second).context("cannot connect")?;
        let ends = (stream.peer_addr()?, stream.local_addr()?);
        let mut connection = ClientConnection::new(Arc::clone(&self.tls), self.name.clone())?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).map_err(patience)?;
        }
        let all = sockets::tcp(root)?;
        let theirs = all.iter().find(|one| (one.local, one.remote) == ends);
        let theirs = theirs.context("the kernel does not know the connection's other end")?;
        if !sockets::held_by(root, pids).contains(&theirs.inode) {
            return Ok(None);
        }
        let answer = self.get_readyz(StreamOwned::new(connection, stream))?;
        Ok(Some(understood(&answer)?))
    }

    fn get_readyz(&self, mut stream: StreamOwned<ClientConnection, TcpStream>) -> Result<String> {
        let agent = concat!("slipway/", env!("CARGO_PKG_VERSION"));
        let request = format!(
            "GET /readyz HTTP/1.1\r\nHost: {}\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n",
            self.host
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut part = [0; 4096];
        while answer.len() < ANSWER {
            match stream.read(&mut part) {
                Ok(0) => break,
                Ok(count) => answer.extend_from_slice(&part[..count]),
                // Some servers end without a word of TLS.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(patience(error).into()),
            }
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// `HTTP/1.1 CODE ...`, headers, and what the checks say.
fn understood(answer: &str) -> Result<Word> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let code = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    match code {
        Some("200") => Ok(Word::Ready),
        Some(code) => {
            let why = message(body).unwrap_or_else(|| failed_checks(body));
            Ok(Word::NotReady(format!("/readyz answers {code}: {why}")))
        }
        None => bail!("it does not answer as an HTTP server does"),
    }
}

/// What a Status says, which is how an API server answers whom it does not know yet.
fn message(body: &str) -> Option<String> {
    let status: Value = serde_json::from_str(body).ok()?;
    status["message"].as_str().map(str::to_owned)
}

/// A connection, with the second listener where there are two and that is wanted. It must be marked before it is one.
fn open(address: SocketAddr, second: bool) -> nix::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let socket: OwnedFd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    if second {
        // Who may not do it meets the second by chance.
        let _ = setsockopt(&socket, sockopt::Mark, &steer::MARK);
    }
    let step = TimeVal::new(STEP.as_secs().try_into().unwrap_or(1), 0);
    setsockopt(&socket, sockopt::SendTimeout, &step)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &step)?;
    connect(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(TcpStream::from(socket))
}

/// The kernel's word for a deadline is "try again".
fn patience(error: std::io::Error) -> std::io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => std::io::Error::new(ErrorKind::TimedOut, "it does not answer"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::kube::kubeconfig::Server;
    use crate::tls::testing::Authority;

    /// An API server in this process that answers each of two requests so.
    fn server(authority: &Authority, answer: &'static str) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = authority.open_server("127.0.0.1");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream);
                if stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
                    let _ = stream.write_all(answer.as_bytes());
                }
            }
        });
        let config = Config {
            server: Server {
                tls: true,
                host: "127.0.0.1".into(),
                port: address.port(),
                prefix: String::new(),
            },
            tls_server_name: None,
            ca_pem: authority.pem(),
            certificate: None,
            token: None,
        };
        Address::new(&config, address).unwrap()
    }

    #[test]
    fn only_the_process_that_is_meant_counts() {
        let authority = Authority::new();
        let root = Path::new("/");
        let here = i32::try_from(std::process::id()).unwrap();
        let ready = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let address = server(&authority, ready);
        assert_eq!(address.word(root, &[here]), Word::Ready);
        // Somebody else answers there, whatever he says.
        let other = address.word(root, &[i32::MAX]);
        assert_eq!(other, Word::Unknown("it was not met".into()));
        let starting = "HTTP/1.1 500 Internal Server Error\r\n\r\n[+]ping ok\n[-]informer-sync failed: reason withheld\n";
        let word = server(&authority, starting).word(root, &[here]);
        let why = "/readyz answers 500: informer-sync failed: reason withheld";
        assert_eq!(word, Word::NotReady(why.into()));
        let unknown =
            "HTTP/1.1 403 Forbidden\r\n\r\n{\"kind\":\"Status\",\"message\":\"forbidden: x\"}";
        let word = server(&authority, unknown).word(root, &[here]);
        let why = "/readyz answers 403: forbidden: x";
        assert_eq!(word, Word::NotReady(why.into()));
        let word = server(&authority, "SSH-2.0").word(root, &[here]);
        assert!(matches!(word, Word::Unknown(why) if why.contains("HTTP")));
    }
}
