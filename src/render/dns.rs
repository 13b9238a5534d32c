//! CoreDNS: the names of Services for pods, and everything else from the node's own resolver.

use std::net::IpAddr;

use anyhow::Result;
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, PodSecurityContext, PodSpec, Service, ServicePort, ServiceSpec, Sysctl,
};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::objects::{
    Door, bind, cluster_meta, config_map_volume, confined, labels, meta, mount, probe, requests,
    rule, service_account, tolerate_everything, unprivileged, with_probes,
};
use super::workload::deployment;
use super::{Output, images};
use crate::config::Machine;

const NAME: &str = "coredns";
const ROLE: &str = "system:coredns";
/// A user of its own: the control plane's may read secrets.
const UID: i64 = 65533;

pub fn render(out: &mut Output, machine: &Machine) -> Result<()> {
    out.manifest(
        "manifests/coredns-deployment.yaml",
        "The cluster's DNS server.",
        &deployment(NAME, pod(machine)),
    )?;
    out.manifest(
        "manifests/coredns-service.yaml",
        "Its address is the one that kubelets write into pods' resolv.conf.",
        &service(machine),
    )?;
    out.manifest(
        "manifests/coredns-config.yaml",
        "What it answers.",
        &config(machine),
    )?;
    out.manifest(
        "manifests/coredns-service-account.yaml",
        "Its user.",
        &service_account(NAME),
    )?;
    out.manifest(
        "manifests/coredns-cluster-role.yaml",
        "What it may read.",
        &cluster_role(),
    )?;
    out.manifest(
        "manifests/coredns-cluster-role-binding.yaml",
        "Gives it that role.",
        &bind(ROLE, ROLE, NAME),
    )
}

/// External names go to the resolvers of the node. Where it has none (an air-gapped machine),
/// `forward` would refuse to start, so the last upstream is a closed port of the pod itself: it
/// refuses at once, and the asker gets SERVFAIL instead of silence.
fn corefile(domain: &str) -> String {
    format!(
        "\
.:53 {{
    errors
    health {{
        lameduck 5s
    }}
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus :9153
    # The node's resolvers; the last one refuses at once where a node has none.
    forward . /etc/resolv.conf 127.0.0.1:9 {{
        policy sequential
        max_concurrent 1000
    }}
    cache 30 {{
        disable success {domain}
        disable denial {domain}
    }}
    loop
    reload
    loadbalance
}}
"
    )
}

fn config(machine: &Machine) -> ConfigMap {
    ConfigMap {
        metadata: meta(NAME, NAME),
        data: Some([("Corefile".to_owned(), corefile(&machine.cluster.domain))].into()),
        ..Default::default()
    }
}

fn pod(machine: &Machine) -> PodSpec {
    // Port 53 without a capability: the pod's own network namespace allows it to everybody.
    let sysctl = Sysctl {
        name: "net.ipv4.ip_unprivileged_port_start".into(),
        value: "0".into(),
    };
    PodSpec {
        containers: vec![container(machine)],
        dns_policy: Some("Default".into()),
        priority_class_name: Some("system-cluster-critical".into()),
        security_context: Some(PodSecurityContext {
            sysctls: Some(vec![sysctl]),
            ..unprivileged(UID)
        }),
        service_account_name: Some(NAME.into()),
        tolerations: Some(tolerate_everything()),
        volumes: Some(vec![config_map_volume("config", NAME)]),
        ..Default::default()
    }
}

fn container(machine: &Machine) -> Container {
    let container = Container {
        name: NAME.into(),
        image: Some(images::of(machine, NAME)),
        image_pull_policy: Some("IfNotPresent".into()),
        args: Some(vec!["-conf".into(), "/etc/coredns/Corefile".into()]),
        resources: Some(requests("50m", "48Mi")),
        security_context: Some(confined()),
        volume_mounts: Some(vec![mount("config", "/etc/coredns")]),
        ..Default::default()
    };
    let ready = Door {
        scheme: "HTTP",
        host: None,
        port: 8181,
    };
    let alive = Door {
        port: 8080,
        ..ready
    };
    Container {
        liveness_probe: Some(probe(alive, "/health", 10, 8)),
        ..with_probes(container, ready, "/ready", "/ready")
    }
}

fn service(machine: &Machine) -> Service {
    let port = |name: &str, port, protocol: &str| ServicePort {
        name: Some(name.into()),
        port,
        protocol: Some(protocol.into()),
        target_port: Some(IntOrString::Int(port)),
        ..Default::default()
    };
    let addresses = machine.cluster.dns_service_ips();
    let both = machine.cluster.is_dual_stack();
    let family = |address: &IpAddr| if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let spec = ServiceSpec {
        cluster_ip: texts.first().cloned(),
        cluster_ips: both.then_some(texts),
        ip_families: both.then(|| addresses.iter().map(|ip| family(ip).to_owned()).collect()),
        ip_family_policy: both.then(|| "RequireDualStack".to_owned()),
        ports: Some(vec![
            port("dns", 53, "UDP"),
            port("dns-tcp", 53, "TCP"),
            port("metrics", 9153, "TCP"),
        ]),
        selector: Some(labels(NAME)),
        ..Default::default()
    };
    Service {
        metadata: meta("kube-dns", NAME),
        spec: Some(spec),
        status: None,
    }
}

fn cluster_role() -> ClusterRole {
    let watch = ["list", "watch"];
    ClusterRole {
        metadata: cluster_meta(ROLE, NAME),
        rules: Some(vec![
            rule("", &["namespaces", "pods", "services"], &watch),
            rule("discovery.k8s.io", &["endpointslices"], &watch),
        ]),
        ..Default::default()
    }
}
