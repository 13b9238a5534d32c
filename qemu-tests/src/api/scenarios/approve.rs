//! `slipway checkpoint` as the approver of kubelets' certificates: with the rights that it is
//! rendered with, on requests that real users made, and the API's own objects as the judge.

use anyhow::{Context as _, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::{Value, json};
use slipway::assets::Assets;
use slipway::config::yaml;
use slipway::kube::{Client, Config, Options, kubeconfig};
use slipway::{config, pki, render};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::api::{Child, Cluster, free_ports};
use crate::scenario::Context;
use crate::wait;

mod cases;

use cases::{CASES, Case, GOOD, JOINING, NODES, READY_WORKER};

const GROUP: &str = "certificates.k8s.io";
const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const SERVING: &str = "kubernetes.io/kubelet-serving";
const ACCOUNT: &str = "/api/v1/namespaces/kube-system/serviceaccounts/pod-checkpointer";
const LIMIT: Duration = Duration::from_secs(30);

pub fn serving_certificates(context: &Context) -> Result<()> {
    let mut cluster = Cluster::start(context)?;
    let admin = cluster.admin()?;
    prepare(&admin)?;
    // What was asked while no approver ran is decided when it begins.
    ask(&cluster, &GOOD)?;

    let [port] = free_ports()?;
    let token = context.work.join("token");
    fs::write(&token, "not yet issued")?;
    let mut approver = start(context, &cluster, &token, port)?;
    let health = Client::new(&plain(port)?, Options::probe())?;
    wait::until("reason for not being ready", LIMIT, || {
        let (code, text) = health.status("/readyz")?;
        ensure!(
            code == 503 && text.contains("401"),
            "/readyz says {code}: {text}"
        );
        approver.check_alive()
    })?;
    // The kubelet renews the token under a running approver.
    fs::write(&token, issue_token(&admin)?)?;
    is_ready(&health)?;
    is_decided(&admin, &GOOD)?;

    for case in &CASES {
        ask(&cluster, case)?;
    }
    for case in CASES.iter().filter(|case| case.verdict.is_some()) {
        is_decided(&admin, case)?;
    }
    for case in CASES.iter().filter(|case| case.verdict.is_none()) {
        let conditions = conditions(&admin, case)?;
        ensure!(
            conditions.is_empty(),
            "{} was decided: {conditions:?}",
            case.name
        );
    }
    a_name_is_free_when_its_node_is_gone(&admin)?;
    it_outlives_an_api_server(&mut cluster, &health)?;
    approver.terminate(Duration::from_secs(2))
}

/// No change of the request tells the approver.
fn a_name_is_free_when_its_node_is_gone(admin: &Client) -> Result<()> {
    set_ready(admin, "worker-2", "Unknown")?;
    let case = Case {
        common_name: "system:node:worker-2",
        name: READY_WORKER,
        ..JOINING
    };
    is_decided(admin, &case)
}

fn it_outlives_an_api_server(cluster: &mut Cluster, health: &Client) -> Result<()> {
    let loopback = Ipv4Addr::LOCALHOST.into();
    cluster.kill_server(loopback)?;
    wait::until("end of readiness", LIMIT, || {
        let (code, text) = health.status("/readyz")?;
        ensure!(
            code == 503 && text.contains("not reached"),
            "/readyz says {code}: {text}"
        );
        Ok(())
    })?;
    cluster.start_server(loopback, loopback)?;
    is_ready(health)?;
    let late = Case {
        name: "late",
        ..GOOD
    };
    ask(cluster, &late)?;
    is_decided(&cluster.admin()?, &late)
}

/// The approver's own objects as they are rendered, another node, and everybody's right to ask (on a
/// node the Node authorizer gives it).
fn prepare(admin: &Client) -> Result<()> {
    let assets = rendered()?;
    let own = ["sa", "role", "role-binding"].map(|part| format!("pod-checkpointer-{part}"));
    for name in own
        .into_iter()
        .chain(["csr-approver-role-binding".to_owned()])
    {
        let path = format!("manifests/{name}.yaml");
        let asset = assets.get(&path).with_context(|| format!("no {path}"))?;
        let text = std::str::from_utf8(asset.bytes.expose())?;
        let objects = yaml::documents(text).ok().context("it is no YAML")?;
        for object in objects {
            admin.apply(&object, "api-tier", true)?;
        }
    }
    let group = "rbac.authorization.k8s.io";
    admin.create(&json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "ask"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "system:node-bootstrapper"},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": "system:authenticated"}],
    }))?;
    nodes(admin)
}

/// The control plane, three workers and one that took a name of the API server's.
fn nodes(admin: &Client) -> Result<()> {
    for (name, addresses) in NODES {
        let labels = match name {
            "node-a" => json!({"node-role.kubernetes.io/control-plane": ""}),
            _ => json!({}),
        };
        admin.create(&json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
        }))?;
        let internal = |address| json!({"type": "InternalIP", "address": address});
        let addresses: Vec<_> = addresses.iter().map(internal).collect();
        admin.merge_patch(
            &format!("/api/v1/nodes/{name}/status"),
            &json!({"status": {"addresses": addresses}}),
        )?;
    }
    set_ready(admin, "worker-2", "True")
}

