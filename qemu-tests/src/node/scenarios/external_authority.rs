//! An authority that somebody else keeps: the harness is that somebody, and does what docs/certificates.md
//! tells a person to do. A node asks, waits, launches, and later renews.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::certs::{
    EXIT_REFUSED, body, second_renewal_changes_nothing, shown, under_the_prober, unnoticed,
};
use super::launch::launches;
use crate::node::authority::{Request, Signer, place, requests};
use crate::node::launch::{self, ASSETS};
use crate::node::native::{Node, NodeSpec};
use crate::node::process::{Finished, Program};
use crate::scenario::Context;
use crate::scenarios::{Kubectl, cluster, pods, until};

/// What a control plane with etcd on its node needs of its authority.
const ASKED: usize = 10;

/// One of each kind: what a server shows, what a person shows, and both that a kubelet has.
const RENEWED: [&str; 4] = [
    "tls/apiserver",
    "tls/admin",
    "kubelet/client",
    "kubelet/serving",
];

/// Where a certificate of the authority is shown, and the asset that it has to be.
const DOORS: [(u16, &str); 2] = [(6443, "tls/apiserver.crt"), (10250, "kubelet/serving.crt")];

/// What a controller-manager without a key says at its start (cmd/kube-controller-manager/app/certificates.go).
const SIGNS_NOTHING: &str = "Skipping CSR signer controller because no csr cert/key was specified";

/// As long as a command on a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(300);

pub fn run(context: &Context) -> Result<()> {
    let signer = Signer::new(context)?;
    let mut node = Node::create(context, NodeSpec::default())?;
    node.boot()?;
    let document = launch::document(node.spec(), &signer.document()?);
    let requests = it_asks(&node, &document)?;
    signer.answer(&node, &requests)?;
    launches(&node, &document, &["etcd.yaml"])?;
    nothing_is_signed_here(&node)?;
    everybody_is_told_whom_to_trust(&node)?;
    pods::resolve_and_reach(&node)?;
    renewed(&node, &signer)
}

/// `render` says what is to be signed and makes nothing else: the image's units go by what is not there.
fn it_asks(node: &Node, document: &str) -> Result<Vec<Request>> {
    let asked = launch::prepare(node, document)?;
    ensure!(
        asked.ended.code() == Some(EXIT_REFUSED),
        "render does not wait for a signature: {asked:?}"
    );
    let asks = requests(&asked.stderr);
    ensure!(
        asks.len() == ASKED && asked.stderr.contains("append the first 1 of"),
        "it asks for {}: {}",
        asks.len(),
        asked.stderr
    );
    let assets = format!("{ASSETS}/manifests");
    for path in ["/etc/kubernetes/kubelet/config.yaml", assets.as_str()] {
        ensure!(
            !node.path(path).exists(),
            "{path} is there before anything is signed"
        );
    }
    let listed = listed_to_sign(node)?;
    ensure!(
        listed.len() == ASKED,
        "`slipway certs` lists {listed:?} to be signed"
    );
    Ok(asks)
}

/// The certificates of which `slipway certs` says that somebody has to sign them.
fn listed_to_sign(node: &Node) -> Result<Vec<String>> {
    let list = slipway(node, &["certs", "list", "--output=json"])?.success()?;
    let list: Value = serde_json::from_str(&list)?;
    let all = list["certificates"].as_array().into_iter().flatten();
    let waiting = all.filter(|one| one["action"] == "sign");
    Ok(waiting
        .filter_map(|one| Some(one["name"].as_str()?.to_owned()))
        .collect())
}

/// No key to sign with is on the node or in the cluster, and nobody asks for a signature there.
fn nothing_is_signed_here(node: &Node) -> Result<()> {
    let key = node.path(ASSETS).join("tls/ca.key");
    ensure!(!key.exists(), "{} is there", key.display());
    for secret in node.list("/api/v1/namespaces/kube-system/secrets")? {
        let data = secret["data"].as_object().into_iter().flatten();
        let mut keys = data.filter(|(file, _)| *file == "ca.key");
        let name = cluster::name(&secret);
        ensure!(keys.next().is_none(), "Secret {name} holds a key to sign");
        ensure!(
            secret["type"] != "bootstrap.kubernetes.io/token",
            "{name} lets nodes in, who would wait for a signature"
        );
    }
    let requests = node.list("/apis/certificates.k8s.io/v1/certificatesigningrequests")?;
    ensure!(
        requests.is_empty(),
        "somebody asks the cluster for a signature: {requests:?}"
    );
    the_signers_are_off(node)
}

