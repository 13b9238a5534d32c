//! One pod with everything, and what becomes of it. The rules of each room are in the modules below.

use serde_json::json;

use super::*;

mod activate;
mod cluster;
mod env;
mod refusals;
mod tokens;
mod volumes;

/// What a test gives besides the pod.
pub(super) struct World {
    pub workload: Workload,
    pub objects: BTreeMap<(ObjectKind, String), Value>,
    pub account: Option<Account>,
}

impl World {
    pub fn given<'a>(&'a self, pod: &'a Value) -> Given<'a> {
        Given {
            pod,
            workload: &self.workload,
            objects: &self.objects,
            account: self.account.as_ref(),
            authority: b"the node's authority",
            node: "node-a",
            loopback: "https://127.0.0.1:6443",
        }
    }

    pub fn copy(&self, pod: &Value) -> Copy {
        copy(&self.given(pod)).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Why there is no checkpoint of a pod.
    pub fn refusal(&self, pod: &Value) -> String {
        format!("{:#}", copy(&self.given(pod)).expect_err("refused"))
    }

    pub fn with(mut self, kind: ObjectKind, name: &str, object: Value) -> Self {
        self.objects.insert((kind, name.to_owned()), object);
        self
    }
}

/// A Secret `s` and a ConfigMap `c`, each with `a` and `b`; `c` has `raw` besides.
pub(super) fn world() -> World {
    let world = World {
        workload: Workload {
            namespace: "kube-system".into(),
            kind: "DaemonSet".into(),
            name: "p".into(),
        },
        objects: BTreeMap::new(),
        account: None,
    };
    let config_map =
        json!({ "data": { "a": "1", "b": "$(A) $" }, "binaryData": { "raw": "AP8=" } });
    world
        .with(
            ObjectKind::Secret,
            "s",
            json!({ "data": { "a": "QQ==", "b": "Qg==" } }),
        )
        .with(ObjectKind::ConfigMap, "c", config_map)
}

pub(super) fn account() -> Option<Account> {
    Some(Account {
        certificate: b"certificate".to_vec(),
        key: Secret::new(*b"key"),
    })
}

/// A pod of one container, with these volumes mounted at /VOLUME.
pub(super) fn pod(volumes: Value) -> Value {
    let mounts: Vec<_> = list(&volumes)
        .iter()
        .map(|volume| json!({ "name": volume["name"], "mountPath": format!("/{}", text(&volume["name"])) }))
        .collect();
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": "kube-system", "name": "p-1", "uid": "u-1", "resourceVersion": "7",
            "labels": { "app": "p", "pod-template-hash": "1", "controller-revision-hash": "2" },
            "annotations": { "checkpointer.alpha.coreos.com/checkpoint": "true", "note": "a\"b" },
            "ownerReferences": [{ "kind": "DaemonSet", "name": "p", "controller": true }],
        },
        "spec": {
            "hostNetwork": true,
            "containers": [{ "name": "main", "image": "i", "volumeMounts": mounts }],
        },
        "status": { "hostIP": "192.0.2.1", "hostIPs": [{ "ip": "192.0.2.1" }, { "ip": "2001:db8::1" }],
            "podIP": "192.0.2.1", "podIPs": [{ "ip": "192.0.2.1" }] },
    });
    pod["spec"]["volumes"] = volumes;
    pod
}

/// The files of a copy as text, by their path below the pod's folder.
pub(super) fn files(copy: &Copy) -> Vec<(String, String)> {
    let texts = copy.files.iter().map(|file| {
        let path = file.path.replace("/etc/kubernetes/checkpoint-", "");
        let path = path.replace("/kube-system/p-1/", "/");
        (
            path,
            String::from_utf8_lossy(file.bytes.expose()).into_owned(),
        )
    });
    texts.collect()
}

