//! What is refused, and that the reason names it.

use super::*;

#[test]
fn volumes_that_need_the_api_or_lead_elsewhere() {
    let secret = |items: Value| json!({ "secret": { "secretName": "s", "items": items } });
    let item = |key: &str, path: &str| json!({ "key": key, "path": path });
    for (volume, expected) in [
        (
            json!({ "persistentVolumeClaim": { "claimName": "x" } }),
            "persistentVolumeClaim",
        ),
        (json!({ "csi": { "driver": "x" } }), "\"csi\""),
        (json!({ "ephemeral": {} }), "ephemeral"),
        (json!({}), "kind \"\""),
        (json!({ "secret": { "secretName": "gone" } }), "Secret gone"),
        (json!({ "configMap": { "name": "gone" } }), "ConfigMap gone"),
        (
            json!({ "secret": { "secretName": "token" } }),
            "token of a ServiceAccount",
        ),
        (
            json!({ "secret": { "secretName": "broken" } }),
            "not base64",
        ),
        (secret(json!([item("z", "z")])), "no key z"),
        (secret(json!([item("a", "../a")])), "leads out"),
        (secret(json!([item("a", "/a")])), "leads out"),
        (secret(json!([item("a", "x/../../a")])), "leads out"),
        (secret(json!([item("a", ".")])), "leads out"),
        (
            secret(json!([item("a", "x"), item("b", "x/y")])),
            "x is a file and the folder",
        ),
        (
            json!({ "projected": { "sources": [{ "podCertificate": {} }] } }),
            "podCertificate",
        ),
        (
            json!({ "projected": { "sources": [{ "clusterTrustBundle": { "path": "x" } }] } }),
            "clusterTrustBundle",
        ),
        (
            json!({ "downwardAPI": { "items": [{ "path": "x", "fieldRef": { "fieldPath": "spec.nodeName" } }] } }),
            "spec.nodeName",
        ),
        (
            json!({ "projected": { "sources": [{ "downwardAPI": { "items": [
            { "path": "x", "resourceFieldRef": { "resource": "limits.cpu" } }] } }] } }),
            "resources",
        ),
        (
            json!({ "projected": { "sources": [{ "serviceAccountToken": { "path": "token" } }] } }),
            "no client certificate for system:serviceaccount:kube-system:default",
        ),
    ] {
        let mut volume = volume;
        volume["name"] = json!("v");
        let token =
            json!({ "type": "kubernetes.io/service-account-token", "data": { "token": "QQ==" } });
        let world = world().with(ObjectKind::Secret, "token", token).with(
            ObjectKind::Secret,
            "broken",
            json!({ "data": { "a": "secret!" } }),
        );
        let refusal = world.refusal(&pod(json!([volume])));
        assert!(refusal.contains(expected), "{refusal}");
        assert!(
            refusal.contains("kube-system/p-1") && !refusal.contains("secret!"),
            "{refusal}"
        );
    }
}

#[test]
fn pods_that_need_the_api() {
    for (pointer, value, expected) in [
        ("/spec/runtimeClassName", json!("kata"), "RuntimeClass kata"),
        (
            "/spec/resourceClaims",
            json!([{ "name": "gpu" }]),
            "ResourceClaim gpu",
        ),
        (
            "/spec/containers/0/resources",
            json!({ "claims": [{ "name": "gpu" }] }),
            "ResourceClaim gpu",
        ),
        ("/spec/containers", json!([]), "no containers"),
        ("/metadata/name", json!("../p"), "no name for a folder"),
        (
            "/spec/securityContext",
            json!({ "runAsNonRoot": true }),
            "runAsUser",
        ),
        (
            "/spec/securityContext",
            json!({ "runAsUser": -1 }),
            "no number",
        ),
        (
            "/spec/containers/0/env",
            json!([{ "name": "X", "valueFrom": { "otherRef": {} } }]),
            "otherRef",
        ),
        (
            "/spec/containers/0/env",
            json!([{ "name": "X", "valueFrom": { "secretKeyRef": { "name": "s", "key": "z" } } }]),
            "no key z",
        ),
        (
            "/spec/containers/0/env",
            json!([{ "name": "X", "valueFrom": { "secretKeyRef": { "name": "raw", "key": "a" } } }]),
            "no UTF-8",
        ),
        (
            "/spec/containers/0/env",
            json!([{ "name": "X", "valueFrom": { "fieldRef": { "fieldPath": "spec.x" } } }]),
            "spec.x",
        ),
        (
            "/metadata/annotations",
            json!({ ARGUMENTS_CLOSED: "--a=1" }),
            "JSON list",
        ),
        (
            "/spec/containers/0/envFrom",
            json!([{ "configMapRef": { "name": "gone" } }]),
            "ConfigMap gone",
        ),
    ] {
        let mut pod = pod(json!([{ "name": "v", "secret": { "secretName": "s" } }]));
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key] = value;
        let world = world().with(
            ObjectKind::Secret,
            "raw",
            json!({ "data": { "a": "/w==" } }),
        );
        let refusal = world.refusal(&pod);
        assert!(refusal.contains(expected), "{refusal}");
    }
}
