//! Which volume shows which files, where, and to whom.

use super::*;

#[test]
fn where_which_file_lies() {
    let optional = |name: &str| json!({ "secret": { "name": name, "optional": true } });
    for (volumes, expected) in [
        (
            json!([{ "name": "v", "secret": { "secretName": "s" } }]),
            &[("secrets/s/a", "A"), ("secrets/s/b", "B")][..],
        ),
        (
            json!([{ "name": "v", "configMap": { "name": "c" } }]),
            &[
                ("configmaps/c/a", "1"),
                ("configmaps/c/b", "$(A) $"),
                ("configmaps/c/raw", "\0\u{fffd}"),
            ],
        ),
        (
            json!([{ "name": "v", "secret": { "secretName": "s", "items": [{ "key": "b", "path": "x/./y/b" }] } }]),
            &[("secrets/s/x/y/b", "B")],
        ),
        (
            json!([{ "name": "v", "configMap": { "name": "c", "optional": true,
                "items": [{ "key": "z", "path": "z" }, { "key": "a", "path": "a" }] } }]),
            &[("configmaps/c/a", "1")],
        ),
        (
            json!([{ "name": "v", "secret": { "secretName": "gone", "optional": true } }]),
            &[],
        ),
        // The same object twice, or a volume of an object's name.
        (
            json!([{ "name": "v", "secret": { "secretName": "s", "items": [{ "key": "a", "path": "a" }] } },
                { "name": "w", "secret": { "secretName": "s", "items": [{ "key": "b", "path": "b" }] } }]),
            &[("secrets/v/a", "A"), ("secrets/w/b", "B")],
        ),
        (
            json!([{ "name": "v", "secret": { "secretName": "s", "items": [{ "key": "a", "path": "a" }] } },
                { "name": "s", "emptyDir": {} }]),
            &[("secrets/v/a", "A")],
        ),
        (
            json!([{ "name": "v", "projected": { "sources": [
                { "secret": { "name": "s", "items": [{ "key": "a", "path": "a" }] } }, optional("gone"),
                { "configMap": { "name": "c", "items": [{ "key": "a", "path": "a" }] } },
                { "clusterTrustBundle": { "name": "x", "path": "x", "optional": true } },
                { "downwardAPI": { "items": [{ "path": "n", "fieldRef": { "fieldPath": "metadata.namespace" } }] } },
            ] } }]),
            &[("secrets/v/a", "1"), ("secrets/v/n", "kube-system")],
        ),
        (
            json!([{ "name": "v", "downwardAPI": { "items": [
                { "path": "l", "fieldRef": { "fieldPath": "metadata.labels" } },
                { "path": "a", "fieldRef": { "fieldPath": "metadata.annotations['note']" } }] } }]),
            &[
                ("configmaps/v/a", "a\"b"),
                (
                    "configmaps/v/l",
                    "app=\"p\"\ncontroller-revision-hash=\"2\"\npod-template-hash=\"1\"",
                ),
            ],
        ),
    ] {
        let copy = world().copy(&pod(volumes.clone()));
        let expected: Vec<_> = expected
            .iter()
            .map(|(path, text)| (path.to_string(), text.to_string()))
            .collect();
        assert_eq!(files(&copy), expected, "{volumes}");
    }
}

#[test]
fn the_pod_mounts_the_folder() {
    let mut pod = pod(json!([
        { "name": "v", "secret": { "secretName": "s", "defaultMode": 420 } },
        { "name": "gone", "configMap": { "name": "gone", "optional": true } },
        { "name": "h", "hostPath": { "path": "/x" } },
    ]));
    pod["spec"]["containers"][0]["volumeMounts"] = json!([
        { "name": "v", "mountPath": "/v/a", "subPath": "a" }, { "name": "v", "mountPath": "/w/" },
        { "name": "h", "mountPath": "/w/h" }, { "name": "gone", "mountPath": "/gone" },
    ]);
    let copy = world().copy(&pod);
    let spec = &copy.manifest["spec"];
    let folder = "/etc/kubernetes/checkpoint-secrets/kube-system/p-1/s";
    assert_eq!(
        spec["volumes"],
        json!([
            { "name": "v", "hostPath": { "path": folder, "type": "Directory" } },
            { "name": "gone", "emptyDir": {} },
            { "name": "h", "hostPath": { "path": "/x" } },
        ])
    );
    // Something is mounted below /w, so that there the runtime must be able to make a folder.
    assert_eq!(
        spec["containers"][0]["volumeMounts"],
        json!([
            { "name": "v", "mountPath": "/v/a", "subPath": "a", "readOnly": true }, { "name": "v", "mountPath": "/w/" },
            { "name": "h", "mountPath": "/w/h" }, { "name": "gone", "mountPath": "/gone", "readOnly": true },
        ])
    );
}

