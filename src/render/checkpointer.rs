//! The pod checkpointer in its first form: it lets nodes in and approves their serving certificates. Checkpoints
//! are not written yet, so unlike the original it needs no host folder, no root and no Secrets.

use anyhow::Result;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};

use super::apiserver::{Stage, control_plane_nodes};
use super::kubeconfig::{self, IN_CLUSTER};
use super::objects::{
    Door, bind, cluster_meta, config_map_volume, confined, networks, probe, requests, rule,
    service_account, strings, tolerate_everything, unprivileged,
};
use super::{Output, images, workload};
use crate::config::Machine;
use crate::config::machine::AltName;
use crate::pki;

/// Its workload, and its user.
pub const NAME: &str = "pod-checkpointer";
/// A user of its own: on the host network, the control plane's could share the API server's port.
const UID: i64 = 65531;
/// Where it tells whether it is ready; nobody else can reach it there.
const DOOR: Door<'_> = Door {
    scheme: "HTTP",
    host: Some(LOOPBACK),
    port: 10260,
};
const LOOPBACK: &str = "127.0.0.1";
const GROUP: &str = "certificates.k8s.io";

pub fn render(out: &mut Output, machine: &Machine) -> Result<()> {
    out.manifest(
        "manifests/pod-checkpointer.yaml",
        "Lets nodes join, and approves the serving certificates of their kubelets. Changed from the\n\
         original: no root, no host folders and no Secrets, because it writes no checkpoints yet.",
        &daemon_set(machine),
    )?;
    out.manifest(
        "manifests/pod-checkpointer-sa.yaml",
        "The checkpointer's own user.",
        &service_account(NAME),
    )?;
    out.manifest(
        "manifests/pod-checkpointer-role.yaml",
        "What the checkpointer may do. Changed from the original: requests of kubelets instead of every\n\
         Secret and ConfigMap of kube-system; a ClusterRole, because requests lie in no namespace.",
        &role(),
    )?;
    out.manifest(
        "manifests/pod-checkpointer-role-binding.yaml",
        "Gives it that role.",
        &bind(NAME, NAME, NAME),
    )
}

fn daemon_set(machine: &Machine) -> DaemonSet {
    let pod = PodSpec {
        containers: vec![container(machine)],
        // It works before the pod network does.
        host_network: Some(true),
        node_selector: Some(control_plane_nodes()),
        priority_class_name: Some("system-node-critical".into()),
        security_context: Some(unprivileged(UID)),
        service_account_name: Some(NAME.into()),
        tolerations: Some(tolerate_everything()),
        volumes: Some(vec![config_map_volume(IN_CLUSTER, IN_CLUSTER)]),
        ..Default::default()
    };
    workload::daemon_set(NAME, NAME, pod)
}

fn container(machine: &Machine) -> Container {
    Container {
        name: NAME.into(),
        image: Some(images::of(machine, "slipway")),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(strings(&["/usr/bin/slipway", "checkpoint", "cluster"])),
        args: Some(arguments(machine)),
        // Not ready is told, not punished: it asks an API server that is away again by itself.
        readiness_probe: Some(probe(DOOR, "/readyz", 10, 3)),
        resources: Some(requests("10m", "16Mi")),
        security_context: Some(confined()),
        volume_mounts: kubeconfig::mount(Stage::SelfHosted).map(|mount| vec![mount]),
        ..Default::default()
    }
}

/// The policy: whose certificates, for which addresses, and not for the API server's.
fn arguments(machine: &Machine) -> Vec<String> {
    let nodes = &machine.nodes;
    let kubeconfig = kubeconfig::path(NAME, Stage::SelfHosted);
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for name in pki::api_names(machine) {
        match name {
            AltName::Dns(name) => names.push(name),
            AltName::Ip(address) => addresses.push(address.to_string()),
        }
    }
    vec![
        format!("--control-plane-names={}", machine.node.name),
        format!("--forbidden-addresses={}", addresses.join(",")),
        format!("--forbidden-names={}", names.join(",")),
        format!("--health-address={LOOPBACK}:{}", DOOR.port),
        format!("--kubeconfig={kubeconfig}"),
        format!("--node-addresses={}", networks(&nodes.addresses)),
        format!("--node-names={}", nodes.names.join(",")),
    ]
}

fn role() -> ClusterRole {
    let signer = PolicyRule {
        resource_names: Some(strings(&["kubernetes.io/kubelet-serving"])),
        ..rule(GROUP, &["signers"], &["approve"])
    };
    ClusterRole {
        metadata: cluster_meta(NAME, NAME),
        rules: Some(vec![
            rule(
                GROUP,
                &["certificatesigningrequests"],
                &["get", "list", "watch"],
            ),
            rule(GROUP, &["certificatesigningrequests/approval"], &["update"]),
            signer,
            // Whose address is whose.
            rule("", &["nodes"], &["list"]),
        ]),
        ..Default::default()
    }
}
