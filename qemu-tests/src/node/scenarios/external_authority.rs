//! An authority that somebody else keeps: the harness is that somebody, and does what docs/certificates.md
//! tells a person to do. A node asks, waits, launches, and later renews.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::certs::{body, second_renewal_changes_nothing, shown, under_the_prober, unnoticed};
use super::launch::launches;
use super::variants::make_authority;
use crate::node::launch::{self, ASSETS};
use crate::node::native::{Node, NodeSpec};
use crate::node::process::{Finished, Program};
use crate::process;
use crate::scenario::Context;
use crate::scenarios::{Kubectl, cluster, indented, pods, until};

/// How a person signs; word for word what docs/certificates.md says of `apiserver`.
const SIGN: &str = "openssl x509 -req -in apiserver.csr -CA signer.crt -CAkey signer.key \
                    -copy_extensions copyall -days 365 > apiserver.crt; cat signer.crt >> apiserver.crt";

/// What a control plane with etcd on its node needs of its authority.
const ASKED: usize = 7;

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

const EXIT_REFUSED: i32 = 6;

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

/// Who keeps the authority: a signer below a root, on a machine of its own.
struct Signer(PathBuf);

impl Signer {
    fn new(context: &Context) -> Result<Self> {
        let folder = context.work.join("signer");
        make_authority(&folder, "signer")?;
        Ok(Self(folder))
    }

    /// What the machine document says of it.
    fn document(&self) -> Result<String> {
        let file = |name: &str| fs::read_to_string(self.0.join(name)).context("no authority");
        let chain = file("signer.crt")? + &file("root.crt")?;
        Ok(format!(
            "certificates:\n  authority:\n    certificate: |\n{}",
            indented(&chain)
        ))
    }

    /// Signs what is asked for, and puts the answers where they are wanted. Of the node's files it sees the
    /// requests only.
    fn answer(&self, node: &Node, requests: &[Request]) -> Result<()> {
        let assets = node.path(ASSETS);
        for Request { request, answer } in requests {
            let name = request.trim_start_matches("tls/csr/");
            let name = name.trim_end_matches(".csr");
            let copy = self.0.join(format!("{name}.csr"));
            fs::copy(assets.join(request), copy).with_context(|| request.clone())?;
            let command = SIGN.replace("apiserver", name);
            process::output(
                Command::new("sh")
                    .args(["-c", &command])
                    .current_dir(&self.0),
            )?;
            let signed = fs::read(self.0.join(format!("{name}.crt")))?;
            fs::write(assets.join(answer), signed).with_context(|| answer.clone())?;
        }
        Ok(())
    }
}

/// What somebody has to sign, by paths in the asset directory.
struct Request {
    request: String,
    answer: String,
}

/// What a text for people tells to be signed: `sign REQUEST as ANSWER`.
fn requests(text: &str) -> Vec<Request> {
    let words: Vec<_> = text.split_whitespace().collect();
    let asks = words.windows(4).filter_map(|words| match words {
        ["sign", request, "as", answer] => Some(Request {
            request: (*request).to_owned(),
            answer: (*answer).to_owned(),
        }),
        _ => None,
    });
    asks.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_harness_signs_as_people_are_told() {
        let told = include_str!("../../../../docs/certificates.md");
        assert!(told.contains(&format!("`{SIGN}`")));
    }

    #[test]
    fn what_is_to_be_signed_is_read_from_the_message() {
        let text =
            "slipway: x:\nslipway:   sign tls/csr/a.csr as tls/a.crt (new)\nslipway: keep it";
        let all = requests(text);
        let all: Vec<_> = all
            .iter()
            .map(|one| (&one.request[..], &one.answer[..]))
            .collect();
        assert_eq!(all, [("tls/csr/a.csr", "tls/a.crt")]);
    }
}
