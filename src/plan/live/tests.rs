use super::*;
use crate::kube::Options;
use crate::kube::testing::Step::Answer;
use crate::kube::testing::{Scripted, json as answer};

const KINDS: &str = r#"{"kind":"APIResourceList","resources":[
    {"name":"namespaces","kind":"Namespace","namespaced":false},
    {"name":"secrets","kind":"Secret","namespaced":true},
    {"name":"configmaps","kind":"ConfigMap","namespaced":true}]}"#;

fn manifest(kind: &str, namespace: Option<&str>, more: &Value) -> Manifest {
    let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a", "namespace": namespace}});
    for (key, value) in more.as_object().unwrap() {
        object[key.as_str()] = value.clone();
    }
    Manifest {
        file: format!("manifests/{kind}.yaml"),
        object,
    }
}

/// One manifest after the server said what it serves.
fn verdict(manifest: Manifest, answers: &[(u16, Value)]) -> Verdict {
    let steps = [(200, KINDS.to_owned())].into_iter();
    let steps = steps.chain(answers.iter().map(|(code, body)| (*code, body.to_string())));
    let server = Scripted::plain(
        steps
            .map(|(code, body)| Answer(answer(code, &body)))
            .collect(),
    );
    let client = server.client(Options::default());
    let mut found = objects(&client, &[manifest]).unwrap();
    assert_eq!(server.requests().len(), answers.len() + 1);
    found.remove(0).verdict
}

fn map(data: &str) -> Value {
    json!({"kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": data, "managedFields": [data]},
        "data": {"key": data, "a.b": "same"}})
}

fn status(code: u16, causes: &Value) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "code": code, "reason": "Why", "message": "quotes hunter2", "details": {"causes": causes}}),
    )
}

#[test]
fn every_answer_has_its_verdict() {
    let fields = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect();
    let one = |kind| manifest(kind, Some("n"), &json!({}));
    let conflict = json!([{"field": ".data.key", "message": "conflict with \"kubectl\""}]);
    let longer = json!({"kind": "ConfigMap", "data": {"key": "1", "a.b": "same", "l": [1]}});
    let table = [
        (
            one("ConfigMap"),
            vec![(404, json!({})), (201, map("1"))],
            Verdict::Create(None),
        ),
        (
            one("ConfigMap"),
            vec![(200, map("1")), (200, map("1"))],
            Verdict::Same,
        ),
        (
            one("ConfigMap"),
            vec![(200, map("1")), (200, map("2"))],
            Verdict::Change(fields(&[".data.key: \"1\" → \"2\""])),
        ),
        (
            one("ConfigMap"),
            vec![
                (200, longer),
                (
                    200,
                    json!({"kind": "ConfigMap", "data": {"key": "1", "l": [1, {"x": 2}]}}),
                ),
            ],
            Verdict::Change(fields(&[
                ".data[\"a.b\"]: \"same\" → none",
                ".data.l[1]: none → {\"x\":2}",
            ])),
        ),
        (
            one("ConfigMap"),
            vec![(200, map("1")), status(409, &conflict)],
            Verdict::Leave(fields(&[".data.key (conflict with \"kubectl\")"])),
        ),
        (
            one("ConfigMap"),
            vec![(404, json!({})), status(422, &json!([]))],
            Verdict::Refused(
                "PATCH /api/v1/namespaces/n/configmaps/a: 422 Why: quotes hunter2".to_owned(),
            ),
        ),
        (
            one("Secret"),
            vec![
                (404, json!({})),
                status(422, &json!([{"field": "data[x]", "message": "hunter2"}])),
            ],
            Verdict::Refused("422 Why data[x]".to_owned()),
        ),
        (
            one("Secret"),
            vec![
                (200, json!({"kind": "Secret", "data": {"a": "b2xk"}})),
                (200, json!({"kind": "Secret", "data": {"a": "bmV3"}})),
            ],
            Verdict::Change(fields(&[".data.a: \"(secret)\" → \"(secret, changed)\""])),
        ),
    ];
    for (manifest, answers, expected) in table {
        assert_eq!(verdict(manifest, &answers), expected, "{answers:?}");
    }
}

#[test]
fn what_waits_for_another_is_said_to() {
    let definition = manifest(
        "CustomResourceDefinition",
        None,
        &json!({
        "apiVersion": "apiextensions.k8s.io/v1", "spec": {"group": "yard", "names": {"kind": "Hull"}}}),
    );
    let manifests = [
        manifest("Namespace", None, &json!({})),
        definition,
        manifest("ConfigMap", Some("a"), &json!({})),
        manifest("ConfigMap", Some("b"), &json!({})),
        manifest("Hull", None, &json!({"apiVersion": "yard/v1"})),
        manifest("Mast", None, &json!({"apiVersion": "yard/v1"})),
    ];
    let coming = Coming::new(&manifests);
    let unknown = |kind: &str| Error::UnknownKind {
        api_version: "yard/v1".to_owned(),
        kind: kind.to_owned(),
    };
    let missing = || {
        Error::Status(crate::kube::Status {
            code: 404,
            ..Default::default()
        })
    };
    let later =
        |what: &str| Verdict::Create(Some(format!("its {what} comes with these manifests")));
    assert_eq!(
        judge(&manifests[2].object, &missing(), &coming),
        later("namespace")
    );
    assert!(matches!(
        judge(&manifests[3].object, &missing(), &coming),
        Verdict::Refused(_)
    ));
    assert_eq!(
        judge(&manifests[4].object, &unknown("Hull"), &coming),
        later("kind")
    );
    assert!(matches!(
        judge(&manifests[5].object, &unknown("Mast"), &coming),
        Verdict::Refused(_)
    ));
}

#[test]
fn no_server_is_no_answer() {
    let server = Scripted::plain(vec![Answer(answer(200, KINDS)), Answer(answer(401, "{}"))]);
    let client = server.client(Options {
        retry: false,
        ..Options::default()
    });
    for _ in 0..2 {
        let error = objects(&client, &[manifest("ConfigMap", None, &json!({}))]).unwrap_err();
        assert!(
            error.to_string().contains("cannot ask the cluster"),
            "{error:#}"
        );
    }
}

#[test]
fn many_fields_are_counted() {
    let many = |value: &str| json!({"data": (0..30).map(|n| (n.to_string(), json!(value))).collect::<serde_json::Map<_, _>>()});
    let Verdict::Change(fields) = compare(many("a"), many("b")) else {
        panic!()
    };
    assert_eq!(fields.len(), MAX_FIELDS + 1);
    assert_eq!(fields.last().unwrap(), "and 10 more");
    let long = |end: &str| json!({"data": "x".repeat(100) + end});
    let Verdict::Change(fields) = compare(long("a"), long("b")) else {
        panic!()
    };
    assert!(fields[0].ends_with("x… and more differs"), "{fields:?}");
}
