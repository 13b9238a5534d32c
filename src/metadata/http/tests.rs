use super::*;
use crate::metadata::source::testing::server::{Reply as Served, Server, answer};

fn get(server: &Server, max: u64, times: Times) -> Result<Reply, Failed> {
    let client = Client::within(times, TlsConfig::default());
    let url = server.url("/x?key=hunter2");
    client.call(Method::GET, &url, &[], max, Duration::from_secs(60))
}

/// The message, and whether it is final.
fn failed(served: Served, times: Times) -> (String, bool) {
    let server = Server::start(move |_| served.clone());
    let (error, is_final) = match get(&server, 16, times).unwrap_err() {
        Failed::Again(error) | Failed::Later(error, _) => (error, false),
        Failed::Finally(error) => (error, true),
    };
    let text = format!("{error:#}");
    assert!(!text.contains("hunter2"), "{text}");
    (text, is_final)
}

#[test]
fn every_part_has_its_time() {
    let (head, body) = (Duration::from_millis(100), Duration::from_millis(100));
    let head = Times { head, ..TIMES };
    let body = Times { body, ..TIMES };
    let answer = b"HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\n".to_vec();
    let cases = [
        (Served::Stall(Vec::new()), head, "waiting for the answer"),
        (Served::Drip(answer.clone()), head, "waiting for the answer"),
        (Served::Stall(answer), body, "reading the answer"),
    ];
    for (served, times, want) in cases {
        let (text, is_final) = failed(served, times);
        assert!(
            text.contains(&format!("is silent: timed out {want}")),
            "{text}"
        );
        assert!(!is_final);
    }
}

#[test]
fn a_request_carries_nothing_and_says_so() {
    let server = Server::start(|_| answer(200, &[], ""));
    for (method, length) in [(Method::GET, None), (Method::PUT, Some("0"))] {
        let (client, left) = (Client::plain(), Duration::from_secs(60));
        client
            .call(method, &server.url("/x"), &[], 16, left)
            .unwrap();
        let request = server.requests().pop().unwrap();
        assert_eq!(request.header("content-length"), length);
        assert_eq!(request.header("transfer-encoding"), None);
    }
}

#[test]
fn a_body_has_its_size() {
    let server = Server::start(|_| answer(200, &[], [b'a'; 16]));
    assert_eq!(get(&server, 16, TIMES).unwrap().body.len(), 16);
    for served in [
        answer(200, &[], [b'a'; 17]),
        answer(404, &[], [b'a'; 17]),
        Served::Endless(b"hunter2".to_vec()),
    ] {
        let (text, is_final) = failed(served, TIMES);
        assert!(text.contains("gives more than 16 bytes"), "{text}");
        assert!(is_final);
    }
}

#[test]
fn a_head_has_its_size() {
    let head = format!("HTTP/1.1 200 X\r\nX: {}\r\n\r\n", "a".repeat(1 << 20));
    assert!(!failed(Served::Bytes(head.into_bytes()), TIMES).0.is_empty());
}

#[test]
fn how_long_a_busy_server_wants() {
    let cases = [
        ("7", Some(7)),
        (" 0 ", Some(0)),
        ("-1", None),
        ("99999999999999999999", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ];
    for (value, want) in cases {
        let server = Server::start(move |_| answer(503, &[("Retry-After", value)], ""));
        let reply = get(&server, 16, TIMES).unwrap();
        assert!(reply.is_busy());
        let got = match reply.busy(anyhow!("busy")) {
            Failed::Later(_, wanted) => Some(wanted.as_secs()),
            _ => None,
        };
        assert_eq!(got, want, "{value}");
    }
}

#[test]
fn urls_are_shown_without_secrets() {
    let cases = [
        ("https://a/b?key=x", "https://a/b"),
        ("https://a/b#x?y", "https://a/b"),
        ("https://me:pass@a:1/b@c", "https://a:1/b@c"),
        ("https://me:pass@a", "https://a"),
        ("https://a?b@c", "https://a"),
        ("/b?key=x", "/b"),
        ("", ""),
    ];
    for (url, want) in cases {
        assert_eq!(shown(url), want);
    }
}
