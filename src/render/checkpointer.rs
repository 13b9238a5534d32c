//! The pod checkpointer's half in the cluster: it lets nodes in and approves their serving certificates. The
//! checkpoints are kept by a unit of the node, outside the cluster, where no roll-out and no deletion takes them
//! along; so unlike the original's, this pod needs no host folder, no root and no Secrets. The unit shows this
//! pod's user to the API, so what that may do is said here for both.

use anyhow::Result;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role, RoleBinding};

use super::apiserver::{Stage, control_plane_nodes};
use super::kubeconfig::{self, IN_CLUSTER};
use super::objects::{
    Door, account_subject, bind, cluster_meta, config_map_volume, confined, meta, networks, probe,
    requests, role_ref, rule, service_account, strings, tolerate_everything, unprivileged,
};
use super::{Output, images, workload};
use crate::config::Machine;
use crate::config::machine::{AltName, ControlPlane};
use crate::pki;

/// Its workload, and its user.
pub const NAME: &str = "pod-checkpointer";
/// The role for Leases, in their namespace: a ClusterRole would be for those of every namespace.
const LEASES: &str = "pod-checkpointer-leases";
/// A user of its own: on the host network, the control plane's could share the API server's port.
const UID: i64 = 65531;
/// Where it tells whether it is ready; nobody else can reach it there.
const DOOR: Door<'_> = Door {
    scheme: "HTTP",
    host: Some(LOOPBACK),
    port: 10260,
};
const LOOPBACK: &str = "127.0.0.1";
/// Where the node's unit does, on the same loopback.
const UNIT_PORT: u16 = 10261;
const GROUP: &str = "certificates.k8s.io";

pub fn render(out: &mut Output, machine: &Machine) -> Result<()> {
    out.manifest(
        "manifests/pod-checkpointer.yaml",
        about(machine),
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
        &role(machine),
    )?;
    out.manifest(
        "manifests/pod-checkpointer-role-binding.yaml",
        "Gives it that role.",
        &bind(NAME, NAME, NAME),
    )?;
    if machine.control_plane == ControlPlane::Static {
        return Ok(());
    }
    out.manifest(
        "manifests/pod-checkpointer-lease-role.yaml",
        "What of Leases the node's unit may do: take those of the control plane from a checkpoint that has ended.",
        &lease_role(),
    )?;
    out.manifest(
        "manifests/pod-checkpointer-lease-role-binding.yaml",
        "Gives it that role.",
        &RoleBinding {
            metadata: meta(LEASES, NAME),
            role_ref: role_ref::<Role>(LEASES),
            subjects: Some(vec![account_subject(NAME)]),
        },
    )
}

fn about(machine: &Machine) -> &'static str {
    match machine.control_plane {
        ControlPlane::SelfHosted => {
            "Lets nodes join, and approves the serving certificates of their kubelets. Changed from the\n\
             original: no root, no host folders and no Secrets, because the checkpoints are kept by\n\
             slipway-checkpoint.service of the node. It stands outside the cluster, so that no roll-out and\n\
             no deletion takes it or them along. A pod is Ready when that unit says that its node has its\n\
             checkpoints, so a launch that waits for it ends when the node would survive a reboot."
        }
        ControlPlane::Static => {
            "Lets nodes join, and approves the serving certificates of their kubelets. Changed from the\n\
             original: no root, no host folders and no Secrets, because static pods need no checkpoints."
        }
    }
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
        readiness_probe: Some(probe(DOOR, "/readyz", period(machine), 3)),
        resources: Some(requests("10m", "16Mi")),
        security_context: Some(confined()),
        volume_mounts: kubeconfig::mount(Stage::SelfHosted).map(|mount| vec![mount]),
        ..Default::default()
    }
}

/// A launch waits for the word that a node has its checkpoints, which cannot come sooner than the next probe.
fn period(machine: &Machine) -> i32 {
    match machine.control_plane {
        ControlPlane::SelfHosted => 2,
        ControlPlane::Static => 10,
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
    let mut arguments = vec![
        format!("--control-plane-names={}", machine.node.name),
        format!("--forbidden-addresses={}", addresses.join(",")),
        format!("--forbidden-names={}", names.join(",")),
        format!("--health-address={LOOPBACK}:{}", DOOR.port),
        format!("--kubeconfig={kubeconfig}"),
        format!("--node-addresses={}", networks(&nodes.addresses)),
        format!("--node-names={}", nodes.names.join(",")),
    ];
    if machine.control_plane == ControlPlane::SelfHosted {
        arguments.push(format!("--node-health={LOOPBACK}:{UNIT_PORT}"));
        arguments.sort();
    }
    arguments
}

fn role(machine: &Machine) -> ClusterRole {
    let signer = PolicyRule {
        resource_names: Some(strings(&["kubernetes.io/kubelet-serving"])),
        ..rule(GROUP, &["signers"], &["approve"])
    };
    let mut rules = vec![
        rule(
            GROUP,
            &["certificatesigningrequests"],
            &["get", "list", "watch"],
        ),
        rule(GROUP, &["certificatesigningrequests/approval"], &["update"]),
        signer,
    ];
    match machine.control_plane {
        // Whose address is whose.
        ControlPlane::Static => rules.push(rule("", &["nodes"], &["list"])),
        // And what a node is to have checkpoints of.
        ControlPlane::SelfHosted => rules.extend([
            rule("", &["nodes"], &["get", "list"]),
            rule("", &["pods"], &["list"]),
            rule("apps", &["daemonsets", "deployments"], &["get", "list"]),
        ]),
    }
    ClusterRole {
        metadata: cluster_meta(NAME, NAME),
        rules: Some(rules),
        ..Default::default()
    }
}

fn lease_role() -> Role {
    let leases = PolicyRule {
        resource_names: Some(strings(&["kube-controller-manager", "kube-scheduler"])),
        ..rule("coordination.k8s.io", &["leases"], &["get", "update"])
    };
    Role {
        metadata: meta(LEASES, NAME),
        rules: Some(vec![leases]),
    }
}
