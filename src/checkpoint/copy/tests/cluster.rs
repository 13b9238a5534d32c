//! The checkpoints of a rendered cluster's own control plane.

use std::time::SystemTime;

use super::tokens::injected;
use super::*;
use crate::assets::Assets;
use crate::checkpoint::decide::Role;
use crate::checkpoint::form;
use crate::checkpoint::workload::workload_of;
use crate::start::plane;
use crate::{config, kube, pki, render};

const NAMESPACE: &str = "kube-system";

fn manifests() -> Vec<Value> {
    let text = b"apiVersion: slipway.dev/v1alpha1\nkind: Machine\ncontrolPlane: self-hosted\n\
        node: {name: node-a, address: 192.0.2.1}\ncluster: {name: harbour}\n\
        api: {endpoint: api.example.com}\ncheckpoints: {also: [kube-proxy, flannel]}\n";
    let machine = config::parse(text).unwrap();
    let (given, earlier) = (pki::Given::default(), Assets::default());
    let (secrets, _) = pki::ensure(&machine, &given, &earlier, SystemTime::now()).unwrap();
    let assets = render::render(&machine, &secrets).unwrap();
    let manifests = plane::manifests(&assets).unwrap().into_iter();
    manifests.map(|manifest| manifest.object).collect()
}

/// The pod that the API makes of a workload's template.
fn pod_of(workload: &Value) -> Value {
    let template = &workload["spec"]["template"];
    let name = text(&workload["metadata"]["name"]);
    let (owner, owner_kind, hash) = match workload["kind"] == "Deployment" {
        true => (format!("{name}-5f6"), "ReplicaSet", "pod-template-hash"),
        false => (name.to_owned(), "DaemonSet", "controller-revision-hash"),
    };
    let mut pod = template.clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    let metadata = &mut pod["metadata"];
    metadata["namespace"] = json!(NAMESPACE);
    metadata["name"] = json!(format!("{owner}-abcde"));
    metadata["uid"] = json!("1-2-3");
    metadata["labels"][hash] = json!("5f6");
    metadata["managedFields"] = json!([{ "manager": "kubelet" }]);
    metadata["ownerReferences"] =
        json!([{ "kind": owner_kind, "name": owner, "controller": true }]);
    admit(&mut pod["spec"]);
    pod["status"] =
        json!({ "hostIP": "192.0.2.1", "hostIPs": [{ "ip": "192.0.2.1" }], "podIP": "192.0.2.1" });
    pod
}

/// What admission, defaults and the scheduler add.
fn admit(spec: &mut Value) {
    spec["nodeName"] = json!("node-a");
    spec["schedulerName"] = json!("default-scheduler");
    spec["priority"] = json!(2000001000);
    spec["preemptionPolicy"] = json!("PreemptLowerPriority");
    spec["enableServiceLinks"] = json!(true);
    spec["dnsPolicy"] = json!("ClusterFirst");
    spec["imagePullSecrets"] = json!([]);
    if spec["serviceAccountName"].is_null() {
        spec["serviceAccountName"] = json!("default");
    }
    spec["serviceAccount"] = spec["serviceAccountName"].clone();
    if spec["automountServiceAccountToken"] != false {
        let mount = json!({ "name": "kube-api-access-x", "readOnly": true,
            "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" });
        spec["volumes"].as_array_mut().unwrap().push(injected());
        spec["containers"][0]["volumeMounts"]
            .as_array_mut()
            .unwrap()
            .push(mount);
    }
}

/// The cluster's checkpoint of one component, with these arguments in place of those that it has.
fn checkpoint(manifests: &[Value], name: &str, arguments: &Value) -> Copy {
    let mut pod = pod_of(workload(manifests, name));
    pod["metadata"]["annotations"][ARGUMENTS] = json!(arguments.to_string());
    copy_of(manifests, &pod)
}

fn workload<'a>(manifests: &'a [Value], name: &str) -> &'a Value {
    let found = manifests.iter().find(|object| {
        object["spec"]["template"].is_object() && object["metadata"]["name"] == name
    });
    found.unwrap()
}

fn copy_of(manifests: &[Value], pod: &Value) -> Copy {
    let mut world = world();
    world.account = account();
    world.workload = workload_of(pod);
    for need in needs(pod) {
        let object = manifests.iter().find(|object| {
            object["kind"] == need.kind.to_string() && object["metadata"]["name"] == *need.name
        });
        world = world.with(need.kind, &need.name, object.unwrap().clone());
    }
    world.copy(pod)
}

/// Every key of a tree.
fn keys(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            found.push(key.clone());
            keys(value, found);
        }),
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

/// The kubelet's own rule, more coarsely: nothing that could name an object stands anywhere.
fn assert_names_no_object(pod: &Value) {
    let mut found = Vec::new();
    keys(pod, &mut found);
    for key in [
        "configMap",
        "configMapKeyRef",
        "configMapRef",
        "fieldRef",
        "imagePullSecrets",
        "nodeName",
        "ownerReferences",
        "projected",
        "resourceClaims",
        "secret",
        "secretKeyRef",
        "secretRef",
        "serviceAccount",
        "serviceAccountName",
        "serviceAccountToken",
        "status",
        "uid",
    ] {
        assert!(!found.iter().any(|found| found == key), "{key}: {pod}");
    }
}

