use super::*;
use crate::kube::Options;
use crate::kube::testing::Step::{Answer, AnswerAndClose};
use crate::kube::testing::{Scripted, json};
use serde_json::json as value;

const KINDS: &str = r#"{"kind":"APIResourceList","resources":[
    {"name":"configmaps","kind":"ConfigMap","namespaced":true}]}"#;

fn object(version: &str) -> String {
    value!({"kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": version}}).to_string()
}

fn map() -> Value {
    value!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "n", "name": "a"}})
}

#[test]
fn an_apply_says_what_it_did_and_asks_for_kinds_once() {
    let server = Scripted::plain(vec![
        Answer(json(200, KINDS)),
        Answer(json(404, "{}")),
        Answer(json(201, &object("1"))),
        Answer(json(200, &object("1"))),
        Answer(json(200, &object("1"))),
        Answer(json(200, &object("1"))),
        Answer(json(200, &object("2"))),
    ]);
    let client = server.client(Options::default());
    let changes: Vec<_> = (0..3)
        .map(|_| client.apply(&map(), "me you", true).unwrap().change)
        .collect();
    assert_eq!(
        changes,
        [Change::Created, Change::Unchanged, Change::Changed]
    );
    let requests = server.requests();
    let patch = "PATCH /api/v1/namespaces/n/configmaps/a?fieldManager=me%20you&force=true HTTP";
    assert!(requests[2].starts_with(patch), "{}", requests[2]);
    assert!(requests[2].contains("content-type: application/apply-patch+yaml\r\n"));
}

#[test]
fn a_dry_run_asks_for_no_change_and_for_strictness() {
    let server = Scripted::plain(vec![
        Answer(json(200, KINDS)),
        Answer(json(404, "{}")),
        Answer(json(201, &object("1"))),
        Answer(json(200, &object("1"))),
        Answer(json(200, &object("2"))),
    ]);
    let client = server.client(Options::default());
    let version = |object: &Value| resource_version(object).to_owned();
    for expected in [(None, "1"), (Some("1"), "2")] {
        let (before, after) = client.dry_run(&map(), "m").unwrap();
        let before = before.as_ref().map(version);
        assert_eq!((before.as_deref(), version(&after).as_str()), expected);
    }
    let patch = "PATCH /api/v1/namespaces/n/configmaps/a?dryRun=All&fieldManager=m&force=false&\
                 fieldValidation=Strict HTTP";
    assert!(server.requests()[2].starts_with(patch));
}

#[test]
fn an_apply_whose_connection_closes_is_repeated() {
    let server = Scripted::plain(vec![
        Answer(json(200, KINDS)),
        Answer(json(200, &object("1"))),
        AnswerAndClose(Vec::new()),
        Answer(json(200, &object("2"))),
    ]);
    let applied = server
        .client(Options::default())
        .apply(&map(), "m", false)
        .unwrap();
    assert_eq!(applied.change, Change::Changed);
    assert!(server.requests()[3].contains("force=false"));
}

#[test]
fn a_kind_that_appears_is_found() {
    let nothing = r#"{"kind":"APIResourceList","resources":[]}"#;
    let server = Scripted::plain(vec![
        Answer(json(404, "{}")),
        Answer(json(200, nothing)),
        Answer(json(200, KINDS)),
    ]);
    let client = server.client(Options::default());
    for _ in 0..2 {
        let error = client.path_of(&map()).unwrap_err();
        assert!(matches!(error, Error::UnknownKind { .. }), "{error:?}");
        assert!(error.to_string().contains("ConfigMap in v1"), "{error}");
    }
    assert_eq!(
        client.path_of(&map()).unwrap(),
        "/api/v1/namespaces/n/configmaps/a"
    );
    assert_eq!(
        client.path_of(&map()).unwrap(),
        "/api/v1/namespaces/n/configmaps/a"
    );
}

#[test]
fn an_object_without_a_name_goes_nowhere() {
    let server = Scripted::plain(Vec::new());
    let client = server.client(Options::default());
    for object in [
        value!({}),
        value!({"apiVersion": "v1", "kind": "Pod", "metadata": {}}),
    ] {
        let error = client.apply(&object, "m", true).unwrap_err();
        assert!(matches!(error, Error::Request(_)), "{error:?}");
    }
}

#[test]
fn a_list_is_understood_even_if_it_is_null() {
    let of = |items: &str| {
        let body =
            format!(r#"{{"kind":"PodList","metadata":{{"resourceVersion":"7"}},"items":{items}}}"#);
        let server = Scripted::plain(vec![Answer(json(200, &body))]);
        server.client(Options::default()).list("/api/v1/pods")
    };
    assert_eq!(of("[{},{}]").unwrap().items.len(), 2);
    assert_eq!(
        of("null").unwrap(),
        List {
            resource_version: "7".into(),
            items: Vec::new()
        }
    );
    assert!(matches!(of("3").unwrap_err(), Error::Decode { .. }));
}

#[test]
fn the_other_verbs_send_what_they_say() {
    let server = Scripted::plain((0..4).map(|_| Answer(json(200, "{}"))).collect());
    let client = server.client(Options::default());
    client.replace("/a", &value!({"b": 1})).unwrap();
    client.merge_patch("/a", &value!({"b": 2})).unwrap();
    client.delete("/a").unwrap();
    client.post("/a", &value!({"b": 3})).unwrap();
    let requests = server.requests();
    assert!(requests[0].starts_with("PUT /a ") && requests[0].ends_with("{\"b\":1}"));
    assert!(requests[1].starts_with("PATCH /a "));
    assert!(requests[1].contains("content-type: application/merge-patch+json\r\n"));
    assert!(requests[2].starts_with("DELETE /a ") && requests[2].ends_with("\r\n\r\n"));
    assert!(requests[3].starts_with("POST /a "));
}
