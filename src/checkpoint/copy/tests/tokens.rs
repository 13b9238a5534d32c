//! Certificates in place of tokens, and the kubeconfigs that use them.

use super::*;

const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the API server adds to a pod.
pub(in super::super) fn injected() -> Value {
    json!({ "name": "kube-api-access-x", "projected": { "defaultMode": 420, "sources": [
        { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [
            { "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } }] } },
    ] } })
}

fn with_token(kubeconfig: &str) -> (World, Value) {
    let mut world = world().with(
        ObjectKind::ConfigMap,
        "k",
        json!({ "data": { "kubeconfig": kubeconfig } }),
    );
    world.account = account();
    let mut pod = pod(json!([{ "name": "k", "configMap": { "name": "k" } }, injected()]));
    pod["spec"]["containers"][0]["volumeMounts"][1]["mountPath"] = json!(MOUNT);
    (world, pod)
}

fn kubeconfig() -> String {
    format!(
        "clusters:\n- {{name: c, cluster: {{server: 'https://192.0.2.1:6443', certificate-authority: {MOUNT}/ca.crt}}}}\n\
         - {{name: d, cluster: {{server: 'https://192.0.2.9'}}}}\nkind: Config\n\
         contexts: [{{name: x, context: {{cluster: c, user: u}}}}, {{name: y, context: {{cluster: d, user: v}}}}]\n\
         users:\n- {{name: u, user: {{tokenFile: {MOUNT}/token}}}}\n- {{name: v, user: {{tokenFile: /elsewhere}}}}\n"
    )
}

#[test]
fn a_certificate_stands_where_the_token_was() {
    let (world, pod) = with_token(&kubeconfig());
    let copy = world.copy(&pod);
    let expected = [
        ("ca.crt", "the node's authority"),
        ("client.crt", "certificate"),
        ("client.key", "key"),
        ("namespace", "kube-system"),
    ];
    let expected =
        expected.map(|(name, text)| (format!("secrets/kube-api-access-x/{name}"), text.to_owned()));
    assert_eq!(files(&copy)[1..], expected);
    assert!(copy.files.iter().all(|file| file.mode == 0o600));
    assert!(copy.notes.is_empty(), "{:?}", copy.notes);
}

#[test]
fn its_kubeconfig_uses_the_certificate_and_the_nodes_own_door() {
    for (on_host_network, server) in [
        (true, "https://127.0.0.1:6443"),
        (false, "https://192.0.2.1:6443"),
    ] {
        let (world, mut pod) = with_token(&kubeconfig());
        pod["spec"]["hostNetwork"] = json!(on_host_network);
        let (_, text) = files(&world.copy(&pod)).remove(0);
        let config = crate::config::yaml::documents(&text).unwrap().remove(0);
        let users = json!([
            { "name": "u", "user": { "client-certificate": format!("{MOUNT}/client.crt"),
                "client-key": format!("{MOUNT}/client.key") } },
            { "name": "v", "user": { "tokenFile": "/elsewhere" } },
        ]);
        assert_eq!(config["users"], users);
        assert_eq!(config["clusters"][0]["cluster"]["server"], server);
        assert_eq!(
            config["clusters"][0]["cluster"]["certificate-authority"],
            format!("{MOUNT}/ca.crt")
        );
        assert_eq!(
            config["clusters"][1]["cluster"]["server"],
            "https://192.0.2.9"
        );
    }
}

#[test]
fn a_token_that_no_kubeconfig_uses_is_told_of() {
    for (text, notes) in [
        ("no kubeconfig".to_owned(), 1),
        (format!("a script that reads {MOUNT}/token"), 2),
        (kubeconfig().replace("kind: Config", "kind: Other"), 2),
    ] {
        let (world, pod) = with_token(&text);
        let copy = world.copy(&pod);
        assert_eq!(files(&copy)[0].1, text);
        assert_eq!(copy.notes.len(), notes, "{:?}", copy.notes);
        assert!(
            copy.notes
                .iter()
                .any(|note| note.contains("volume kube-api-access-x"))
        );
    }
}

#[test]
fn nothing_secret_is_printed() {
    let (world, pod) = with_token(&kubeconfig());
    let printed = format!("{:?}", world.copy(&pod));
    assert!(
        !printed.contains("192.0.2.1:6443") && !printed.contains("\"key\""),
        "{printed}"
    );
}
