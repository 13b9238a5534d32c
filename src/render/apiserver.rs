//! kube-apiserver, twice: the bootstrap static pod and the self-hosted DaemonSet; or once, as a static pod
//! that stays ([`super::static_pods`]).
//!
//! Both share one port by SO_REUSEPORT. The bootstrap one binds loopback only and registers no
//! endpoint; the self-hosted one binds everything. The kernel prefers the more specific address, so
//! the node's address is a door behind which only the self-hosted one answers (docs/design.md §5).

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetUpdateStrategy, RollingUpdateDaemonSet};
use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, PodReadinessGate, PodSpec, Secret};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::objects::{
    Door, control_plane_user, env_field, host_path, meta, mount, networks, secret_volume, strings,
    tolerate_everything, with_probes,
};
use super::workload::{self, component};
use super::{Output, checkpoints, configuration, endpoints, etcd, static_pods, tls};
use crate::assets::CONTROL_PLANE_LABEL;
use crate::config::Machine;
use crate::config::machine::ControlPlane;
use crate::pki::Secrets;
use crate::start::ready::GATE;

/// Name of the DaemonSet, its Secret and its containers.
pub const NAME: &str = "kube-apiserver";
/// Where both pods of each component see their secrets.
pub const SECRETS_DIR: &str = "/etc/kubernetes/secrets";
/// Where `start` puts what the bootstrap pods read.
pub const BOOTSTRAP_SECRETS: &str = "/etc/kubernetes/bootstrap-secrets";
/// The issuer of service-account tokens; part of every token, so it never changes.
const ISSUER: &str = "https://kubernetes.default.svc";

/// The files of `tls/` that an API server reads, besides its configuration.
const FILES: [&str; 13] = [
    "apiserver.crt",
    "apiserver.key",
    "apiserver-kubelet-client.crt",
    "apiserver-kubelet-client.key",
    "ca.crt",
    "etcd-client-ca.crt",
    "etcd-client.crt",
    "etcd-client.key",
    "front-proxy-ca.crt",
    "front-proxy-client.crt",
    "front-proxy-client.key",
    "service-account.key",
    "service-account.pub",
];

/// Those of them that a running one reads again when they change: what it shows and the cluster's authority
/// within a minute (dynamiccertificates), what it shows to etcd at every handshake, what it shows to kubelets and whom
/// it takes for one within five minutes (client-go's transport). A restart would cost more than it gives: it breaks
/// every watch, and who connects anew over loopback may meet the process that starts.
const READ_AGAIN: [&str; 5] = [
    "apiserver-kubelet-client.crt",
    "apiserver.crt",
    "ca.crt",
    "etcd-client.crt",
    "front-proxy-client.crt",
];

/// How one serves the node alone. On loopback of IPv4, which a node of IPv6 has too.
const ON_LOOPBACK: [&str; 2] = [
    "--bind-address=127.0.0.1",
    "--endpoint-reconciler-type=none",
];
/// A checkpoint does, too. It ends at once: nobody outside has to notice.
const AS_CHECKPOINT: [&str; 3] = [
    ON_LOOPBACK[0],
    ON_LOOPBACK[1],
    "--shutdown-delay-duration=0s",
];

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The temporary one, a static pod.
    Bootstrap,
    /// The one that stays, an object of its own API.
    SelfHosted,
    /// The one that stays, a static pod.
    Static,
}

pub fn render(out: &mut Output, machine: &Machine, secrets: &Secrets) -> Result<()> {
    let configuration = configuration::files(machine, secrets)?;
    for file in &configuration {
        let path = format!("tls/{}", file.name);
        match configuration::is_private(file.name) {
            true => out.private(path, file.bytes.as_slice()),
            false => out.public(path, file.bytes.as_slice()),
        }
    }
    if machine.control_plane == ControlPlane::Static {
        return static_pods::render(out, NAME, container(machine, Stage::Static));
    }
    let secret = secret(secrets, configuration)?;
    out.manifest(
        "bootstrap-manifests/bootstrap-apiserver.yaml",
        "The temporary API server. It listens on loopback only, so that whoever is answered on the\n\
         node's address is answered by the self-hosted one. Changed from the original: without\n\
         credentials health can be asked for, and nothing else; the port without TLS is gone upstream.",
        &bootstrap_pod(machine),
    )?;
    out.manifest(
        "manifests/kube-apiserver.yaml",
        "The self-hosted API server. A new pod starts beside the old one (both share the port) and\n\
         the old one stops afterwards; no containerPorts, or the scheduler would forbid that. It is Ready\n\
         once the node's slipway-checkpoint.service has its own process' word: the kubelet's probes may\n\
         meet the old one. Changed from the original: its nodes are labelled control-plane (master is\n\
         gone), its image holds it alone (hyperkube is gone), and it is probed, over TLS.",
        &daemon_set(machine, &secret),
    )?;
    endpoints::render(out)?;
    out.private_manifest(
        "manifests/kube-apiserver-secret.yaml",
        "What the self-hosted API server reads.",
        &secret,
    )
}

