//! kube-proxy, always in nftables mode: the default will change, and iptables needs tools that an
//! image may not have.

use anyhow::Result;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Container, PodSpec, SecurityContext};

use super::apiserver::Stage;
use super::kubeconfig::{self, IN_CLUSTER};
use super::objects::{
    Door, bind, config_map_volume, env_field, networks, service_account, tolerate_everything,
    with_probes,
};
use super::workload::{self, component};
use super::{Output, checkpoints};
use crate::config::Machine;
use crate::config::machine::AddOn;

const NAME: &str = "kube-proxy";
/// A checkpoint's health: its pod is Ready on its own word only.
const CHECKPOINT_DOOR: &str = "--healthz-bind-address=0.0.0.0:10356";

pub fn render(out: &mut Output, machine: &Machine) -> Result<()> {
    out.manifest(
        "manifests/kube-proxy.yaml",
        "Makes Services reachable on every node. Changed from the original: nftables instead of iptables,\n\
         which upstream is about to give up.",
        &daemon_set(machine),
    )?;
    out.manifest(
        "manifests/kube-proxy-sa.yaml",
        "kube-proxy's own user.",
        &service_account(NAME),
    )?;
    out.manifest(
        "manifests/kube-proxy-role-binding.yaml",
        "What kube-proxy may read.",
        &bind(NAME, "system:node-proxier", NAME),
    )
}

fn daemon_set(machine: &Machine) -> DaemonSet {
    let pod = PodSpec {
        containers: vec![container(machine)],
        host_network: Some(true),
        priority_class_name: Some("system-node-critical".into()),
        service_account_name: Some(NAME.into()),
        tolerations: Some(tolerate_everything()),
        volumes: Some(vec![config_map_volume(IN_CLUSTER, IN_CLUSTER)]),
        ..Default::default()
    };
    let mut set = workload::daemon_set(NAME, NAME, pod);
    checkpoints::mark_add_on(
        &mut set.spec.template,
        machine,
        AddOn::KubeProxy,
        CHECKPOINT_DOOR,
    );
    set
}

fn container(machine: &Machine) -> Container {
    let arguments = vec![
        format!("--cluster-cidr={}", networks(&machine.cluster.pod_cidrs)),
        // The size of the connection table is the image's business.
        "--conntrack-max-per-core=0".into(),
        "--hostname-override=$(NODE_NAME)".into(),
        format!("--kubeconfig={}", kubeconfig::path(NAME, Stage::SelfHosted)),
        "--proxy-mode=nftables".into(),
    ];
    let container = Container {
        env: Some(vec![env_field("NODE_NAME", "spec.nodeName")]),
        security_context: Some(SecurityContext {
            privileged: Some(true),
            ..Default::default()
        }),
        volume_mounts: kubeconfig::mount(Stage::SelfHosted).map(|mount| vec![mount]),
        ..component(NAME, machine, arguments, ("50m", "48Mi"))
    };
    let door = Door {
        scheme: "HTTP",
        host: None,
        port: 10256,
    };
    with_probes(container, door, "/healthz", "/livez")
}
