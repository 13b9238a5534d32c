//! The steps of a rotation, and what is true of the former authority after them.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{is_refused, shown, slipway};
use crate::node::launch::ASSETS;
use crate::node::native::Node;
use crate::node::process::{Finished, Program};

/// Files of the asset directory as they were before the rotation, which nobody may take any more.
const OLD: &str = "/root/old";
const KEPT: [&str; 3] = ["ca.crt", "admin.crt", "admin.key"];

/// How the prober tells of a certificate that no trusted key signed; the second is of an authority whose
/// successor has its name.
const UNVERIFIED: [&str; 2] = ["UnknownIssuer", "BadSignature"];

/// How kubectl tells of a 401 with a Status of the API, and of one without.
const UNAUTHORISED: [&str; 2] = [
    "Unauthorized",
    "asked for the client to provide credentials",
];

/// Keeps what whoever missed the rotation still has.
pub fn keep(node: &Node) -> Result<()> {
    fs::create_dir_all(node.path(OLD))?;
    for file in KEPT {
        let from = node.path(ASSETS).join("tls").join(file);
        fs::copy(from, node.path(OLD).join(file))?;
    }
    Ok(())
}

/// Does a step; what it said.
pub fn step(node: &Node, step: &str) -> Result<String> {
    let done = slipway(node, &["certs", "rotate", step])?;
    done.success().with_context(|| format!("the step {step}"))
}

/// A step before its time, which says why.
pub fn refused(node: &Node, step: &str, why: &str) -> Result<()> {
    let early = slipway(node, &["certs", "rotate", step])?;
    is_refused(&early, &[why]).with_context(|| format!("{step} before its time"))
}

/// Whoever trusts only the old authority refuses the API server and the kubelets (this node's, and those at
/// `kubelets`), and all of them refuse whoever shows a certificate of it.
pub fn the_old_one_is_refused(node: &Node, kubelets: &[&str]) -> Result<()> {
    let here = &*node.spec().address;
    is_refused_at(node, &format!("{here}:6443"), "/api/v1/namespaces")?;
    for address in [here].iter().chain(kubelets) {
        is_refused_at(node, &format!("{address}:10250"), "/pods")?;
    }
    Ok(())
}

fn is_refused_at(node: &Node, door: &str, path: &str) -> Result<()> {
    shown(node, door, &format!("{ASSETS}/tls/ca.crt"))?.success()?;
    let distrusted = shown(node, door, &format!("{OLD}/ca.crt"))?;
    ensure!(
        distrusted.ended.code() == Some(1)
            && UNVERIFIED.iter().any(|one| distrusted.stderr.contains(one)),
        "the old authority proves {door}: {distrusted:?}"
    );
    let old = ask(node, door, path, OLD)?;
    ensure!(
        old.ended.code() == Some(1) && UNAUTHORISED.iter().any(|one| old.stderr.contains(one)),
        "{door} takes a certificate of the old authority: {old:?}"
    );
    ask(node, door, path, &format!("{ASSETS}/tls"))?.success()?;
    Ok(())
}

/// Asks as the administrator whose certificate lies in a folder.
fn ask(node: &Node, door: &str, path: &str, folder: &str) -> Result<Finished> {
    let server = format!("--server=https://{door}");
    let authority = format!("--certificate-authority={ASSETS}/tls/ca.crt");
    let certificate = format!("--client-certificate={folder}/admin.crt");
    let key = format!("--client-key={folder}/admin.key");
    let program = ["kubectl", &server, &authority, &certificate, &key];
    node.run(&Program::new(
        [&program[..], &["get", "--raw", path]].concat(),
    ))
}
