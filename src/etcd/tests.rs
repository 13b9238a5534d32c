use std::net::TcpListener;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::*;
use crate::exit::{Exit, exit_of};
use crate::kube::testing::Step::{Answer, AnswerAndClose, Silence};
use crate::kube::testing::{Authority, Scripted, chunked, json as answer, with_header};

fn of(urls: &[String]) -> Endpoints {
    Endpoints {
        urls: urls.to_vec(),
        ca_pem: Vec::new(),
        certificate: None,
        timeout: Duration::from_millis(300),
    }
}

fn client(server: &Scripted) -> Client {
    Client::new(&of(&[url(server)])).unwrap()
}

fn url(server: &Scripted) -> String {
    format!("http://{}", server.address)
}

fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn page(keys: &[&str], revision: u32, more: bool) -> Vec<u8> {
    let pair = |key: &&str| {
        json!({
            "key": STANDARD.encode(key), "value": STANDARD.encode("v"), "create_revision": "3",
            "mod_revision": "9007199254740993", "version": "2",
        })
    };
    let kvs: Vec<_> = keys.iter().map(pair).collect();
    let header = json!({"cluster_id": "18446744073709551615", "revision": revision.to_string()});
    let body = json!({"header": header, "kvs": kvs, "more": more});
    answer(200, &body.to_string())
}

fn asked(request: &str) -> Value {
    serde_json::from_str(request.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

fn keys(client: &Client, prefix: &[u8]) -> Result<(Ranged, Vec<String>)> {
    let mut keys = Vec::new();
    let ranged = client.range(prefix, Values::Kept, |stored| {
        keys.push(String::from_utf8(stored.key)?);
        Ok(())
    })?;
    Ok((ranged, keys))
}

#[test]
fn pages_are_of_one_revision() {
    let pages = [page(&["/r/a", "/r/b"], 7, true), page(&["/r/c"], 9, false)];
    let server = Scripted::plain(pages.map(Answer).into());
    let (ranged, keys) = keys(&client(&server), b"/r/").unwrap();
    assert_eq!(keys, ["/r/a", "/r/b", "/r/c"]);
    assert_eq!((ranged.revision, ranged.keys), (7, 3));
    let requests = server.requests();
    let second = asked(&requests[1]);
    assert_eq!(second["key"], STANDARD.encode("/r/b\0"));
    assert_eq!(second["range_end"], STANDARD.encode("/r0"));
    assert_eq!(second["revision"], 7);
}

#[test]
fn numbers_come_as_text_and_zeros_not_at_all() {
    let server = Scripted::plain(vec![Answer(page(&["a"], 7, false))]);
    let mut seen = Vec::new();
    let visit = |stored| {
        seen.push(stored);
        Ok(())
    };
    client(&server).range(b"", Values::Kept, visit).unwrap();
    let expected = Stored {
        key: b"a".to_vec(),
        value: Secret::new("v"),
        create_revision: 3,
        mod_revision: 9_007_199_254_740_993,
        version: 2,
        lease: 0,
    };
    assert_eq!(seen, [expected]);
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_parts() {
    let large = usize::try_from(client::BODY_LIMIT).unwrap() + 1;
    let large = answer(200, &"x".repeat(large));
    let small = page(&["/r/a"], 7, false);
    let server = Scripted::plain(vec![AnswerAndClose(large), Answer(small)]);
    keys(&client(&server), b"/r/").unwrap();
    let limits: Vec<_> = server
        .requests()
        .iter()
        .map(|request| asked(request)["limit"].as_u64())
        .collect();
    assert_eq!(limits, [Some(500), Some(63)]);
}

#[test]
fn a_refusal_is_in_etcds_words() {
    let body = r#"{"code":11,"message":"etcdserver: mvcc: required revision has been compacted"}"#;
    let server = Scripted::plain(vec![Answer(answer(400, body))]);
    let error = keys(&client(&server), b"/r/").unwrap_err().to_string();
    let url = url(&server);
    let said = "/v3/kv/range: 400: etcdserver: mvcc: required revision has been compacted";
    assert_eq!(error, format!("etcd at {url}: {said}"));
}

#[test]
fn the_next_url_is_asked_and_remembered() {
    let busy = answer(503, r#"{"message":"etcdserver: no leader"}"#);
    let busy = Scripted::plain(vec![AnswerAndClose(busy)]);
    let living = Scripted::plain(vec![
        Answer(page(&["a"], 7, false)),
        Answer(page(&["a"], 8, false)),
    ]);
    let client = Client::new(&of(&[dead(), url(&busy), url(&living)])).unwrap();
    assert_eq!(keys(&client, b"a").unwrap().0.revision, 7);
    assert_eq!(keys(&client, b"a").unwrap().0.revision, 8);
    assert_eq!((busy.requests().len(), living.requests().len()), (1, 2));
}

#[test]
fn urls_of_two_clusters_are_refused() {
    let other = r#"{"header":{"cluster_id":"5","revision":"7"}}"#;
    let one = Scripted::plain(vec![AnswerAndClose(page(&["/r/a"], 7, true))]);
    let two = Scripted::plain(vec![Answer(answer(200, other))]);
    let client = Client::new(&of(&[url(&one), url(&two)])).unwrap();
    let error = keys(&client, b"/r/").unwrap_err().to_string();
    assert!(error.contains("different etcd clusters"), "{error}");
}

#[test]
fn whoever_does_not_answer_is_named_with_what_to_look_at() {
    let hung = Scripted::plain(vec![Silence]);
    let gone = dead();
    let client = Client::new(&of(&[gone.clone(), url(&hung)])).unwrap();
    let error = client.status().unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&gone) && text.contains("is etcd running there?"),
        "{text}"
    );
    assert!(
        text.contains(&url(&hung)) && text.contains("does it hang?"),
        "{text}"
    );
    assert_eq!(exit_of(&error), Exit::TimedOut);
    let error = Client::new(&of(&[gone])).unwrap().members().unwrap_err();
    assert_eq!(exit_of(&error), Exit::NotFound);
}

#[test]
fn a_foreign_authority_is_said() {
    let (ours, other) = (Authority::new(), Authority::new());
    let server = Scripted::start(
        vec![Answer(answer(200, "{}"))],
        Some(ours.open_server("127.0.0.1")),
    );
    let endpoints = Endpoints {
        ca_pem: other.pem(),
        ..of(&[format!("https://{}", server.address)])
    };
    let error = Client::new(&endpoints)
        .unwrap()
        .status()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the authority that signed its certificate"),
        "{error}"
    );
    let broken = Endpoints {
        ca_pem: b"none".to_vec(),
        ..endpoints
    };
    let error = format!("{:#}", Client::new(&broken).unwrap_err());
    assert!(
        error.contains("certificate-authority cannot be used"),
        "{error}"
    );
}

#[test]
fn members_and_status_are_read() {
    let members = r#"{"header":{"revision":"1"},"members":[
        {"ID":"10501334649042878790","name":"a","peerURLs":["https://a:2380"],"clientURLs":["https://a:2379"]},
        {"ID":"1","peerURLs":["https://b:2380"],"isLearner":true}]}"#;
    let status = r#"{"header":{"cluster_id":"2","member_id":"3","revision":"4"},"version":"3.7.0",
        "dbSize":"20480","leader":"3","raftIndex":"9"}"#;
    let server = Scripted::plain(vec![
        Answer(answer(200, members)),
        Answer(answer(200, status)),
    ]);
    let client = client(&server);
    let members = client.members().unwrap();
    assert_eq!(members[0].id, 10_501_334_649_042_878_790);
    assert_eq!(members[0].client_urls, ["https://a:2379"]);
    assert!(members[1].learner && members[1].name.is_empty());
    let status = client.status().unwrap();
    assert_eq!(
        (status.revision, status.db_size, status.leader),
        (4, 20_480, 3)
    );
    assert_eq!(status.version, "3.7.0");
}

