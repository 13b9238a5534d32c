use std::net::TcpListener;

use super::*;
use crate::kube::error::How;
use crate::kube::testing::Step::{Answer, AnswerAndClose, Silence};
use crate::kube::testing::{
    Authority, Scripted, assert_unreachable, chunked, json, plain_config, with_header,
};
use crate::secret::Secret;
use serde_json::json as value;

fn quick() -> Options {
    Options {
        timeout: Duration::from_millis(300),
        ..Options::default()
    }
}

#[test]
fn a_refusal_carries_the_servers_message() {
    let body = r#"{"kind":"Status","reason":"NotFound","message":"pods \"a\" not found"}"#;
    let server = Scripted::plain(vec![Answer(json(404, body))]);
    let error = server
        .client(Options::default())
        .get("/api/v1/pods/a?x=y")
        .unwrap_err();
    assert!(error.is_not_found());
    let text = "GET /api/v1/pods/a: 404 NotFound: pods \"a\" not found";
    assert_eq!(error.to_string(), text);
}

#[test]
fn requests_say_who_they_are_and_connections_are_kept() {
    let server = Scripted::plain(vec![Answer(json(200, "{}")), Answer(json(200, "{}"))]);
    let config = Config {
        token: Some(Secret::new("t0k")),
        ..server.config()
    };
    let client = Client::new(&config, Options::default()).unwrap();
    assert_eq!(client.get("/a").unwrap(), value!({}));
    client.clone().post("/b", &value!({"x": 1})).unwrap();
    let requests = server.requests();
    assert!(
        requests[0].starts_with("GET /a HTTP/1.1\r\n"),
        "{requests:?}"
    );
    assert!(
        requests[0].contains("authorization: Bearer t0k\r\n"),
        "{requests:?}"
    );
    assert!(requests[0].contains("user-agent: slipway/"), "{requests:?}");
    assert!(requests[1].ends_with("\r\n\r\n{\"x\":1}"), "{requests:?}");
    assert_eq!(server.connections(), 1);
    assert!(!format!("{client:?}").contains("t0k"));
}

#[test]
fn a_get_whose_connection_closes_is_repeated_once() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"half".to_vec();
    let server = Scripted::plain(vec![AnswerAndClose(cut.clone()), Answer(json(200, "{}"))]);
    assert!(server.client(Options::default()).get("/a").is_ok());
    assert_eq!(server.connections(), 2);

    let server = Scripted::plain(vec![AnswerAndClose(cut), AnswerAndClose(Vec::new())]);
    let error = server.client(Options::default()).get("/a").unwrap_err();
    assert_unreachable(&error, How::Closed);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn nothing_else_is_repeated_after_a_closed_connection() {
    let closing = || vec![AnswerAndClose(Vec::new()), Answer(json(200, "{}"))];
    let server = Scripted::plain(closing());
    let error = server
        .client(Options::default())
        .post("/a", &value!({}))
        .unwrap_err();
    assert!(error.is_closed() && error.is_retryable(), "{error:?}");
    let server = Scripted::plain(closing());
    assert!(
        server
            .client(Options::default())
            .status("/readyz")
            .unwrap_err()
            .is_closed()
    );
    let server = Scripted::plain(closing());
    assert!(
        server
            .client(Options::probe())
            .get("/a")
            .unwrap_err()
            .is_closed()
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_busy_server_is_asked_again_when_it_says() {
    let busy = |code| with_header(code, "Retry-After: 0", "too many requests");
    let server = Scripted::plain(vec![Answer(busy(429)), Answer(json(200, "{}"))]);
    assert!(
        server
            .client(Options::default())
            .post("/a", &value!({}))
            .is_ok()
    );
    let server = Scripted::plain(vec![Answer(busy(503)), Answer(json(200, "{}"))]);
    assert!(server.client(Options::default()).get("/a").is_ok());
    // A POST may have been worked on before the 503.
    let server = Scripted::plain(vec![Answer(busy(503)), Answer(json(200, "{}"))]);
    let error = server
        .client(Options::default())
        .post("/a", &value!({}))
        .unwrap_err();
    assert_eq!(error.code(), Some(503));
    // Not before the deadline: the refusal is the answer.
    let later = with_header(429, "Retry-After: 60", "too many requests");
    let server = Scripted::plain(vec![Answer(later)]);
    let error = server.client(quick()).get("/a").unwrap_err();
    assert_eq!(error.to_string(), "GET /a: 429: too many requests");
    let Error::Status(status) = error else {
        panic!("{error:?}")
    };
    assert_eq!(status.retry_after, Some(Duration::from_secs(60)));
}

#[test]
fn a_silent_server_hits_the_timeout() {
    let server = Scripted::plain(vec![Silence]);
    let error = server.client(quick()).get("/a").unwrap_err();
    assert_unreachable(&error, How::TimedOut);
    assert!(error.to_string().contains("timed out"), "{error}");
}

#[test]
fn a_server_that_stalls_in_the_body_hits_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stalling = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut tcp, _) = listener.accept().unwrap();
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{";
        tcp.write_all(head).unwrap();
        let mut rest = Vec::new();
        // Ends when the client hangs up.
        let _ = tcp.read_to_end(&mut rest);
    });
    let config = plain_config(address);
    let error = Client::new(&config, quick())
        .unwrap()
        .get("/a")
        .unwrap_err();
    assert_unreachable(&error, How::TimedOut);
    stalling.join().unwrap();
}

#[test]
fn nobody_listening_is_named() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let config = plain_config(address);
    let error = Client::new(&config, Options::default())
        .unwrap()
        .get("/a")
        .unwrap_err();
    assert_unreachable(&error, How::Refused);
    assert!(
        error
            .to_string()
            .starts_with(&format!("http://{address} not reached")),
        "{error}"
    );
}

