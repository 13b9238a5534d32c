//! flannel: the pod network, VXLAN between nodes, nftables for masquerading.

use anyhow::Result;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMap, Container, EnvVar, PodSecurityContext, PodSpec, SecurityContext,
};
use k8s_openapi::api::rbac::v1::ClusterRole;
use serde_json::{Value, json};

use super::apiserver::Stage;
use super::kubeconfig::{self, IN_CLUSTER};
use super::objects::{
    Door, bind, cluster_meta, config_map_volume, confined, default_seccomp, env_field, host_path,
    meta, mount, mount_writable, requests, rule, service_account, strings, tolerate_everything,
    with_probes,
};
use super::workload;
use super::{Output, checkpoints, images};
use crate::config::Machine;
use crate::config::machine::{AddOn, Network};

const NAME: &str = "flannel";
const CONFIG: &str = "kube-flannel-cfg";
const CONFIG_DIR: &str = "/etc/kube-flannel";
/// A checkpoint's health. It starts before its pod ends, and of two flannels at one port the second panics.
const CHECKPOINT_PORT: &str = "--healthz-port=8082";

pub fn render(out: &mut Output, machine: &Machine) -> Result<()> {
    if machine.network == Network::None {
        return Ok(());
    }
    out.manifest(
        "manifests/flannel.yaml",
        "The pod network. Changed from the original: two capabilities instead of a privileged container.",
        &daemon_set(machine),
    )?;
    out.manifest(
        "manifests/flannel-cfg.yaml",
        "The pod network's addresses, and what the container runtime is told about it.",
        &config(machine)?,
    )?;
    out.manifest(
        "manifests/flannel-sa.yaml",
        "flannel's own user.",
        &service_account(NAME),
    )?;
    out.manifest(
        "manifests/flannel-cluster-role.yaml",
        "What it may do.",
        &cluster_role(),
    )?;
    out.manifest(
        "manifests/flannel-cluster-role-binding.yaml",
        "Gives it that role.",
        &bind(NAME, NAME, NAME),
    )
}