#[test]
fn the_api_servers_checkpoint() {
    let manifests = manifests();
    let copy = checkpoint(
        &manifests,
        "kube-apiserver",
        &json!([
            "--bind-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            "--shutdown-delay-duration=0s"
        ]),
    );
    let (file, pod) = activate(&copy.manifest, false).unwrap();
    assert_eq!(file, "kube-system-kube-apiserver-abcde.json");
    assert_names_no_object(&pod);
    let container = &pod["spec"]["containers"][0];
    let args: Vec<_> = list(&container["args"]).iter().map(text).collect();
    for argument in [
        "--bind-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        "--shutdown-delay-duration=0s",
    ] {
        let (flag, _) = argument.split_once('=').unwrap();
        let same: Vec<_> = args
            .iter()
            .filter(|other| other.starts_with(&format!("{flag}=")))
            .collect();
        assert_eq!(same, [&argument]);
    }
    assert_eq!(
        container["env"],
        json!([{ "name": "HOST_IP", "value": "192.0.2.1" }, { "name": "GODEBUG", "value": "multipathtcp=0" }])
    );
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        assert_eq!(container[probe]["httpGet"]["host"], "127.0.0.1");
        assert_eq!(container[probe]["httpGet"]["port"], 6443);
    }
    let folder =
        "/etc/kubernetes/checkpoint-secrets/kube-system/kube-apiserver-abcde/kube-apiserver";
    assert_eq!(pod["spec"]["volumes"][0]["hostPath"]["path"], folder);
    for file in ["apiserver.key", "etcd-client.crt", "service-account.key"] {
        assert!(
            copy.files
                .iter()
                .any(|found| found.path == format!("{folder}/{file}")),
            "{file}"
        );
    }
    let user = pod["spec"]["securityContext"]["runAsUser"]
        .as_u64()
        .unwrap();
    let user = u32::try_from(user).unwrap();
    assert!(
        copy.files
            .iter()
            .all(|file| file.owner == Some((user, user)))
    );
    assert!(copy.notes.is_empty(), "{:?}", copy.notes);
}

#[test]
fn the_leaders_checkpoints() {
    let manifests = manifests();
    for name in ["kube-controller-manager", "kube-scheduler"] {
        let copy = checkpoint(&manifests, name, &json!(["--secure-port=11111"]));
        let (_, pod) = activate(&copy.manifest, false).unwrap();
        assert_names_no_object(&pod);
        let annotations = &pod["metadata"]["annotations"];
        assert_eq!(
            annotations["slipway.dev/checkpoint-workload"],
            format!("Deployment/{name}")
        );
        let probe = &pod["spec"]["containers"][0]["livenessProbe"]["httpGet"];
        assert_eq!(
            (&probe["host"], &probe["port"]),
            (&json!("127.0.0.1"), &json!(11111))
        );
        assert!(copy.notes.is_empty(), "{:?}", copy.notes);
        assert_uses_its_certificate_at_home(&copy);
    }
}

#[test]
fn the_add_ons_checkpoints() {
    let manifests = manifests();
    for (name, port) in [("kube-proxy", 10356), ("kube-flannel", 8082)] {
        let pod = pod_of(workload(&manifests, name));
        let copy = copy_of(&manifests, &pod);
        assert!(copy.notes.is_empty(), "{name}: {:?}", copy.notes);
        assert_uses_its_certificate_at_home(&copy);
        let (_, active) = activate(&copy.manifest, false).unwrap();
        assert_names_no_object(&active);
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            let ports =
                [&pod, &active].map(|pod| &pod["spec"]["containers"][0][probe]["httpGet"]["port"]);
            assert_ne!(ports[0], ports[1]);
            assert_eq!(ports[1], port);
        }
        let container = &active["spec"]["containers"][0];
        let kubeconfig = "/etc/kubernetes/kubeconfig-in-cluster";
        let mounts = list(&container["volumeMounts"]).iter();
        assert!(
            mounts
                .into_iter()
                .any(|mount| mount["mountPath"] == kubeconfig)
        );
        let args = container["args"].to_string();
        assert!(
            args.contains(&format!("={kubeconfig}/kubeconfig\"")),
            "{args}"
        );
        let env = list(&container["env"]);
        assert!(env.contains(&json!({ "name": "NODE_NAME", "value": "node-a" })));
        assert_eq!(form::role(&copy.manifest), Role::Agent);
        assert_eq!(form::role(&active), Role::Agent);
    }
}

/// What the program reads, our own client reads too.
fn assert_uses_its_certificate_at_home(copy: &Copy) {
    let kubeconfig = copy
        .files
        .iter()
        .find(|file| file.path.ends_with("/kubeconfig-in-cluster/kubeconfig"));
    let text = String::from_utf8(kubeconfig.unwrap().bytes.expose().to_vec()).unwrap();
    kube::kubeconfig::parse(text.as_bytes()).unwrap();
    assert!(text.contains("server: https://127.0.0.1:6443"), "{text}");
    assert!(
        text.contains("/serviceaccount/client.crt") && !text.contains("tokenFile"),
        "{text}"
    );
    assert!(copy.files.iter().all(|file| !file.path.ends_with("/token")));
}
