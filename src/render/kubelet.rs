//! The kubelet's configuration: a base that any node could share, a drop-in with what is this
//! node's, and the two settings that exist as flags only.

use anyhow::Result;
use serde_json::{Value, json};

use super::Output;
use crate::config::Machine;

const FOLDER: &str = "/etc/kubernetes/kubelet";

pub fn render(out: &mut Output, machine: &Machine) -> Result<()> {
    out.manifest(
        "kubelet/config.yaml",
        "The kubelet's base configuration. Drop-ins in config.d override it, in the order of their\n\
         numbers; 50-slipway.conf is this node's.",
        &base(),
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
fn base() -> Value {
    json!({
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
        "rotateCertificates": true,
        "staticPodPath": "/etc/kubernetes/manifests",
        "tlsCertFile": format!("{FOLDER}/serving.crt"),
        "tlsPrivateKeyFile": format!("{FOLDER}/serving.key"),
    })
}

fn drop_in(machine: &Machine) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "clusterDNS": machine.cluster.dns_service_ips(),
        "clusterDomain": machine.cluster.domain,
    })
}

fn environment(machine: &Machine) -> String {
    let (name, address) = (&machine.node.name, machine.node.address);
    format!("KUBELET_ARGS=--node-ip={address} --hostname-override={name}\n")
}
