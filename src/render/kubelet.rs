//! The kubelet's configuration: a base that any node could share, a drop-in with what is this
//! node's, and the two settings that exist as flags only.

use anyhow::Result;
use serde_json::{Value, json};

use super::Output;
use crate::config::Machine;
use crate::config::machine::Role;

/// Where a worker's kubelet finds what it joins with.
pub const BOOTSTRAP: &str = "/etc/kubernetes/bootstrap-kubeconfig";
/// Where a kubelet keeps the certificates that it asked for.
const PKI: &str = "/var/lib/kubelet/pki";
const FOLDER: &str = "/etc/kubernetes/kubelet";

/// `signs`: whether the cluster signs its nodes' certificates itself.
pub fn render(out: &mut Output, machine: &Machine, signs: bool) -> Result<()> {
    out.manifest(
        "kubelet/config.yaml",
        "The kubelet's base configuration. Drop-ins in config.d override it, in the order of their\n\
         numbers; 50-slipway.conf is this node's.",
        &base(machine, signs),
    )?;
    out.manifest(
        "kubelet/50-slipway.conf",
        "What the machine document says about this node's cluster.",
        &drop_in(machine),
    )?;
    out.public("kubelet/kubelet.env", environment(machine));
    out.public("kubelet/hostname", format!("{}\n", machine.node.name));
    Ok(())
}

/// No cgroup driver: the container runtime tells. Swap is tolerated, because pods do not get any
/// by default. `resolvConf` is the default spelled out, for an image whose file names a resolver
/// on loopback has to override it in a drop-in.
fn base(machine: &Machine, signs: bool) -> Value {
    let mut base = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": "/etc/kubernetes/ca.crt" },
        },
        "authorization": { "mode": "Webhook" },
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "failSwapOn": false,
        "resolvConf": "/etc/resolv.conf",
        "rotateCertificates": signs,
        "serverTLSBootstrap": signs,
        "staticPodPath": "/etc/kubernetes/manifests",
    });
    // The serving certificate that is rendered is the first: the kubelet asks for its next ones itself,
    // if the cluster can sign. A worker's asks for the first one too.
    if machine.role == Role::ControlPlane {
        base["tlsCertFile"] = format!("{FOLDER}/serving.crt").into();
        base["tlsPrivateKeyFile"] = format!("{FOLDER}/serving.key").into();
    }
    base
}

/// What the document says of the kubelet itself stands beside and above slipway's own.
fn drop_in(machine: &Machine) -> Value {
    let mut value = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "clusterDNS": machine.cluster.dns_service_ips(),
        "clusterDomain": machine.cluster.domain,
    });
    for (field, wanted) in &machine.kubelet.config {
        value[field] = wanted.clone();
    }
    value
}

fn environment(machine: &Machine) -> String {
    let name = &machine.node.name;
    let addresses: Vec<_> = machine.node.addresses().map(|ip| ip.to_string()).collect();
    let addresses = addresses.join(",");
    let joins = match machine.role {
        Role::ControlPlane => String::new(),
        Role::Worker => format!(" --bootstrap-kubeconfig={BOOTSTRAP} --cert-dir={PKI}"),
    };
    format!("KUBELET_ARGS=--node-ip={addresses} --hostname-override={name}{joins}\n")
}
