//! From the kept checkpoint to the static pod.

use super::*;

fn kept(mut container: Value, annotations: Value) -> Value {
    container["name"] = json!("main");
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "namespace": "kube-system", "name": "p-1", "labels": {} },
        "spec": { "containers": [null, { "name": "other", "args": ["--a=0"] }] },
    });
    pod["metadata"]["annotations"] = annotations;
    pod["spec"]["containers"][0] = container;
    pod
}

#[test]
fn arguments_replace_those_of_the_same_flag() {
    for (container, new, closed, expected) in [
        (
            json!({ "args": ["--a=1", "--b=2"] }),
            "[\"--a=9\"]",
            "[]",
            json!({ "args": ["--a=9", "--b=2"] }),
        ),
        (
            json!({ "args": ["--b=2", "--a=1", "--ab=1", "--a=3"] }),
            "[\"--a=9\"]",
            "[]",
            json!({ "args": ["--b=2", "--a=9", "--ab=1"] }),
        ),
        (
            json!({ "command": ["x", "--a=1"], "args": ["--a=2"] }),
            "[\"--a=8\",\"--a=9\"]",
            "[]",
            json!({ "command": ["x", "--a=8", "--a=9"], "args": [] }),
        ),
        (
            json!({ "command": ["x"] }),
            "[\"--a=9\"]",
            "[]",
            json!({ "command": ["x"], "args": ["--a=9"] }),
        ),
        (
            json!({ "args": ["--a=1"] }),
            "[\"--a=2\"]",
            "[\"--a=3\",\"--c\"]",
            json!({ "args": ["--a=3", "--c"] }),
        ),
        (json!({}), "[]", "[]", json!({})),
    ] {
        let kept = kept(
            container,
            json!({ ARGUMENTS: new, ARGUMENTS_CLOSED: closed }),
        );
        let (_, mut pod) = super::super::activate(&kept, true).unwrap();
        let container = pod["spec"]["containers"][0].as_object_mut().unwrap();
        container.remove("name");
        assert_eq!(Value::Object(container.clone()), expected);
        assert_eq!(pod["spec"]["containers"][1]["args"], json!(["--a=0"]));
        assert_eq!(pod["metadata"]["annotations"], json!({}));
    }
}

#[test]
fn probes_ask_where_it_listens() {
    let probe = |host: Value, port: u16| match host {
        Value::Null => json!({ "httpGet": { "path": "/livez", "port": port } }),
        host => json!({ "httpGet": { "path": "/livez", "port": port, "host": host } }),
    };
    let (none, loopback) = (json!(null), json!("127.0.0.1"));
    for (args, new, before, after) in [
        (
            json!(["--bind-address=0.0.0.0", "--secure-port=6443"]),
            json!(["--bind-address=127.0.0.1"]),
            probe(none.clone(), 6443),
            probe(loopback.clone(), 6443),
        ),
        (
            json!(["--bind-address=127.0.0.1", "--secure-port=1"]),
            json!(["--secure-port=2"]),
            probe(loopback.clone(), 1),
            probe(loopback.clone(), 2),
        ),
        (
            json!(["--bind-address=127.0.0.1", "--secure-port=1"]),
            json!(["--bind-address=0.0.0.0", "--secure-port=2"]),
            probe(loopback.clone(), 1),
            probe(none.clone(), 2),
        ),
        // Another listener of the same container.
        (
            json!(["--bind-address=0.0.0.0", "--secure-port=1"]),
            json!(["--bind-address=127.0.0.1", "--secure-port=2"]),
            probe(none.clone(), 8080),
            probe(none.clone(), 8080),
        ),
        // No port is told: whatever is probed is it.
        (
            json!(["--x=1"]),
            json!(["--bind-address=127.0.0.1"]),
            probe(none.clone(), 6443),
            probe(loopback, 6443),
        ),
    ] {
        let container = json!({ "args": args, "livenessProbe": before, "startupProbe": before });
        let kept = kept(container, json!({ ARGUMENTS: new.to_string() }));
        let (_, pod) = super::super::activate(&kept, false).unwrap();
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["livenessProbe"], after, "{args} {new}");
        assert_eq!(container["startupProbe"], after);
    }
}

#[test]
fn another_content_another_name() {
    let name = |kept: &Value, closed: bool| {
        let (file, pod) = super::super::activate(kept, closed).unwrap();
        assert_eq!(file, "kube-system-p-1.json");
        text(&pod["metadata"]["name"]).to_owned()
    };
    let plain = kept(
        json!({ "args": ["--a=1"] }),
        json!({ DATA: "1", ARGUMENTS: "[\"--a=2\"]" }),
    );
    let hash = name(&plain, false);
    let digits = hash.strip_prefix("p-1-").unwrap();
    assert!(
        digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit()),
        "{hash}"
    );
    // Where both variants are alike, they are one pod.
    assert_eq!(hash, name(&plain, true));
    let mut other = plain.clone();
    other["metadata"]["annotations"][ARGUMENTS_CLOSED] = json!("[\"--a=3\"]");
    assert_eq!(hash, name(&other, false));
    assert_ne!(hash, name(&other, true));
    let mut other = plain;
    other["metadata"]["annotations"][DATA] = json!("2");
    assert_ne!(hash, name(&other, false));
}

#[test]
fn a_long_name_leaves_room_for_the_nodes() {
    let mut kept = kept(json!({}), json!({}));
    kept["metadata"]["name"] = format!("{}-{}", "a".repeat(179), "b".repeat(73)).into();
    let (_, pod) = super::super::activate(&kept, false).unwrap();
    let name = text(&pod["metadata"]["name"]);
    assert_eq!(name.len(), 179 + 9);
    assert!(name[..180].ends_with("a-"));
}

#[test]
fn what_is_broken_is_named() {
    for (kept, expected) in [
        (
            kept(json!({ "args": [] }), json!({ ARGUMENTS: "--a=1" })),
            "must be a JSON list",
        ),
        (
            kept(json!({ "args": [] }), json!({ ARGUMENTS: "[\"a=1\"]" })),
            "\"a=1\"",
        ),
        (
            kept(json!({}), json!({ ARGUMENTS: "[\"--a=1\"]" })),
            "the image's own arguments",
        ),
        (
            json!({ "metadata": { "namespace": "n", "name": "p" } }),
            "no container",
        ),
        (json!([1]), "no proper name"),
        (
            json!({ "metadata": { "namespace": "n", "name": "../p" } }),
            "no proper name",
        ),
    ] {
        let error = format!("{:#}", super::super::activate(&kept, false).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}
