//! The door for the kubelet's probe: `GET /readyz` on loopback.
//!
//! Both halves have one. A server of HTTP would be more than the rest of this room for one bit, so a thread reads a
//! line and answers it. An exec probe would start a process every few seconds instead.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// A head that is longer is no probe's.
const MAX_HEAD: usize = 4096;

/// What the door tells: nothing if all is well.
#[derive(Clone, Debug)]
pub struct Health(Arc<Mutex<String>>);

impl Health {
    /// Answers at the door; until [`Health::set`] says otherwise it tells `trouble`. Where that is nothing, `others` is
    /// asked for the trouble of whoever else has to be well.
    pub fn serve(
        door: TcpListener,
        trouble: &str,
        others: impl Fn() -> Option<String> + Send + 'static,
    ) -> Self {
        let health = Self(Arc::new(Mutex::new(trouble.to_owned())));
        let shown = health.clone();
        thread::spawn(move || {
            for client in door.incoming().flatten() {
                if let Err(error) = shown.answer(client, &others) {
                    log::debug!("a probe broke off: {error}");
                }
            }
        });
        health
    }

    /// What is wrong now, empty if nothing is; returns whether that is new.
    pub fn set(&self, trouble: &str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *told != trouble;
        trouble.clone_into(&mut told);
        is_new
    }

    fn answer(
        &self,
        mut client: TcpStream,
        others: impl Fn() -> Option<String>,
    ) -> std::io::Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        client.set_write_timeout(Some(PATIENCE))?;
        let mut head = Vec::new();
        let mut piece = [0; 512];
        while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
            match client.read(&mut piece)? {
                0 => break,
                count => head.extend_from_slice(&piece[..count]),
            }
        }
        client.write_all(self.reply(&head, others).as_bytes())
    }

    fn reply(&self, head: &[u8], others: impl Fn() -> Option<String>) -> String {
        let (status, body) = match head.starts_with(b"GET /readyz ") {
            false => ("404 Not Found", "only GET /readyz is answered".to_owned()),
            true => match self.trouble().or_else(others) {
                None => ("200 OK", "ok".to_owned()),
                Some(trouble) => ("503 Service Unavailable", trouble),
            },
        };
        let length = body.len() + 1;
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}\n"
        )
    }

    fn trouble(&self) -> Option<String> {
        let own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!own.is_empty()).then(|| own.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn serve(trouble: &str) -> (Health, SocketAddr) {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = door.local_addr().unwrap();
        (Health::serve(door, trouble, || None), address)
    }

    fn ask(address: SocketAddr, head: &[u8]) -> String {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(head).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn readiness_comes_and_goes() {
        let (health, address) = serve("not begun");
        let probe = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: kube-probe\r\n\r\n";
        let assert_says = |head: &[u8], status: &str, body: &str| {
            let answer = ask(address, head);
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
            assert!(answer.ends_with(&format!("\r\n\r\n{body}\n")), "{answer}");
        };
        assert_says(probe, "503", "not begun");
        assert!(health.set("") && !health.set(""));
        assert_says(probe, "200", "ok");
        assert!(health.set("no API"));
        assert_says(probe, "503", "no API");
        let other = "only GET /readyz is answered";
        assert_says(b"GET /metrics HTTP/1.1\r\n\r\n", "404", other);
        assert_says(b"POST /readyz HTTP/1.1\r\n\r\n", "404", other);
        assert_says(&[b'x'; MAX_HEAD], "404", other);
    }

    #[test]
    fn others_are_asked_when_all_is_well_here() {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = door.local_addr().unwrap();
        let health = Health::serve(door, "no API", || Some("no checkpoint".into()));
        let says = || ask(address, b"GET /readyz HTTP/1.1\r\n\r\n");
        assert!(says().ends_with("\r\n\r\nno API\n"));
        health.set("");
        let answer = says();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\nno checkpoint\n"), "{answer}");
    }

    #[test]
    fn a_silent_client_does_not_shut_the_door() {
        let (_, address) = serve("");
        let silent = TcpStream::connect(address).unwrap();
        assert!(ask(address, b"GET /readyz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 "));
        drop(silent);
    }
}