fn set_ready(admin: &Client, node: &str, status: &str) -> Result<()> {
    let conditions = json!([{"type": "Ready", "status": status}]);
    admin.merge_patch(
        &format!("/api/v1/nodes/{node}/status"),
        &json!({"status": {"conditions": conditions}}),
    )?;
    Ok(())
}

/// A control plane's assets, with all the credentials that there can be.
pub(super) fn rendered() -> Result<Assets> {
    let document = "apiVersion: slipway.dev/v1alpha1\nkind: Machine\n\
        node: {name: node-a, address: 10.0.2.15}\ncluster: {name: harbour}\n\
        checkpoints: {also: [kube-proxy, flannel]}\n";
    let machine = config::parse(document.as_bytes())?;
    let nothing = (pki::Given::default(), Assets::default());
    let (secrets, _) = pki::ensure(&machine, &nothing.0, &nothing.1, SystemTime::now())?;
    render::render(&machine, &secrets)
}

fn issue_token(admin: &Client) -> Result<String> {
    let review =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let issued = admin.post(&format!("{ACCOUNT}/token"), &review)?;
    let token = issued["status"]["token"].as_str();
    Ok(token.context("no token was issued")?.to_owned())
}

fn start(context: &Context, cluster: &Cluster, token: &Path, port: u16) -> Result<Child> {
    let kubeconfig = context.work.join("checkpoint.kubeconfig");
    let config = cluster.kubeconfig_with(&json!({"tokenFile": token}));
    fs::write(&kubeconfig, config.to_string())?;
    let arguments = [
        "checkpoint".to_owned(),
        "cluster".to_owned(),
        format!("--kubeconfig={}", kubeconfig.display()),
        "--node-names=node-a,worker-*".to_owned(),
        "--node-addresses=10.0.2.0/24".to_owned(),
        "--control-plane-names=node-a".to_owned(),
        "--forbidden-names=kubernetes,node-a,worker-api".to_owned(),
        "--forbidden-addresses=10.3.0.1,10.0.2.15,10.0.2.100".to_owned(),
        format!("--health-address=127.0.0.1:{port}"),
    ];
    Child::start(
        &context.slipway,
        &arguments,
        &context.work.join("checkpoint.log"),
    )
}

/// Plain HTTP, as nobody.
fn plain(port: u16) -> Result<Config> {
    Ok(Config {
        server: kubeconfig::server(&format!("http://127.0.0.1:{port}"))?,
        tls_server_name: None,
        ca_pem: Vec::new(),
        certificate: None,
        token: None,
    })
}

fn is_ready(health: &Client) -> Result<()> {
    wait::until("readiness", LIMIT, || {
        let (code, text) = health.status("/readyz")?;
        ensure!(code == 200, "/readyz says {code}: {text}");
        Ok(())
    })
}

/// Makes the request as its user.
fn ask(cluster: &Cluster, case: &Case) -> Result<()> {
    let names: Vec<_> = case.names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    for san in &mut params.subject_alt_names {
        if let rcgen::SanType::DnsName(name) = san
            && name.as_str().contains("://")
        {
            *san = rcgen::SanType::URI(name.clone());
        }
    }
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "system:nodes");
    params
        .distinguished_name
        .push(DnType::CommonName, case.common_name);
    let pem = params.serialize_request(&KeyPair::generate()?)?.pem()?;
    cluster.client_of(case.user, case.groups)?.create(&json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "CertificateSigningRequest",
        "metadata": {"name": case.name},
        "spec": {
            "request": STANDARD.encode(pem), "signerName": case.signer,
            "usages": ["digital signature", case.usage],
        },
    }))?;
    Ok(())
}

fn is_decided(admin: &Client, case: &Case) -> Result<()> {
    let (kind, reason) = case.verdict.context("nobody decides it")?;
    wait::until(&format!("verdict on {}", case.name), LIMIT, || {
        let conditions = conditions(admin, case)?;
        let [condition] = &conditions[..] else {
            anyhow::bail!("conditions {conditions:?}")
        };
        let is = |field: &str, value: &str| condition[field] == value;
        let says = condition["message"].as_str().unwrap_or_default();
        ensure!(
            is("type", kind) && is("status", "True") && is("reason", reason) && !says.is_empty(),
            "{condition} is not {kind}, {reason}"
        );
        Ok(())
    })
}

fn conditions(admin: &Client, case: &Case) -> Result<Vec<Value>> {
    let there = admin.get(&format!("{REQUESTS}/{}", case.name))?;
    let conditions = there["status"]["conditions"].as_array();
    Ok(conditions.cloned().unwrap_or_default())
}
