//! A real HTTP server for the tests: sockets and bytes, one connection after the other, what it
//! answers decided by a function of the request.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Between two bytes of [`Reply::Drip`].
const DRIP: Duration = Duration::from_millis(20);

/// What the client said; header names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let header = headers.find(|(header, _)| header == name);
        header.map(|(_, value)| &**value)
    }
}

/// What the server does.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Writes these bytes, HTTP or not, and closes.
    Bytes(Vec<u8>),
    /// Writes these again and again, after a head, until the client leaves.
    Endless(Vec<u8>),
    /// Writes these, but slowly.
    Drip(Vec<u8>),
    /// Writes these, and then says nothing until the client leaves.
    Stall(Vec<u8>),
    /// Breaks the connection.
    Reset,
}

/// A whole answer.
pub fn answer(code: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    let mut text = format!("HTTP/1.1 {code} X\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    Reply::Bytes([text.as_bytes(), b"\r\n", body].concat())
}

/// A server that runs until the test's process ends.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(route: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        Self::listen(None, route)
    }

    /// With TLS, as 127.0.0.1.
    pub fn tls(
        config: Arc<ServerConfig>,
        route: impl FnMut(&Request) -> Reply + Send + 'static,
    ) -> Self {
        Self::listen(Some(config), route)
    }

    fn listen(
        tls: Option<Arc<ServerConfig>>,
        mut route: impl FnMut(&Request) -> Reply + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let server = Self {
            address: listener.local_addr().unwrap(),
            scheme: if tls.is_some() { "https" } else { "http" },
            requests: requests.clone(),
        };
        thread::spawn(move || {
            for tcp in listener.incoming() {
                let mut heard = |request: Request| {
                    let reply = route(&request);
                    requests.lock().unwrap().push(request);
                    reply
                };
                // A client may leave whenever it likes.
                let _ = match &tls {
                    None => tcp.and_then(|tcp| plain(tcp, &mut heard)),
                    Some(config) => tcp.and_then(|tcp| secure(tcp, config, &mut heard)),
                };
            }
        });
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Every request so far, as `METHOD path`.
    pub fn seen(&self) -> Vec<String> {
        let line = |request: &Request| format!("{} {}", request.method, request.path);
        self.requests().iter().map(line).collect()
    }
}

type Route<'a> = &'a mut dyn FnMut(Request) -> Reply;

fn plain(mut tcp: TcpStream, route: Route<'_>) -> io::Result<()> {
    let reply = route(hear(&mut tcp)?);
    act(&mut tcp, reply)
}

fn secure(tcp: TcpStream, config: &Arc<ServerConfig>, route: Route<'_>) -> io::Result<()> {
    let connection = ServerConnection::new(config.clone()).unwrap();
    let mut stream = StreamOwned::new(connection, tcp);
    let done = match hear(&mut stream) {
        Ok(request) => act(&mut stream, route(request)),
        Err(error) => Err(error),
    };
    // A reset could overtake an alert that the client should see.
    stream.sock.shutdown(Shutdown::Write)?;
    io::copy(&mut stream.sock, &mut io::sink())?;
    done
}

/// Hears all of a request but its last byte: closing a socket that holds unread bytes resets the
/// connection, see [`Reply::Reset`].
fn hear(stream: &mut impl Read) -> io::Result<Request> {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r") {
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let mut lines = head.lines();
    let mut line = lines.next().unwrap().split(' ').map(str::to_owned);
    let headers = lines.filter_map(|line| line.split_once(": "));
    Ok(Request {
        method: line.next().unwrap(),
        path: line.next().unwrap(),
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
    })
}

fn act(stream: &mut (impl Read + Write), reply: Reply) -> io::Result<()> {
    if matches!(reply, Reply::Reset) {
        return Ok(());
    }
    stream.read_exact(&mut [0])?;
    match reply {
        Reply::Bytes(bytes) => stream.write_all(&bytes)?,
        Reply::Endless(bytes) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            loop {
                stream.write_all(&bytes)?;
            }
        }
        Reply::Drip(bytes) => {
            for byte in bytes {
                stream.write_all(&[byte])?;
                stream.flush()?;
                thread::sleep(DRIP);
            }
        }
        Reply::Stall(bytes) => {
            stream.write_all(&bytes)?;
            stream.flush()?;
            stream.read_exact(&mut [0])?;
        }
        Reply::Reset => {}
    }
    stream.flush()
}