/// The controllers that would sign do not run; the controller-manager says so at its start.
fn the_signers_are_off(node: &Node) -> Result<()> {
    let logs = [
        "logs",
        "--namespace=kube-system",
        "deployment/kube-controller-manager",
    ];
    let said = node.kubectl(&logs, "")?;
    ensure!(
        said.contains(SIGNS_NOTHING),
        "the controller-manager does not say that it signs nothing"
    );
    Ok(())
}

/// The copy of the authority in every namespace is the asset directory's.
fn everybody_is_told_whom_to_trust(node: &Node) -> Result<()> {
    let authority = fs::read_to_string(node.path(ASSETS).join("tls/ca.crt"))?;
    let namespaces = node.list("/api/v1/namespaces")?.len();
    let path = "/api/v1/configmaps?fieldSelector=metadata.name%3Dkube-root-ca.crt";
    let copies = node.list(path)?;
    let is_right = |copy: &Value| {
        let text = copy["data"]["ca.crt"].as_str();
        text.is_some_and(|text| text.trim() == authority.trim())
    };
    ensure!(
        copies.len() == namespaces && copies.iter().all(is_right),
        "of {namespaces} namespaces these have kube-root-ca.crt: {copies:?}"
    );
    Ok(())
}

/// A successor is asked for, signed and taken, while pods and people go on asking the API.
fn renewed(node: &Node, signer: &Signer) -> Result<()> {
    let before = shown_at_doors(node)?;
    let order = [&["certs", "renew"], &RENEWED[..]].concat();
    let asks = requests(&slipway(node, &order)?.success()?);
    ensure!(
        asks.len() == RENEWED.len() && listed_to_sign(node)?.len() == RENEWED.len(),
        "{} requests wait for a signature",
        asks.len()
    );
    ensure!(
        before == shown_at_doors(node)?,
        "something else is shown before anything is signed"
    );
    a_wrong_answer_harms_nothing(node, signer, &asks)?;
    signer.answer(node, &asks)?;
    let report = under_the_prober(node, |node| {
        let renewed = slipway(node, &["certs", "renew"])?.success()?;
        for name in RENEWED {
            let line = format!("{name} is new: signed by the document's authority");
            ensure!(renewed.contains(&line), "it does not say {line}: {renewed}");
        }
        Ok(())
    })?;
    unnoticed(&report)?;
    let after = until(node, "new certificates", PATIENCE, || shown_at_doors(node))?;
    for ((old, new), (port, _)) in before.iter().zip(&after).zip(DOORS) {
        ensure!(old != new, "port {port} still shows its former certificate");
    }
    ensure!(
        listed_to_sign(node)?.is_empty(),
        "something is to be signed again"
    );
    second_renewal_changes_nothing(node)?;
    cluster::wait_until_ready(node)?;
    pods::resolve_and_reach(node)
}

/// An answer without the signer's certificate after it is refused by name, and what serves goes on serving.
fn a_wrong_answer_harms_nothing(node: &Node, signer: &Signer, asks: &[Request]) -> Result<()> {
    let mut asks = asks.iter().filter(|ask| ask.answer == DOORS[0].1);
    let request = asks.next().context("it is not asked for")?;
    let authority = format!("{ASSETS}/tls/ca.crt");
    let door = format!("{}:6443", node.spec().address);
    let before = shown(node, &door, &authority)?.success()?;
    let signed = signer.sign(node, request)?;
    let end = "-----END CERTIFICATE-----\n";
    let alone = signed.split_inclusive(end).next().unwrap_or_default();
    place(node, request, alone)?;
    let refused = slipway(node, &["certs", "renew"])?;
    let line = format!("{} (the one there is refused: ", request.answer);
    ensure!(
        refused.ended.code() == Some(EXIT_REFUSED) && refused.stderr.contains(&line),
        "a wrong answer is not refused: {refused:?}"
    );
    ensure!(
        before == shown(node, &door, &authority)?.success()?,
        "a wrong answer changed what the API server shows"
    );
    cluster::wait_until_ready(node)
}

/// The certificate at each door, which is that of the asset directory.
fn shown_at_doors(node: &Node) -> Result<Vec<String>> {
    let authority = format!("{ASSETS}/tls/ca.crt");
    let shown = DOORS.iter().map(|(port, asset)| {
        let door = format!("{}:{port}", node.spec().address);
        let shown = shown(node, &door, &authority)?.success()?;
        ensure!(
            shown.trim() == body(node, asset)?,
            "{door} does not show {asset} of the asset directory"
        );
        Ok(shown)
    });
    shown.collect()
}

fn slipway(node: &Node, arguments: &[&str]) -> Result<Finished> {
    node.start(&Program::new([&["slipway"], arguments].concat()))?
        .wait_within(PATIENCE)
}