#[test]
fn what_the_pod_executes_stays_a_program() {
    let (plain, program) = (0o600, 0o700);
    let items = |mode: Value| json!([{ "key": "a", "path": "x/a", "mode": mode }, { "key": "b", "path": "b" }]);
    let projected = |default: Value, mode: Value| {
        json!({ "name": "v", "projected": { "defaultMode": default, "sources": [
            { "configMap": { "name": "c", "items": items(mode) } }] } })
    };
    let field = json!({ "fieldPath": "metadata.name" });
    let of_none = json!(null);
    for (volume, expected) in [
        // Decimal, as the API writes octal modes: 0644, 0755, 0500, 0440, 0077.
        (
            json!({ "secret": { "secretName": "s", "defaultMode": 420 } }),
            vec![plain, plain],
        ),
        (
            json!({ "secret": { "secretName": "s", "defaultMode": 493 } }),
            vec![program, program],
        ),
        (
            json!({ "secret": { "secretName": "s" } }),
            vec![plain, plain],
        ),
        (
            json!({ "secret": { "secretName": "s", "defaultMode": 256, "items": items(json!(320)) } }),
            vec![plain, program],
        ),
        (
            json!({ "configMap": { "name": "c", "defaultMode": 493, "items": items(json!(288)) } }),
            vec![program, plain],
        ),
        (
            json!({ "configMap": { "name": "c", "defaultMode": 63, "items": items(of_none.clone()) } }),
            vec![plain, plain],
        ),
        (projected(json!(420), json!(493)), vec![plain, program]),
        (
            projected(json!(493), of_none.clone()),
            vec![program, program],
        ),
        (
            json!({ "downwardAPI": { "defaultMode": 420, "items": [
                { "path": "p", "fieldRef": field, "mode": 493 }, { "path": "q", "fieldRef": field }] } }),
            vec![program, plain],
        ),
    ] {
        let mut volume = volume;
        volume["name"] = json!("v");
        let mut pod = pod(json!([volume]));
        // Part of a volume is the same file.
        pod["spec"]["containers"][0]["volumeMounts"][0]["subPath"] = json!("x/a");
        let copy = world().copy(&pod);
        let modes: Vec<_> = copy.files.iter().map(|file| file.mode).collect();
        assert_eq!(modes, expected, "{volume}");
        assert_eq!(
            copy.manifest["spec"]["containers"][0]["volumeMounts"][0]["subPath"],
            "x/a"
        );
    }
}

#[test]
fn whose_the_files_are() {
    for (shared, own, expected) in [
        (json!({}), json!({}), None),
        (json!({ "runAsUser": 0 }), json!({}), Some((0, 0))),
        (
            json!({ "runAsUser": 7, "fsGroup": 8 }),
            json!({}),
            Some((7, 8)),
        ),
        (
            json!({ "runAsUser": 7, "runAsGroup": 9, "fsGroup": 8 }),
            json!({}),
            Some((7, 9)),
        ),
        (
            json!({ "runAsUser": 7, "runAsGroup": 9 }),
            json!({ "runAsUser": 1, "runAsGroup": 2 }),
            Some((1, 2)),
        ),
    ] {
        let mut pod = pod(json!([{ "name": "v", "secret": { "secretName": "s" } }]));
        pod["spec"]["securityContext"] = shared.clone();
        pod["spec"]["containers"][0]["securityContext"] = own;
        let copy = world().copy(&pod);
        assert!(
            copy.files.iter().all(|file| file.owner == expected),
            "{shared}"
        );
    }
}

#[test]
fn a_volume_is_one_users() {
    let mut pod = pod(json!([{ "name": "v", "secret": { "secretName": "s" } }]));
    let mut other = pod["spec"]["containers"][0].clone();
    other["name"] = json!("other");
    other["securityContext"] = json!({ "runAsUser": 7 });
    pod["spec"]["initContainers"] = json!([other]);
    let refusal = world().refusal(&pod);
    assert!(
        refusal.contains("other (user 7), main (user 0)"),
        "{refusal}"
    );
    pod["spec"]["containers"][0]["volumeMounts"] = json!([]);
    assert_eq!(world().copy(&pod).files[0].owner, Some((7, 0)));
}

#[test]
fn the_kubelet_tells_of_resources() {
    let volume = json!({ "name": "v", "downwardAPI": { "items": [
        { "path": "cpu", "resourceFieldRef": { "resource": "limits.cpu", "containerName": "main" } }] } });
    let copy = world().copy(&pod(json!([volume])));
    assert_eq!(copy.manifest["spec"]["volumes"][0], volume);
    assert!(copy.notes[0].contains("resources"));
}