/// The arguments of both; what differs is what makes the handover safe.
fn arguments(machine: &Machine, stage: Stage) -> Vec<String> {
    let mut arguments = common(machine);
    let file = |flag: &str, name: &str| format!("--{flag}={SECRETS_DIR}/{name}");
    arguments.extend([
        file("client-ca-file", "ca.crt"),
        file("etcd-cafile", "etcd-client-ca.crt"),
        file("etcd-certfile", "etcd-client.crt"),
        file("etcd-keyfile", "etcd-client.key"),
        file("kubelet-certificate-authority", "ca.crt"),
        file("kubelet-client-certificate", "apiserver-kubelet-client.crt"),
        file("kubelet-client-key", "apiserver-kubelet-client.key"),
        file("proxy-client-cert-file", "front-proxy-client.crt"),
        file("proxy-client-key-file", "front-proxy-client.key"),
        file("requestheader-client-ca-file", "front-proxy-ca.crt"),
        file("service-account-key-file", "service-account.pub"),
        file("service-account-signing-key-file", "service-account.key"),
        file("tls-cert-file", "apiserver.crt"),
        file("tls-private-key-file", "apiserver.key"),
    ]);
    arguments.extend(configuration::flags(machine).map(|(flag, name)| file(flag, name)));
    arguments.extend(match stage {
        Stage::Bootstrap => bootstrap_only(machine),
        Stage::SelfHosted => self_hosted_only(machine),
        Stage::Static => vec![
            format!("--advertise-address={}", machine.node.address),
            bind_to_all(machine),
        ],
    });
    arguments.sort();
    arguments
}

fn common(machine: &Machine) -> Vec<String> {
    let mut arguments = strings(&[
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--enable-bootstrap-token-auth=true",
        "--kubelet-preferred-address-types=InternalIP",
        "--permit-port-sharing=true",
        "--profiling=false",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        // Tells watchers to come back elsewhere instead of waiting for them.
        "--shutdown-watch-termination-grace-period=3s",
    ]);
    arguments.extend([
        format!("--etcd-servers={}", etcd::servers(machine)),
        format!("--secure-port={}", machine.api.port),
        format!("--service-account-issuer={ISSUER}"),
        format!(
            "--service-cluster-ip-range={}",
            networks(&machine.cluster.service_cidrs)
        ),
    ]);
    if configuration::is_audited(machine) {
        arguments.push("--audit-log-path=-".into());
    }
    arguments
}

/// The bootstrap one never appears in default/kubernetes: a stopping API server takes its address
/// out of it, and the self-hosted one has the same.
fn bootstrap_only(machine: &Machine) -> Vec<String> {
    let advertised = format!("--advertise-address={}", machine.node.address);
    let mut arguments = strings(&ON_LOOPBACK);
    arguments.push(advertised);
    arguments
}

/// The delay lets load balancers notice that /readyz fails before the port closes.
fn self_hosted_only(machine: &Machine) -> Vec<String> {
    vec![
        "--advertise-address=$(HOST_IP)".into(),
        bind_to_all(machine),
        // The next one serves already; who balances load over several nodes has this time to notice.
        "--shutdown-delay-duration=5s".into(),
    ]
}

/// IPv6's any address takes IPv4 too.
fn bind_to_all(machine: &Machine) -> String {
    let any = match machine.node.addresses().any(|address| address.is_ipv6()) {
        true => "::",
        false => "0.0.0.0",
    };
    format!("--bind-address={any}")
}