#[test]
fn what_the_api_and_the_scheduler_added_is_gone() {
    let mut pod = pod(json!([]));
    let spec = &mut pod["spec"];
    spec["serviceAccountName"] = json!("p");
    spec["serviceAccount"] = json!("p");
    spec["nodeName"] = json!("node-a");
    spec["affinity"] = json!({ "nodeAffinity": {} });
    spec["priorityClassName"] = json!("system-node-critical");
    spec["priority"] = json!(2000001000);
    spec["terminationGracePeriodSeconds"] = json!(100);
    spec["ephemeralContainers"] = json!([{ "name": "debug" }]);
    spec["readinessGates"] = json!([{ "conditionType": "x" }]);
    spec["initContainers"] = json!([{ "name": "init", "imagePullPolicy": "Never" }]);
    spec["tolerations"] = json!([{ "key": "a", "operator": "Exists" }]);
    spec["containers"][0]["imagePullPolicy"] = json!("Always");
    let copy = world().copy(&pod);
    assert_eq!(
        copy.manifest,
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "namespace": "kube-system", "name": "p-1", "labels": { "app": "p" },
                "annotations": {
                    "checkpointer.alpha.coreos.com/checkpoint-of": "p-1",
                    "slipway.dev/checkpoint-workload": "DaemonSet/p",
                    "slipway.dev/checkpoint-data": data_hash([].into_iter()),
                },
            },
            "spec": {
                "hostNetwork": true, "automountServiceAccountToken": false, "enableServiceLinks": false,
                "priorityClassName": "system-node-critical", "priority": 2000001000,
                "terminationGracePeriodSeconds": 100,
                "tolerations": [{ "key": "a", "operator": "Exists" }, { "operator": "Exists" }],
                "initContainers": [{ "name": "init", "imagePullPolicy": "Never" }],
                "containers": [{ "name": "main", "image": "i", "imagePullPolicy": "IfNotPresent", "volumeMounts": [] }],
                "volumes": [],
            },
        })
    );
    assert!(copy.notes.is_empty() && copy.files.is_empty());
}

#[test]
fn ports_of_the_host_network_are_not_taken_twice() {
    let ports = json!([{ "name": "door", "containerPort": 6443, "hostPort": 6443 }]);
    let mut pod = pod(json!([]));
    let container = &mut pod["spec"]["containers"][0];
    container["ports"] = ports.clone();
    container["livenessProbe"] = json!({ "httpGet": { "port": "door", "path": "/" } });
    container["lifecycle"] = json!({ "preStop": { "tcpSocket": { "port": "door" } } });
    let container = &world().copy(&pod).manifest["spec"]["containers"][0];
    assert!(container["ports"].is_null());
    assert_eq!(container["livenessProbe"]["httpGet"]["port"], 6443);
    assert_eq!(container["lifecycle"]["preStop"]["tcpSocket"]["port"], 6443);
    pod["spec"]["hostNetwork"] = json!(false);
    let container = &world().copy(&pod).manifest["spec"]["containers"][0];
    assert_eq!(container["ports"], ports);
    assert_eq!(container["livenessProbe"]["httpGet"]["port"], "door");
}

#[test]
fn images_that_needed_a_secret_are_told_of() {
    let mut pod = pod(json!([]));
    pod["spec"]["imagePullSecrets"] = json!([{ "name": "registry" }]);
    let copy = world().copy(&pod);
    assert!(copy.manifest["spec"]["imagePullSecrets"].is_null());
    assert!(
        copy.notes[0].contains("imagePullSecrets"),
        "{:?}",
        copy.notes
    );
    assert!(needs(&pod).is_empty());
}

#[test]
fn the_hash_of_the_data_minds_no_order() {
    let (a, b) = (("/a", &b"1"[..]), ("/b", &b"2"[..]));
    let hash = |files: [(&str, &[u8]); 2]| data_hash(files.into_iter());
    assert_eq!(hash([a, b]), hash([b, a]));
    assert_ne!(hash([a, b]), hash([("/a", b"2"), ("/b", b"1")]));
    assert_ne!(hash([a, b]), data_hash([a].into_iter()));
}

#[test]
fn which_objects_are_needed() {
    let mut pod = pod(json!([
        { "name": "v", "secret": { "secretName": "s", "optional": true } },
        { "name": "w", "configMap": { "name": "c" } },
        { "name": "x", "projected": { "sources": [{ "configMap": { "name": "kube-root-ca.crt" } }] } },
        { "name": "y", "projected": { "sources": [
            { "serviceAccountToken": { "path": "token" } }, { "configMap": { "name": "kube-root-ca.crt" } },
            { "secret": { "name": "t", "optional": true } }] } },
    ]));
    pod["spec"]["initContainers"] = json!([{ "name": "i", "env": [
        { "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "a" } } }] }]);
    pod["spec"]["containers"][0]["envFrom"] =
        json!([{ "configMapRef": { "name": "d", "optional": true } }]);
    let needs: Vec<_> = needs(&pod)
        .into_iter()
        .map(|need| (need.kind, need.name, need.optional))
        .collect();
    let expected = [
        (ObjectKind::Secret, "s", false),
        (ObjectKind::Secret, "t", true),
        (ObjectKind::ConfigMap, "c", false),
        (ObjectKind::ConfigMap, "d", true),
        (ObjectKind::ConfigMap, "kube-root-ca.crt", false),
    ];
    assert_eq!(
        needs,
        expected.map(|(kind, name, optional)| (kind, name.to_owned(), optional))
    );
}
