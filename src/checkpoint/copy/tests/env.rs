//! What becomes of an environment.

use super::*;

fn env(env: Value, env_from: Value) -> (Value, Copy) {
    let mut pod = pod(json!([]));
    pod["spec"]["serviceAccountName"] = json!("p");
    pod["spec"]["containers"][0]["env"] = env;
    pod["spec"]["containers"][0]["envFrom"] = env_from;
    let copy = world().copy(&pod);
    assert!(copy.manifest["spec"]["containers"][0]["envFrom"].is_null());
    (copy.manifest["spec"]["containers"][0]["env"].clone(), copy)
}

#[test]
fn variables_become_literal() {
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    let secret =
        |key: &str| json!({ "secretKeyRef": { "name": "s", "key": key, "optional": true } });
    let config =
        |key: &str| json!({ "configMapKeyRef": { "name": "c", "key": key, "optional": true } });
    for (from, expected) in [
        (secret("a"), Some("A")),
        (secret("z"), None),
        (config("a"), Some("1")),
        // What comes from an object is not expanded.
        (config("b"), Some("$$(A) $$")),
        (config("raw"), None),
        (
            json!({ "configMapKeyRef": { "name": "gone", "key": "a", "optional": true } }),
            None,
        ),
        (field("metadata.name"), Some("p-1")),
        (field("metadata.namespace"), Some("kube-system")),
        (field("metadata.uid"), Some("u-1")),
        (field("metadata.labels['app']"), Some("p")),
        (field("metadata.labels['none']"), Some("")),
        (field("metadata.annotations['note']"), Some("a\"b")),
        (field("spec.nodeName"), Some("node-a")),
        (field("spec.serviceAccountName"), Some("p")),
        (field("status.hostIP"), Some("192.0.2.1")),
        (field("status.hostIPs"), Some("192.0.2.1,2001:db8::1")),
        (field("status.podIP"), Some("192.0.2.1")),
        (field("status.podIPs"), Some("192.0.2.1")),
    ] {
        let (env, _) = env(json!([{ "name": "X", "valueFrom": from }]), json!(null));
        match expected {
            Some(value) => assert_eq!(env, json!([{ "name": "X", "value": value }]), "{from}"),
            None => assert!(env.is_null(), "{from}"),
        }
    }
}

#[test]
fn what_the_kubelet_works_out_stays() {
    let cpu =
        json!({ "name": "X", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu" } } });
    let plain = json!({ "name": "Y", "value": "$(X)" });
    let (env, _) = env(json!([cpu, plain]), json!([]));
    assert_eq!(env, json!([cpu, plain]));
    // On the pod network a checkpoint has another address than its pod.
    let mut pod = pod(json!([]));
    let address =
        json!([{ "name": "X", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }]);
    pod["spec"]["hostNetwork"] = json!(false);
    pod["spec"]["containers"][0]["env"] = address.clone();
    assert_eq!(
        world().copy(&pod).manifest["spec"]["containers"][0]["env"],
        address
    );
}

#[test]
fn whole_objects_come_first_the_later_one_wins() {
    let from = json!([
        { "secretRef": { "name": "s" } },
        { "configMapRef": { "name": "c" } },
        { "prefix": "P_", "configMapRef": { "name": "c" } },
        { "configMapRef": { "name": "gone", "optional": true } },
    ]);
    let (env, copy) = env(json!([{ "name": "a", "value": "own" }]), from);
    let pairs: Vec<_> = list(&env)
        .iter()
        .map(|item| (text(&item["name"]), text(&item["value"])))
        .collect();
    let expected = [
        ("P_a", "1"),
        ("P_b", "$$(A) $$"),
        ("a", "1"),
        ("b", "$$(A) $$"),
        ("a", "own"),
    ];
    assert_eq!(pairs, expected);
    assert_eq!(copy.notes.len(), 1, "{:?}", copy.notes);
    assert!(copy.notes[0].contains("the Secret s"));
}