fn container(machine: &Machine, stage: Stage) -> Container {
    // No host: the pod's address is the node's, the door of the one that stays.
    let door = Door {
        scheme: "HTTPS",
        host: None,
        port: machine.api.port,
    };
    let container = Container {
        volume_mounts: Some(vec![mount("secrets", SECRETS_DIR)]),
        ..component(NAME, machine, arguments(machine, stage), ("200m", "200Mi"))
    };
    with_probes(container, door, "/readyz", "/livez")
}

fn bootstrap_pod(machine: &Machine) -> Pod {
    bootstrap(NAME, container(machine, Stage::Bootstrap))
}

/// A static pod of the bootstrap control plane. It may name no object of the API (no Secret, no
/// ServiceAccount), or the kubelet denies it. It has no probes: `slipway start` watches it, and on a
/// slow machine a probe a second is a load, and its impatience a restart.
pub fn bootstrap(component: &str, container: Container) -> Pod {
    let container = Container {
        startup_probe: None,
        readiness_probe: None,
        liveness_probe: None,
        ..container
    };
    let name = format!("bootstrap-{component}");
    static_pod(&name, container, BOOTSTRAP_SECRETS)
}

/// A static pod whose secrets lie in the folder `secrets` of the node.
pub fn static_pod(name: &str, container: Container, secrets: &str) -> Pod {
    let spec = PodSpec {
        automount_service_account_token: Some(false),
        volumes: Some(vec![host_path("secrets", secrets, "Directory")]),
        ..control_plane_pod(container)
    };
    Pod {
        metadata: meta(name, name),
        spec: Some(spec),
        status: None,
    }
}

/// What every control-plane pod has in common.
pub fn control_plane_pod(container: Container) -> PodSpec {
    PodSpec {
        containers: vec![container],
        host_network: Some(true),
        priority_class_name: Some("system-node-critical".into()),
        security_context: Some(control_plane_user()),
        termination_grace_period_seconds: Some(30),
        tolerations: Some(tolerate_everything()),
        ..Default::default()
    }
}

/// The nodes that carry the control plane.
pub fn control_plane_nodes() -> BTreeMap<String, String> {
    [(CONTROL_PLANE_LABEL.to_owned(), String::new())].into()
}

fn daemon_set(machine: &Machine, secret: &Secret) -> DaemonSet {
    let mut set = workload::daemon_set(NAME, NAME, self_hosted_pod(machine));
    workload::roll_with(&mut set.spec.template, secret, &READ_AGAIN);
    checkpoints::mark(&mut set.spec.template, &AS_CHECKPOINT);
    set.spec.update_strategy = Some(DaemonSetUpdateStrategy {
        type_: Some("RollingUpdate".into()),
        rolling_update: Some(RollingUpdateDaemonSet {
            max_surge: Some(IntOrString::Int(1)),
            max_unavailable: Some(IntOrString::Int(0)),
        }),
    });
    set
}

fn self_hosted_pod(machine: &Machine) -> PodSpec {
    let container = Container {
        env: Some(vec![env_field("HOST_IP", "status.hostIP"), plain_tcp()]),
        ..container(machine, Stage::SelfHosted)
    };
    PodSpec {
        automount_service_account_token: Some(false),
        node_selector: Some(control_plane_nodes()),
        readiness_gates: Some(vec![PodReadinessGate {
            condition_type: GATE.into(),
        }]),
        // More than delay, watch grace and the longest request (60 s) together.
        termination_grace_period_seconds: Some(100),
        volumes: Some(vec![secret_volume("secrets", NAME)]),
        ..control_plane_pod(container)
    }
}

/// Go listens for MPTCP since 1.24, whose sockets take no program that says who gets a connection (EOPNOTSUPP; `node/steer.rs`).
fn plain_tcp() -> EnvVar {
    EnvVar {
        name: "GODEBUG".into(),
        value: Some("multipathtcp=0".into()),
        ..Default::default()
    }
}

fn secret(secrets: &Secrets, configuration: Vec<configuration::Rendered>) -> Result<Secret> {
    let mut data = tls::data(secrets, &FILES)?;
    data.extend(
        configuration
            .into_iter()
            .map(|file| (file.name.to_owned(), ByteString(file.bytes))),
    );
    Ok(Secret {
        metadata: meta(NAME, NAME),
        data: Some(data),
        ..Default::default()
    })
}