#[test]
fn a_redirect_is_not_followed() {
    let away = with_header(302, "Location: http://192.0.2.1/", "elsewhere");
    let server = Scripted::plain(vec![Answer(away)]);
    let error = server.client(Options::default()).get("/a").unwrap_err();
    assert_eq!(error.code(), Some(302));
}

#[test]
fn an_answer_of_11_mib_is_taken_and_an_endless_one_is_not() {
    let text = "x".repeat(11 << 20);
    let server = Scripted::plain(vec![Answer(json(200, &text))]);
    assert_eq!(
        server
            .client(Options::default())
            .text("/log")
            .unwrap()
            .len(),
        11 << 20
    );
    let chunk = "x".repeat(13 << 20);
    let endless = chunked(&[&chunk, &chunk, &chunk, &chunk, &chunk], false);
    let server = Scripted::plain(vec![AnswerAndClose(endless)]);
    let error = server.client(Options::default()).text("/log").unwrap_err();
    assert!(matches!(error, Error::Decode { .. }), "{error:?}");
}

#[test]
fn an_answer_that_is_no_json_is_named() {
    let server = Scripted::plain(vec![Answer(json(200, "<html>"))]);
    let error = server.client(Options::default()).get("/a").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("GET /a: unusable answer: expected value"),
        "{error}"
    );
}

#[test]
fn status_gives_any_answer_as_it_is() {
    let server = Scripted::plain(vec![Answer(with_header(500, "A: b", "[-]etcd failed"))]);
    let (code, text) = server.client(Options::default()).status("/readyz").unwrap();
    assert_eq!((code, text.as_str()), (500, "[-]etcd failed"));
}

#[test]
fn a_probe_connects_anew_every_time() {
    let server = Scripted::plain(vec![Answer(json(200, "{}")), Answer(json(200, "{}"))]);
    let client = server.client(Options::probe());
    client.get("/a").unwrap();
    client.get("/a").unwrap();
    assert_eq!(server.connections(), 2);
}

/// A TLS server called `api.test`, and a config that reaches it through a door.
fn tls_config(authority: &Authority, steps: Vec<crate::kube::testing::Step>) -> (Config, Options) {
    let server = Scripted::start(steps, Some(authority.server("api.test")));
    let mut config = server.config();
    config.server.tls = true;
    config.server.host = "api.test".to_owned();
    config.ca_pem = authority.pem();
    config.certificate = Some(authority.issue("admin"));
    (
        config,
        Options {
            connect_to: Some(server.address),
            ..Options::default()
        },
    )
}

#[test]
fn through_a_door_tls_verifies_the_kubeconfigs_name() {
    let authority = Authority::new();
    let (config, options) = tls_config(&authority, vec![Answer(json(200, "{\"a\":1}"))]);
    let client = Client::new(&config, options).unwrap();
    assert_eq!(client.get("/a").unwrap(), value!({"a": 1}));
    assert!(client.server().contains("api.test") && client.server().contains("127.0.0.1"));

    let (mut config, options) = tls_config(&authority, vec![Silence]);
    config.server.host = "other.test".to_owned();
    let error = Client::new(&config, options)
        .unwrap()
        .get("/a")
        .unwrap_err();
    assert!(
        matches!(&error, Error::Tls { cause, .. } if cause.contains("api.test")),
        "{error:?}"
    );

    let (mut config, options) = tls_config(&authority, vec![Answer(json(200, "{}"))]);
    config.server.host = "192.0.2.1".to_owned();
    config.tls_server_name = Some("api.test".to_owned());
    assert!(Client::new(&config, options).unwrap().get("/a").is_ok());
}

#[test]
fn a_strange_authority_is_not_trusted() {
    let (mut config, options) = tls_config(&Authority::new(), vec![Silence]);
    config.ca_pem = Authority::new().pem();
    let error = Client::new(&config, options)
        .unwrap()
        .get("/a")
        .unwrap_err();
    assert!(
        matches!(error, Error::Tls { .. }) && !error.is_retryable(),
        "{error:?}"
    );
}

#[test]
fn a_client_the_server_does_not_know_is_told() {
    let (mut config, options) = tls_config(&Authority::new(), vec![Silence]);
    config.certificate = Some(Authority::new().issue("stranger"));
    let error = Client::new(&config, options)
        .unwrap()
        .get("/a")
        .unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
}

#[test]
fn credentials_that_do_not_fit_are_an_error() {
    let authority = Authority::new();
    let (good, options) = tls_config(&authority, vec![Silence]);
    let (chain, key) = authority.issue("admin");
    let (_, other_key) = authority.issue("admin");
    let cases = [
        (
            Config {
                certificate: Some((chain.clone(), other_key)),
                ..good.clone()
            },
            "client-key",
        ),
        (
            Config {
                certificate: Some((b"x".to_vec(), key)),
                ..good.clone()
            },
            "client-certificate",
        ),
        (
            Config {
                certificate: Some((chain, Secret::new("x"))),
                ..good.clone()
            },
            "client-key",
        ),
        (
            Config {
                ca_pem: b"x".to_vec(),
                ..good.clone()
            },
            "certificate-authority",
        ),
        (
            Config {
                token: Some(Secret::new("a\nb")),
                ..good
            },
            "token",
        ),
    ];
    for (config, named) in cases {
        let error = Client::new(&config, options.clone()).unwrap_err();
        assert!(
            matches!(&error, Error::Request(text) if text.contains(named)),
            "{error:?}"
        );
    }
}