fn blob(bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    format!(
        "{{\"result\":{{\"remaining_bytes\":\"1\",\"blob\":\"{encoded}\",\"version\":\"3.7.0\"}}}}\n"
    )
}

fn stream(lines: &[String], ended: bool) -> Scripted {
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    Scripted::plain(vec![AnswerAndClose(chunked(&lines, ended))])
}

#[test]
fn a_snapshot_ends_with_its_digest() {
    let sum = digest(&SHA256, b"abcd");
    let server = stream(&[blob(b"ab"), blob(b"cd"), blob(sum.as_ref())], true);
    let mut file = Vec::new();
    let saved = client(&server).snapshot(&mut file).unwrap();
    assert_eq!(file, [b"abcd", sum.as_ref()].concat());
    assert_eq!(saved.bytes, 36);
    assert_eq!(saved.sha256, crate::hash::sha256(&file));
    assert_eq!(saved.version, "3.7.0");
}

#[test]
fn a_snapshot_that_is_not_whole_is_an_error() {
    let sum = blob(digest(&SHA256, b"abcd").as_ref());
    let error = "{\"error\":{\"code\":14,\"message\":\"stopped\"}}\n".to_owned();
    let cases = [
        (vec![blob(b"ab")], true, "before its digest"),
        (
            vec![blob(b"ab"), sum.clone()],
            true,
            "does not fit its digest",
        ),
        (
            vec![blob(b"ab"), blob(b"cd"), sum],
            false,
            "broke off after 4 bytes",
        ),
        (
            vec![blob(b"ab"), error],
            true,
            "gave up the snapshot: stopped",
        ),
        (vec![], true, "broke off after 0 bytes"),
        (vec!["{\"resu".to_owned()], true, "not understood"),
    ];
    for (lines, ended, expected) in cases {
        let error = client(&stream(&lines, ended)).snapshot(&mut Vec::new());
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn a_gateway_that_is_off_is_recognised() {
    let server = Scripted::plain(vec![Answer(with_header(404, "X: y", "404 page not found"))]);
    let error = client(&server).status().unwrap_err().to_string();
    assert!(error.contains("--enable-grpc-gateway=false"), "{error}");
}
