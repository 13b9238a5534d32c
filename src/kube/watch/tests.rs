use super::*;
use crate::kube::Options;
use crate::kube::error::How;
use crate::kube::testing::Step::AnswerAndClose;
use crate::kube::testing::{Scripted, assert_unreachable, chunked, json};

const ADDED: &str =
    "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"5\"}}}\n";

fn watch(answer: Vec<u8>) -> (Vec<Result<Event, Error>>, Scripted) {
    let server = Scripted::plain(vec![AnswerAndClose(answer)]);
    let client = server.client(Options::default());
    let events = client
        .watch("/api/v1/pods?labelSelector=a", "4", 9)
        .unwrap()
        .collect();
    (events, server)
}

#[test]
fn events_come_out_of_chunks_that_cut_them_anywhere() {
    let (head, tail) = ADDED.split_at(20);
    let bookmark =
        "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"8\"}}}\n";
    let (events, server) = watch(chunked(&[head, tail, bookmark], true));
    let events: Vec<_> = events.into_iter().map(Result::unwrap).collect();
    let seen: Vec<_> = events
        .iter()
        .map(|event| (event.kind, event.resource_version()))
        .collect();
    assert_eq!(seen, [(EventKind::Added, "5"), (EventKind::Bookmark, "8")]);
    let request = &server.requests()[0];
    let query = "pods?labelSelector=a&watch=true&allowWatchBookmarks=true&resourceVersion=4&timeoutSeconds=9 ";
    assert!(request.contains(query), "{request}");
}

#[test]
fn too_old_a_version_is_gone_however_it_is_said() {
    let status = r#"{"kind":"Status","code":410,"reason":"Expired","message":"too old"}"#;
    let event = format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n");
    let (events, _) = watch(chunked(&[ADDED, &event, ADDED], true));
    assert_eq!(events.len(), 2, "nothing follows an error");
    let error = events[1].as_ref().unwrap_err();
    assert!(
        error.is_gone() && error.to_string().contains("410 Expired: too old"),
        "{error}"
    );

    let server = Scripted::plain(vec![AnswerAndClose(json(410, status))]);
    let error = server
        .client(Options::default())
        .watch("/x", "1", 9)
        .unwrap_err();
    assert!(error.is_gone(), "{error}");
}

#[test]
fn a_stream_that_breaks_off_is_an_error() {
    let (events, _) = watch(chunked(&[ADDED], false));
    assert!(events[0].is_ok());
    let error = events[1].as_ref().unwrap_err();
    assert_unreachable(error, How::Closed);
    let (events, _) = watch(chunked(&["{\"type\":"], true));
    assert!(matches!(events[0], Err(Error::Decode { .. })), "{events:?}");
}

#[test]
fn a_line_has_a_limit() {
    let long = "x".repeat(usize::try_from(LINE_LIMIT).unwrap() + 1);
    let (events, _) = watch(chunked(&[&long, ADDED], true));
    assert_eq!(events.len(), 1);
    assert!(matches!(events[0], Err(Error::Decode { .. })), "{events:?}");
}

#[test]
fn what_is_no_event_is_an_error() {
    for line in [
        "\n",
        "nonsense\n",
        "{\"type\":\"ODD\",\"object\":{}}\n",
        "{}\n",
    ] {
        let (events, _) = watch(chunked(&[line], true));
        assert!(
            matches!(events[..], [Err(Error::Decode { .. })]),
            "{line:?}: {events:?}"
        );
    }
}
