//! Containers, DaemonSets and Deployments as every component of this cluster has them.

use k8s_openapi::api::apps::v1::{
    DaemonSet, DaemonSetSpec, Deployment, DeploymentSpec, DeploymentStrategy,
    RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec, Secret};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::apiserver::{SECRETS_DIR, Stage};
use super::objects::{LEASE, confined, meta, requests, selector, strings, template};
use super::{configuration, images, kubeconfig};
use crate::config::Machine;
use crate::hash::sha256;

/// What a pod, or the template of one, says of the secrets it reads.
pub const SECRETS_ANNOTATION: &str = "slipway.dev/secrets";

/// Arguments that the controller-manager and the scheduler have in common. Those that stay serve their
/// health and metrics on this port of loopback; the temporary ones serve nobody, which saves each two RSA
/// keys at its start.
pub fn leader_arguments(name: &str, stage: Stage, port: u16) -> Vec<String> {
    let kubeconfig = kubeconfig::path(name, stage);
    let mut arguments = strings(&LEASE);
    arguments.extend([
        format!("--kubeconfig={kubeconfig}"),
        "--profiling=false".into(),
    ]);
    if stage == Stage::Bootstrap {
        arguments.push("--secure-port=0".into());
        return arguments;
    }
    arguments.extend([
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        "--bind-address=127.0.0.1".into(),
        "--permit-port-sharing=true".into(),
        format!("--secure-port={port}"),
    ]);
    if stage == Stage::Static {
        // Told by the API, they would exit where there is none yet, which is every start of the machine.
        arguments.extend([
            format!("--client-ca-file={SECRETS_DIR}/ca.crt"),
            "--requestheader-allowed-names=front-proxy-client".into(),
            format!("--requestheader-client-ca-file={SECRETS_DIR}/front-proxy-ca.crt"),
        ]);
    }
    arguments
}

/// The container of one of Kubernetes' own components, which requests this much CPU and memory.
pub fn component(
    name: &str,
    machine: &Machine,
    arguments: Vec<String>,
    (cpu, memory): (&str, &str),
) -> Container {
    Container {
        name: name.into(),
        image: Some(images::of(machine, name)),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec![format!("/usr/local/bin/{name}")]),
        args: Some(arguments),
        resources: Some(requests(cpu, memory)),
        security_context: Some(confined()),
        ..Default::default()
    }
}

/// Makes new pods when what is not secret of their Secret changes, but for files that a running pod reads
/// `again`: no key changes without a certificate or a configuration.
pub fn roll_with(template: &mut PodTemplateSpec, secret: &Secret, again: &[&str]) {
    let mut all = Vec::new();
    for (name, bytes) in secret.data.iter().flatten() {
        let counts = !name.ends_with(".key") && !again.contains(&name.as_str());
        if counts && !configuration::is_private(name) {
            all.extend([name.as_bytes(), b"\0", &bytes.0, b"\0"].concat());
        }
    }
    annotate(template, SECRETS_ANNOTATION, &sha256(&all));
}

/// Writes an annotation on the pods of a template.
pub fn annotate(template: &mut PodTemplateSpec, name: &str, value: &str) {
    let metadata = template.metadata.get_or_insert_default();
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(name.to_owned(), value.to_owned());
}

/// A DaemonSet of an application.
pub fn daemon_set(name: &str, app: &str, pod: PodSpec) -> DaemonSet {
    let spec = DaemonSetSpec {
        selector: selector(app),
        template: template(app, pod),
        ..Default::default()
    };
    DaemonSet {
        metadata: meta(name, app),
        spec,
        status: None,
    }
}

/// A Deployment of one replica a control-plane node, of which this cluster has one. A new pod starts
/// beside the old one; on the host network that works because they share the health port.
pub fn deployment(name: &str, pod: PodSpec) -> Deployment {
    let spec = DeploymentSpec {
        replicas: Some(1),
        selector: selector(name),
        strategy: Some(DeploymentStrategy {
            type_: Some("RollingUpdate".into()),
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::Int(1)),
                max_unavailable: Some(IntOrString::Int(0)),
            }),
        }),
        template: template(name, pod),
        ..Default::default()
    };
    Deployment {
        metadata: meta(name, name),
        spec,
        status: None,
    }
}