/// CNI's configuration. Version 0.4.0, because the plugin in the payload speaks no later one.
///
/// What the plugins note of a pod is as short-lived as the pod's network, so it lies in /run. In /var, where it is by default,
/// neither of them syncs it: a power cut in the next half minute leaves empty files, the flannel plugin fails at its own for ever
/// ("failed to parse netconf: unexpected end of JSON input"), and as long as the old sandbox cannot be taken away the pod gets no new one.
fn cni() -> Value {
    json!({
        "name": "cbr0",
        "cniVersion": "0.4.0",
        "plugins": [
            {
                "type": "flannel",
                "dataDir": "/run/cni/flannel",
                "delegate": { "hairpinMode": true, "isDefaultGateway": true },
                "ipam": { "dataDir": "/run/cni/networks" },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

fn network(machine: &Machine) -> Value {
    let mut network = json!({ "EnableNFTables": true, "Backend": { "Type": "vxlan" } });
    let pods = &machine.cluster.pod_cidrs;
    let of_family = |v4| pods.iter().find(|net| net.addr().is_ipv4() == v4);
    match of_family(true) {
        Some(net) => network["Network"] = json!(net.to_string()),
        None => network["EnableIPv4"] = json!(false),
    }
    if let Some(net) = of_family(false) {
        network["EnableIPv6"] = json!(true);
        network["IPv6Network"] = json!(net.to_string());
    }
    network
}

fn config(machine: &Machine) -> Result<ConfigMap> {
    let text = |value: Value| serde_json::to_string_pretty(&value).map(|text| text + "\n");
    let data = [
        ("cni-conf.json".to_owned(), text(cni())?),
        ("net-conf.json".to_owned(), text(network(machine))?),
    ];
    Ok(ConfigMap {
        metadata: meta(CONFIG, NAME),
        data: Some(data.into()),
        ..Default::default()
    })
}

fn daemon_set(machine: &Machine) -> DaemonSet {
    let pod = PodSpec {
        containers: vec![daemon(machine)],
        host_network: Some(true),
        init_containers: Some(vec![install_cni(machine)]),
        priority_class_name: Some("system-node-critical".into()),
        security_context: Some(PodSecurityContext {
            seccomp_profile: Some(default_seccomp()),
            ..Default::default()
        }),
        service_account_name: Some(NAME.into()),
        tolerations: Some(tolerate_everything()),
        volumes: Some(vec![
            config_map_volume("config", CONFIG),
            host_path("cni", "/etc/cni/net.d", "DirectoryOrCreate"),
            host_path("run", "/run/flannel", "DirectoryOrCreate"),
            host_path("xtables-lock", "/run/xtables.lock", "FileOrCreate"),
            config_map_volume(IN_CLUSTER, IN_CLUSTER),
        ]),
        ..Default::default()
    };
    let mut set = workload::daemon_set("kube-flannel", NAME, pod);
    checkpoints::mark_add_on(
        &mut set.spec.template,
        machine,
        AddOn::Flannel,
        CHECKPOINT_PORT,
    );
    set
}

fn install_cni(machine: &Machine) -> Container {
    let command = [
        "cp",
        "-f",
        "/etc/kube-flannel/cni-conf.json",
        "/etc/cni/net.d/10-flannel.conflist",
    ];
    Container {
        name: "install-cni".into(),
        image: Some(images::of(machine, NAME)),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(strings(&command)),
        security_context: Some(confined()),
        volume_mounts: Some(vec![
            mount("config", CONFIG_DIR),
            mount_writable("cni", "/etc/cni/net.d"),
        ]),
        ..Default::default()
    }
}

fn daemon(machine: &Machine) -> Container {
    let kubeconfig = format!(
        "--kubeconfig-file={}",
        kubeconfig::path(NAME, Stage::SelfHosted)
    );
    let mut arguments = vec![
        "--healthz-port=8081",
        "--iface=$(HOST_IP)",
        "--ip-masq",
        "--kube-subnet-mgr",
        &kubeconfig,
    ];
    // With both families it looks for the interface of an IPv4 address only, unless told so.
    if machine.cluster.is_dual_stack() && machine.node.address.is_ipv6() {
        arguments.push("--public-ipv6=$(HOST_IP)");
    }
    let mut mounts = vec![
        mount("config", CONFIG_DIR),
        mount_writable("run", "/run/flannel"),
        mount_writable("xtables-lock", "/run/xtables.lock"),
    ];
    mounts.extend(kubeconfig::mount(Stage::SelfHosted));
    let container = Container {
        name: "kube-flannel".into(),
        image: Some(images::of(machine, NAME)),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec!["/opt/bin/flanneld".into()]),
        args: Some(strings(&arguments)),
        env: Some(environment()),
        resources: Some(requests("50m", "48Mi")),
        security_context: Some(SecurityContext {
            capabilities: Some(Capabilities {
                add: Some(strings(&["NET_ADMIN", "NET_RAW"])),
                ..Default::default()
            }),
            ..Default::default()
        }),
        volume_mounts: Some(mounts),
        ..Default::default()
    };
    let door = Door {
        scheme: "HTTP",
        host: None,
        port: 8081,
    };
    with_probes(container, door, "/readyz", "/healthz")
}

/// The node's name, because who looks for it by the pod's finds none once that pod is gone; a checkpoint outlives it.
fn environment() -> Vec<EnvVar> {
    vec![
        env_field("NODE_NAME", "spec.nodeName"),
        env_field("HOST_IP", "status.hostIP"),
    ]
}

fn cluster_role() -> ClusterRole {
    ClusterRole {
        metadata: cluster_meta(NAME, NAME),
        rules: Some(vec![
            rule("", &["nodes"], &["get", "list", "watch"]),
            rule("", &["nodes/status"], &["patch"]),
        ]),
        ..Default::default()
    }
}
