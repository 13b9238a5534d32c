//! etcd: a permanent static pod, because the API's own store cannot be an object of that API.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, PodSpec};

use super::objects::{
    Door, confined, default_seccomp, host_path, meta, mount, mount_writable, requests, strings,
    tolerate_everything, with_probes,
};
use super::{Output, images};
use crate::config::Machine;
use crate::config::machine::Etcd;

/// Where this node's API servers reach its own etcd.
const LOOPBACK_URL: &str = "https://127.0.0.1:2379";
/// Where the certificates lie on the node and in the pod.
const CERTIFICATES: &str = "/etc/kubernetes/etcd";
const DATA: &str = "/var/lib/etcd";
const NAME: &str = "etcd";

pub fn render(out: &mut Output, machine: &Machine) -> Result<()> {
    if machine.etcd != Etcd::Local {
        return Ok(());
    }
    out.manifest(
        "etcd/etcd.yaml",
        "The cluster's store; installed as a static pod that stays.",
        &pod(machine),
    )
}

/// Where API servers reach etcd, as their flag takes it.
pub fn servers(machine: &Machine) -> String {
    match &machine.etcd {
        Etcd::Local => LOOPBACK_URL.to_owned(),
        Etcd::External(etcd) => etcd.endpoints.join(","),
    }
}

fn pod(machine: &Machine) -> Pod {
    let spec = PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![container(machine)],
        host_network: Some(true),
        priority_class_name: Some("system-node-critical".into()),
        // root, which owns the data, but without any of its powers.
        security_context: Some(PodSecurityContext {
            seccomp_profile: Some(default_seccomp()),
            ..Default::default()
        }),
        termination_grace_period_seconds: Some(30),
        tolerations: Some(tolerate_everything()),
        volumes: Some(vec![
            host_path("certificates", CERTIFICATES, "Directory"),
            host_path("data", DATA, "DirectoryOrCreate"),
        ]),
        ..Default::default()
    };
    Pod {
        metadata: meta(NAME, NAME),
        spec: Some(spec),
        status: None,
    }
}

fn container(machine: &Machine) -> Container {
    let container = Container {
        name: NAME.into(),
        image: Some(images::of(machine, NAME)),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec!["/usr/local/bin/etcd".into()]),
        args: Some(arguments(machine)),
        resources: Some(requests("100m", "64Mi")),
        security_context: Some(confined()),
        volume_mounts: Some(vec![
            mount("certificates", CERTIFICATES),
            mount_writable("data", DATA),
        ]),
        ..Default::default()
    };
    // The metrics port speaks plain HTTP, so that a probe needs no client certificate.
    let door = Door {
        scheme: "HTTP",
        host: Some("127.0.0.1"),
        port: 2381,
    };
    with_probes(container, door, "/readyz", "/livez")
}

/// The election timeout stays at its default of a second: a member that is alone never loses its leadership,
/// however slow the machine, but waits up to this long at every start before it takes it.
fn arguments(machine: &Machine) -> Vec<String> {
    let clients = url(machine.node.address, 2379);
    let peers = url(machine.node.address, 2380);
    let name = &machine.node.name;
    let file = |flag: &str, file: &str| format!("--{flag}={CERTIFICATES}/{file}");
    let mut arguments = strings(&[
        "--client-cert-auth=true",
        "--listen-metrics-urls=http://127.0.0.1:2381",
        "--peer-client-cert-auth=true",
        // Bookmarks of resources that nobody changes stay younger than the five minutes after which their
        // revision is compacted. Each interval wakes every watch, so not more often than that needs.
        "--watch-progress-notify-interval=1m",
    ]);
    arguments.extend([
        file("cert-file", "server.crt"),
        file("key-file", "server.key"),
        file("peer-cert-file", "peer.crt"),
        file("peer-key-file", "peer.key"),
        file("peer-trusted-ca-file", "peer-ca.crt"),
        file("trusted-ca-file", "server-ca.crt"),
        format!("--advertise-client-urls={clients}"),
        format!("--data-dir={DATA}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster={name}={peers}"),
        format!("--listen-client-urls={LOOPBACK_URL},{clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--name={name}"),
    ]);
    arguments.sort();
    arguments
}

fn url(address: IpAddr, port: u16) -> String {
    format!("https://{}", SocketAddr::new(address, port))
}
