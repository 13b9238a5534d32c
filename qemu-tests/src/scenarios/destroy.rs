//! A control plane is destroyed, by lines of shell that any image's tools can run.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::reboot::Host;
use crate::wait;

/// How long anything of it may take, on a free machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long nothing may come back.
const DEAD: Duration = Duration::from_secs(10);
/// How long nobody may lead: a checkpoint would after 30 s, if there were one (docs/checkpoints.md).
const ADRIFT: Duration = Duration::from_secs(45);

/// What ends everything that would bring a control plane back.
const STOP: &str = "systemctl stop slipway-checkpoint.service && systemctl stop kubelet.service";
/// What of it is started again, as a boot would: the first only where its condition holds.
const START: &str = "if [ -e /var/lib/slipway/assets/bootstrap-manifests ]; then \
    systemctl start slipway-checkpoint.service; fi; systemctl start kubelet.service";
/// Everything of the control plane's but etcd, and what the kubelet needs to start.
const EMPTY: &str = "cd /etc/kubernetes && find . -mindepth 1 -maxdepth 1 ! -name manifests ! -name etcd \
    ! -name kubelet ! -name kubeconfig ! -name ca.crt -exec rm -rf {} + && \
    find manifests -mindepth 1 ! -name etcd.yaml -delete";
/// What of the controllers alone a kubelet could start without an API.
const FORGET: &str = "cd /etc/kubernetes && for name in kube-controller-manager kube-scheduler; do \
    rm -rf manifests/kube-system-$name-* inactive-manifests/kube-system-$name-* \
    checkpoint-secrets/kube-system/$name-* checkpoint-configmaps/kube-system/$name-*; done";
/// Takes away folders that a kubelet makes for each of its pods when it first looks after it (`makePodDataDirs`), where
/// they are empty, and prints those that are left.
const UNKNOWN: &str = "rmdir /var/lib/kubelet/pods/*/plugins 2>/dev/null; \
    ls -d /var/lib/kubelet/pods/*/plugins 2>/dev/null || true";
const KNOWN: &str = "ls -d /var/lib/kubelet/pods/*/plugins 2>/dev/null || true";
/// etcd's own word over its door for metrics, which every node's kubelet asks for too.
const ETCD: &str =
    "exec 3<>/dev/tcp/127.0.0.1/2381; printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";
/// Sockets that listen at the API's port (192B), on any address.
const LISTENERS: &str = "grep -hE ':192B [0-9A-F]+:0000 0A ' /proc/net/tcp /proc/net/tcp6 || true";

/// Pods of the control plane, of its checkpoints and of the temporary one.
const ALL: &str =
    "^(bootstrap-)?(kube-apiserver|kube-controller-manager|kube-scheduler|pod-checkpointer)";
const CONTROLLERS: &str = "^(bootstrap-)?(kube-controller-manager|kube-scheduler)";

/// Whether the asset directory is lost too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assets {
    /// It stays.
    Kept,
    /// It is lost.
    Lost,
}

/// Everything of the control plane's goes but etcd: pods, files, checkpoints. Returns when it is proved that
/// nobody brings it back.
pub fn control_plane(host: &mut dyn Host, assets: Assets) -> Result<()> {
    host.shell(STOP)?;
    end(host, ALL)?;
    host.shell(EMPTY)?;
    if assets == Assets::Lost {
        host.shell("rm -rf /var/lib/slipway/assets")?;
    }
    let unknown = host.shell(UNKNOWN)?;
    host.shell(START)?;
    stays_dead(host, &unknown)
}

/// The API serves on, and nobody schedules or controls. Returns when it is proved that nobody will.
pub fn controllers(host: &mut dyn Host) -> Result<()> {
    host.shell(STOP)?;
    end(host, CONTROLLERS)?;
    host.shell(FORGET)?;
    for app in ["kube-controller-manager", "kube-scheduler"] {
        let label = format!("--selector=k8s-app={app}");
        let namespace = "--namespace=kube-system";
        let delete = [
            "delete",
            "pods",
            namespace,
            &label,
            "--force",
            "--grace-period=0",
        ];
        host.kubectl(&delete, "")?;
    }
    let unknown = host.shell(UNKNOWN)?;
    host.shell(START)?;
    is_synced(host, &unknown)?;
    nobody_controls(host)
}

