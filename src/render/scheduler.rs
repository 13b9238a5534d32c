//! kube-scheduler, bootstrap and self-hosted, with a ServiceAccount of its own.

use anyhow::Result;
use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::apiserver::{SECRETS_DIR, Stage, bootstrap, control_plane_nodes, control_plane_pod};
use super::objects::{
    Door, bind, config_map_volume, disruption_budget, mount, service_account, with_probes,
};
use super::workload::{component, deployment, leader_arguments};
use super::{Output, checkpoints, kubeconfig, static_pods};
use crate::config::Machine;
use crate::config::machine::ControlPlane;

const NAME: &str = "kube-scheduler";
const PORT: u16 = 10259;
/// A checkpoint's own, beside the self-hosted one's.
const CHECKPOINT_PORT: &str = "--secure-port=10359";

pub fn render(out: &mut Output, machine: &Machine) -> Result<()> {
    if machine.control_plane == ControlPlane::Static {
        return static_pods::render(out, NAME, container(machine, Stage::Static));
    }
    let mut self_hosted = deployment(NAME, self_hosted_pod(machine));
    checkpoints::mark(&mut self_hosted.spec.template, &[CHECKPOINT_PORT]);
    out.manifest(
        "bootstrap-manifests/bootstrap-scheduler.yaml",
        "The temporary scheduler; it talks to the temporary API server on loopback.",
        &bootstrap(NAME, container(machine, Stage::Bootstrap)),
    )?;
    out.manifest(
        "manifests/kube-scheduler.yaml",
        "The self-hosted scheduler. Changed from the original: an account of its own instead of the\n\
         namespace's default, which was cluster-admin; control-plane nodes instead of master, an image of\n\
         its own instead of hyperkube, and probes over TLS, because the port without is gone.",
        &self_hosted,
    )?;
    out.manifest(
        "manifests/kube-scheduler-service-account.yaml",
        "The scheduler's own user.",
        &service_account(NAME),
    )?;
    out.manifest(
        "manifests/kube-scheduler-role-binding.yaml",
        "What the scheduler may do with pods.",
        &bind("scheduler", "system:kube-scheduler", NAME),
    )?;
    out.manifest(
        "manifests/kube-scheduler-volume-role-binding.yaml",
        "What the scheduler may do with volumes.",
        &bind("scheduler-volumes", "system:volume-scheduler", NAME),
    )?;
    out.manifest(
        "manifests/kube-scheduler-disruption.yaml",
        "A drain may evict one scheduler at a time. Changed from the original: policy/v1beta1 is gone, and\n\
         with a minimum of one, a single replica could never be evicted.",
        &disruption_budget(NAME),
    )
}

fn arguments(stage: Stage) -> Vec<String> {
    let mut arguments = leader_arguments(NAME, stage, PORT);
    arguments.sort();
    arguments
}

fn container(machine: &Machine, stage: Stage) -> Container {
    let door = Door {
        scheme: "HTTPS",
        host: Some("127.0.0.1"),
        port: PORT,
    };
    let mounts = match stage {
        Stage::Bootstrap | Stage::Static => vec![mount("secrets", SECRETS_DIR)],
        Stage::SelfHosted => kubeconfig::mount(stage).into_iter().collect(),
    };
    let container = Container {
        volume_mounts: Some(mounts),
        ..component(NAME, machine, arguments(stage), ("50m", "48Mi"))
    };
    with_probes(container, door, "/healthz", "/healthz")
}

fn self_hosted_pod(machine: &Machine) -> PodSpec {
    PodSpec {
        node_selector: Some(control_plane_nodes()),
        service_account_name: Some(NAME.into()),
        volumes: Some(vec![config_map_volume(
            kubeconfig::IN_CLUSTER,
            kubeconfig::IN_CLUSTER,
        )]),
        ..control_plane_pod(container(machine, Stage::SelfHosted))
    }
}
