//! A metadata service for a guest: of EC2's shape, version 2, which wants a token; or of Azure's.
//!
//! QEMU starts a program for each connection to 169.254.169.254 and joins it to the program's input
//! and output. The program is this harness in another role, which passes everything on to a socket
//! where one server answers them all.

use anyhow::{Context as _, Result};
use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The role of [`pipe`].
pub const PIPE: &str = "internal-imds-pipe";
/// What the service hands out and asks for.
const TOKEN: &str = "AQAEAslipway==";

/// What a service does: a request's first line and its headers, in lower case, to a code and a body.
type Behaviour = Box<dyn Fn(&str, &[String]) -> (u16, Vec<u8>) + Send>;

/// A running service; it ends with the harness.
#[derive(Debug)]
pub struct Imds {
    /// What QEMU starts for each connection.
    pub connect: PathBuf,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Imds {
    /// EC2's, with this user data.
    pub fn ec2(work: &Path, user_data: Vec<u8>) -> Result<Self> {
        Self::start(
            work,
            Box::new(move |request, headers| ec2(request, headers, &user_data)),
        )
    }

    /// Azure's, for a machine that was given no user data.
    pub fn azure(work: &Path) -> Result<Self> {
        Self::start(work, Box::new(azure))
    }

    /// Serves guests whose connections come by [`Imds::connect`].
    fn start(work: &Path, behaviour: Behaviour) -> Result<Self> {
        let socket = work.join("imds");
        // What an earlier run left.
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).context("cannot make the service's socket")?;
        let seen = Arc::default();
        let log: Arc<Mutex<Vec<String>>> = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A guest that goes away in the middle is no concern of the service.
                let _ = answer(stream, &behaviour, &log);
            }
        });
        let connect = work.join("imds-connect");
        let program = std::env::current_exe().context("cannot find this program")?;
        let (program, socket) = (program.display(), socket.display());
        let script = format!("#!/bin/sh\nexec '{program}' {PIPE} '\"{socket}\"'\n");
        fs::write(&connect, script).context("cannot write the service's script")?;
        fs::set_permissions(&connect, Permissions::from_mode(0o755))
            .context("cannot make the service's script executable")?;
        Ok(Self { connect, seen })
    }

    /// The requests so far, each as its first line.
    pub fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn ec2(request: &str, headers: &[String], user_data: &[u8]) -> (u16, Vec<u8>) {
    let token = format!("x-aws-ec2-metadata-token: {TOKEN}").to_ascii_lowercase();
    let lives = |line: &String| {
        let seconds = line.strip_prefix("x-aws-ec2-metadata-token-ttl-seconds: ");
        let seconds = seconds.and_then(|text| text.parse::<u32>().ok());
        seconds.is_some_and(|seconds| (1..=21_600).contains(&seconds))
    };
    match request {
        "PUT /latest/api/token HTTP/1.1" if !headers.iter().any(lives) => (400, Vec::new()),
        "PUT /latest/api/token HTTP/1.1" => (200, TOKEN.into()),
        _ if !headers.contains(&token) => (401, Vec::new()),
        "GET /2021-07-15/user-data HTTP/1.1" => (200, user_data.to_vec()),
        _ => (404, Vec::new()),
    }
}

fn azure(request: &str, headers: &[String]) -> (u16, Vec<u8>) {
    let user_data =
        "GET /metadata/instance/compute/userData?api-version=2021-01-01&format=text HTTP/1.1";
    let code = match headers.contains(&"metadata: true".to_owned()) {
        false => 400,
        true if request == user_data => 200,
        true => 404,
    };
    (code, Vec::new())
}

fn answer(stream: UnixStream, behaviour: &Behaviour, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    let mut headers = Vec::new();
    for line in lines {
        match line? {
            line if line.is_empty() => break,
            line => headers.push(line.to_ascii_lowercase()),
        }
    }
    let (code, body) = behaviour(&request, &headers);
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(request);
    let mut stream = stream;
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {code} X\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    )?;
    stream.write_all(&body)?;
    stream.shutdown(Shutdown::Write)
}

/// Joins standard input and output to the service's socket.
pub fn pipe(socket: &Path) -> Result<()> {
    let shown = || format!("cannot reach the service at {}", socket.display());
    let mut there = UnixStream::connect(socket).with_context(shown)?;
    let mut back = there.try_clone().with_context(shown)?;
    // Ends with the process: the guest closes its side after the answer, or not at all.
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut there);
    });
    io::copy(&mut back, &mut io::stdout()).context("cannot pass on the answer")?;
    io::stdout().flush().context("cannot pass on the answer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn ask(work: &Path, request: &str) -> String {
        let mut stream = UnixStream::connect(work.join("imds")).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn user_data_needs_the_token() {
        let work = tempfile::tempdir().unwrap();
        let imds = Imds::ec2(work.path(), b"data".to_vec()).unwrap();
        let get = "GET /2021-07-15/user-data HTTP/1.1\r\n";
        assert!(ask(work.path(), &format!("{get}\r\n")).starts_with("HTTP/1.1 401"));
        let put = "PUT /latest/api/token HTTP/1.1\r\n";
        assert!(ask(work.path(), &format!("{put}\r\n")).starts_with("HTTP/1.1 400"));
        let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n";
        assert!(ask(work.path(), &format!("{put}{ttl}\r\n")).ends_with(TOKEN));
        let with = format!("{get}X-aws-ec2-metadata-token: {TOKEN}\r\n\r\n");
        assert!(ask(work.path(), &with).ends_with("\r\n\r\ndata"));
        assert_eq!(imds.seen().len(), 4);
    }

    #[test]
    fn azures_wants_its_header_and_has_nothing() {
        let work = tempfile::tempdir().unwrap();
        let _imds = Imds::azure(work.path()).unwrap();
        let get = "GET /metadata/instance/compute/userData?api-version=2021-01-01&format=text HTTP/1.1\r\n";
        assert!(ask(work.path(), &format!("{get}\r\n")).starts_with("HTTP/1.1 400"));
        let with = ask(work.path(), &format!("{get}Metadata: true\r\n\r\n"));
        assert!(with.starts_with("HTTP/1.1 200") && with.ends_with("\r\n\r\n"));
    }
}
