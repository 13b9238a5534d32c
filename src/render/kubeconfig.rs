//! kubeconfigs: who talks through which door.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{ConfigMap, VolumeMount};
use serde_json::{Value, json};

use super::apiserver::{SECRETS_DIR, Stage};
use super::{Output, emit, objects};
use crate::config::Machine;
use crate::config::machine::ControlPlane;
use crate::pki::Secrets;
use crate::secret::Secret;

/// The ConfigMap that self-hosted components on the host network mount: it works before the
/// Service network does.
pub const IN_CLUSTER: &str = "kubeconfig-in-cluster";
const IN_CLUSTER_DIR: &str = "/etc/kubernetes/kubeconfig-in-cluster";
/// Who signed the API server's certificate, on every node.
const CA: &str = "/etc/kubernetes/ca.crt";
const SERVICE_ACCOUNT_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

pub fn render(out: &mut Output, machine: &Machine, secrets: &Secrets) -> Result<()> {
    let loopback = url(IpAddr::V4(Ipv4Addr::LOCALHOST), machine.api.port);
    out.private_manifest(
        "auth/kubeconfig",
        "The cluster's first administrator.",
        &admin(machine, secrets)?,
    )?;
    let kind = match machine.control_plane {
        ControlPlane::SelfHosted => "bootstrap",
        ControlPlane::Static => "static",
    };
    if secrets.can_sign() {
        out.private_manifest(
            "auth/kubeconfig-kubelet",
            "For a kubelet that is to join: the bootstrap token, until it has a certificate. Changed from the\n\
             original: the token ends, and the context has a name.",
            &kubelet_bootstrap(machine, secrets)?,
        )?;
    }
    for component in ["kube-controller-manager", "kube-scheduler"] {
        // Relative names: the same file works in the asset directory and in the pod.
        let user = files(
            "ca.crt",
            &format!("{component}.crt"),
            &format!("{component}.key"),
        );
        out.private_manifest(
            &format!("tls/{component}.kubeconfig"),
            &format!("The {kind} {component}: loopback only."),
            &kubeconfig(machine, &loopback, component, user),
        )?;
    }
    let folder = "/etc/kubernetes";
    let kubelet = files(
        &format!("{folder}/ca.crt"),
        &format!("{folder}/kubelet/client.crt"),
        &format!("{folder}/kubelet/client.key"),
    );
    let user = format!("system:node:{}", machine.node.name);
    out.private_manifest(
        "kubelet/kubeconfig",
        "This node's kubelet; on loopback some API server always answers first.",
        &kubeconfig(machine, &loopback, &user, kubelet),
    )?;
    out.manifest(
        "manifests/kubeconfig-in-cluster.yaml",
        "For self-hosted components on the host network, which cannot count on the Service network.",
        &in_cluster(machine)?,
    )
}

/// The address people, other nodes and self-hosted components use: `https://HOST:PORT`.
pub fn server(machine: &Machine) -> String {
    match &machine.api.endpoint {
        Some(endpoint) => format!("https://{endpoint}"),
        None => url(machine.node.address, machine.api.port),
    }
}

fn url(address: IpAddr, port: u16) -> String {
    format!("https://{}", SocketAddr::new(address, port))
}

/// Where a component finds its kubeconfig.
pub fn path(component: &str, stage: Stage) -> String {
    match stage {
        Stage::Bootstrap | Stage::Static => format!("{SECRETS_DIR}/{component}.kubeconfig"),
        Stage::SelfHosted => format!("{IN_CLUSTER_DIR}/kubeconfig"),
    }
}

/// The mount that [`path`] needs besides the secrets.
pub fn mount(stage: Stage) -> Option<VolumeMount> {
    (stage == Stage::SelfHosted).then(|| objects::mount(IN_CLUSTER, IN_CLUSTER_DIR))
}

fn in_cluster(machine: &Machine) -> Result<ConfigMap> {
    let credentials = Credentials {
        authority: json!({ "certificate-authority": format!("{SERVICE_ACCOUNT_DIR}/ca.crt") }),
        user: json!({ "tokenFile": format!("{SERVICE_ACCOUNT_DIR}/token") }),
    };
    let config = kubeconfig(machine, &server(machine), "service-account", credentials);
    let text = String::from_utf8(emit::text("The mounted ServiceAccount.", &config))?;
    Ok(ConfigMap {
        metadata: objects::meta(IN_CLUSTER, IN_CLUSTER),
        data: Some([("kubeconfig".to_owned(), text)].into()),
        ..Default::default()
    })
}

fn admin(machine: &Machine, secrets: &Secrets) -> Result<Value> {
    let pair = secrets.pair("tls/admin")?;
    let credentials = Credentials {
        authority: authority(secrets)?,
        user: json!({
            "client-certificate-data": STANDARD.encode(&pair.cert),
            "client-key-data": STANDARD.encode(pair.key.expose()),
        }),
    };
    Ok(kubeconfig(
        machine,
        &server(machine),
        "kubernetes-admin",
        credentials,
    ))
}

fn kubelet_bootstrap(machine: &Machine, secrets: &Secrets) -> Result<Value> {
    let token = secrets.bootstrap_token().token();
    let credentials = Credentials {
        authority: authority(secrets)?,
        user: json!({ "token": std::str::from_utf8(token.expose())? }),
    };
    Ok(kubeconfig(
        machine,
        &server(machine),
        "kubelet-bootstrap",
        credentials,
    ))
}

/// What a worker joins with. The authority is a file, because the kubelet writes its own kubeconfig after
/// this one and reads that file again when it changes: so a new authority reaches workers that joined.
pub fn bootstrap(machine: &Machine, server: &str, token: &Secret) -> Result<Value> {
    let credentials = Credentials {
        authority: json!({ "certificate-authority": CA }),
        user: json!({ "token": std::str::from_utf8(token.expose())? }),
    };
    Ok(kubeconfig(
        machine,
        server,
        "kubelet-bootstrap",
        credentials,
    ))
}

fn authority(secrets: &Secrets) -> Result<Value> {
    let authority = STANDARD.encode(secrets.cert("tls/ca")?);
    Ok(json!({ "certificate-authority-data": authority }))
}

/// The parts of a kubeconfig that prove who is who.
struct Credentials {
    authority: Value,
    user: Value,
}

fn files(authority: &str, certificate: &str, key: &str) -> Credentials {
    Credentials {
        authority: json!({ "certificate-authority": authority }),
        user: json!({ "client-certificate": certificate, "client-key": key }),
    }
}

fn kubeconfig(machine: &Machine, server: &str, user: &str, credentials: Credentials) -> Value {
    let name = &machine.cluster.name;
    let context = format!("{user}@{name}");
    let mut cluster = credentials.authority;
    cluster["server"] = json!(server);
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": name, "cluster": cluster }],
        "contexts": [{ "name": context, "context": { "cluster": name, "user": user } }],
        "current-context": context,
        "users": [{ "name": user, "user": credentials.user }],
    })
}