/// Ends all containers of pods of kube-system by these names, and forgets them.
fn end(host: &mut dyn Host, pods: &str) -> Result<()> {
    let list = containers(pods);
    let ctr = "ctr --namespace=k8s.io";
    let end = format!(
        "for id in $({list}); do {ctr} tasks delete --force $id; {ctr} containers delete $id || exit 1; done"
    );
    host.shell(&end)?;
    let left = host.shell(&list)?;
    ensure!(left.trim().is_empty(), "containers are left: {left}");
    Ok(())
}

/// Prints the containers of pods by these names, sandboxes among them.
fn containers(pods: &str) -> String {
    let label = |name: &str| format!("labels.\"io.kubernetes.pod.{name}\"");
    let (namespace, name) = (label("namespace"), label("name"));
    format!(
        "ctr --namespace=k8s.io containers list --quiet '{namespace}==kube-system,{name}~=\"{pods}\"' 2>/dev/null"
    )
}

/// etcd answers and the kubelet knows its pods, and yet nobody listens at the API's port and no container of the
/// control plane comes. Where etcd is another machine's, the kubelet has nothing that it could know.
fn stays_dead(host: &mut dyn Host, unknown: &str) -> Result<()> {
    let manifests = host.shell("ls /etc/kubernetes/manifests")?;
    if manifests.trim().is_empty() {
        return wait::holds(DEAD, || is_dead(host));
    }
    let limit = PATIENCE * host.patience();
    wait::until("answer of etcd", limit, || etcd_answers(host))?;
    is_synced(host, unknown)?;
    wait::holds(DEAD, || is_dead(host))?;
    etcd_answers(host)
}

fn is_dead(host: &mut dyn Host) -> Result<()> {
    let listeners = host.shell(LISTENERS)?;
    ensure!(listeners.trim().is_empty(), "somebody listens: {listeners}");
    let containers = host.shell(&containers(ALL))?;
    ensure!(containers.trim().is_empty(), "these came: {containers}");
    Ok(())
}

fn etcd_answers(host: &mut dyn Host) -> Result<()> {
    let answer = host.shell(&format!("bash -c '{}'", ETCD.replace('\'', "\"")))?;
    ensure!(answer.contains(" 200 OK"), "etcd says {answer:?}");
    Ok(())
}

/// Waits until the kubelet that was started looks after pods: it has read its manifests.
fn is_synced(host: &mut dyn Host, unknown: &str) -> Result<()> {
    let limit = PATIENCE * host.patience();
    wait::until("look of the kubelet after its pods", limit, || {
        let known = host.shell(KNOWN)?;
        let new = known.lines().find(|pod| !unknown.contains(pod));
        ensure!(new.is_some(), "it knows {known:?}");
        Ok(())
    })
}

/// A Deployment that is made now gets neither a ReplicaSet nor a pod.
fn nobody_controls(host: &mut dyn Host) -> Result<()> {
    let labels = json!({ "app": "adrift" });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "adrift", "namespace": "default" },
        "spec": { "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": "adrift", "image": crate::payload::images::PROBER,
                "imagePullPolicy": "Never", "args": ["--serve=8080"] }] },
        } },
    });
    host.kubectl(&["create", "--filename=-"], &deployment.to_string())?;
    wait::holds(ADRIFT, || {
        for path in [
            "/apis/apps/v1/namespaces/default/replicasets",
            "/api/v1/namespaces/default/pods",
        ] {
            let made = host.list(path)?;
            ensure!(made.is_empty(), "somebody made {made:?}");
        }
        Ok(())
    })
}
