//! A scripted server for the tests of this room: real sockets, real TLS, answers byte by byte.
//!
//! It works through its script, one step a request, on as many connections as it takes, and stops
//! listening when the script is over; so a request too many is a refused connection.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::error::How;
use super::kubeconfig::{Config, Server};
use super::{Client, Error, Options};
pub use crate::tls::testing::Authority;

/// What the server does with one request.
pub enum Step {
    /// Answers and keeps the connection.
    Answer(Vec<u8>),
    /// Answers, which may be half an answer, and closes.
    AnswerAndClose(Vec<u8>),
    /// Says nothing until the client gives up.
    Silence,
}

/// A running script.
pub struct Scripted {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    pub fn start(steps: Vec<Step>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = seen.clone();
        thread::spawn(move || {
            let mut steps = VecDeque::from(steps);
            while !steps.is_empty() {
                let Ok((tcp, _)) = listener.accept() else {
                    return;
                };
                match &tls {
                    None => serve(&mut { tcp }, &mut steps, &requests),
                    Some(config) => {
                        let connection = ServerConnection::new(config.clone()).unwrap();
                        let mut stream = StreamOwned::new(connection, tcp);
                        serve(&mut stream, &mut steps, &requests);
                        drain(&mut stream.sock);
                    }
                }
            }
        });
        Self { address, seen }
    }

    pub fn plain(steps: Vec<Step>) -> Self {
        Self::start(steps, None)
    }

    /// Every request so far, heads and bodies; a connection begins with the line `connection`.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub fn requests(&self) -> Vec<String> {
        self.seen()
            .into_iter()
            .filter(|entry| entry != "connection")
            .collect()
    }

    pub fn connections(&self) -> usize {
        self.seen()
            .iter()
            .filter(|entry| *entry == "connection")
            .count()
    }

    /// A client of a plain server.
    pub fn client(&self, options: Options) -> Client {
        Client::new(&self.config(), options).unwrap()
    }

    pub fn config(&self) -> Config {
        plain_config(self.address)
    }
}

/// Plain HTTP to `address`, as nobody.
pub fn plain_config(address: SocketAddr) -> Config {
    let (host, port) = (address.ip().to_string(), address.port());
    Config {
        server: Server {
            tls: false,
            host,
            port,
            prefix: String::new(),
        },
        tls_server_name: None,
        ca_pem: Vec::new(),
        certificate: None,
        token: None,
    }
}

fn serve(stream: &mut (impl Read + Write), steps: &mut VecDeque<Step>, seen: &Mutex<Vec<String>>) {
    let mut first = true;
    while let Some(request) = read_request(stream) {
        if std::mem::take(&mut first) {
            seen.lock().unwrap().push("connection".to_owned());
        }
        seen.lock().unwrap().push(request);
        match steps.pop_front() {
            Some(Step::Answer(bytes)) => {
                // The client may have left, which is its right.
                let _ = stream.write_all(&bytes).and_then(|()| stream.flush());
            }
            Some(Step::AnswerAndClose(bytes)) => {
                let _ = stream.write_all(&bytes).and_then(|()| stream.flush());
                return;
            }
            Some(Step::Silence) => drop(stream.read(&mut [0])),
            None => return,
        }
        if steps.is_empty() {
            return;
        }
    }
}

/// Closes without a reset, which could overtake an alert that the client should see.
fn drain(tcp: &mut TcpStream) {
    let _ = tcp
        .shutdown(Shutdown::Write)
        .and_then(|()| io::copy(tcp, &mut io::sink()));
}

/// Head and body of the next request; `None` when the client closed or broke the handshake.
fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

/// A whole answer with a JSON body.
pub fn json(code: u16, body: &str) -> Vec<u8> {
    with_header(code, "Content-Type: application/json", body)
}

/// A whole answer with one more header.
pub fn with_header(code: u16, header: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {code} X\r\n{header}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// A chunked answer of these chunks, ended only if `ended`.
pub fn chunked(chunks: &[&str], ended: bool) -> Vec<u8> {
    let mut answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for chunk in chunks {
        answer += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
    }
    if ended {
        answer += "0\r\n\r\n";
    }
    answer.into_bytes()
}

/// The error says that the server was not reached, and how.
pub fn assert_unreachable(error: &Error, expected: How) {
    let fits = matches!(error, Error::Unreachable { how, .. } if *how == expected);
    assert!(fits, "{expected:?} expected: {error:?}");
}
