//! Tokens of ServiceAccounts that were issued before: they live exactly as long as what they are bound to.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slipway::kube::Client;

use super::objects::{ACCOUNT, NAMESPACE, pod};
use crate::wait;

/// Longer than any scenario.
const LIFE: u32 = 24 * 60 * 60;
/// An API server remembers for ten seconds whom it has let in.
const REMEMBERED: Duration = Duration::from_secs(60);
const SCHEDULERS: &str =
    "/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dkube-scheduler";
/// The name of the pod that is gone before everything else is.
const DIVER: &str = "diver";

/// A token, and what it is bound to.
#[derive(Serialize, Deserialize)]
pub struct Token {
    what: String,
    text: String,
    bound: Option<Bound>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Bound {
    path: String,
    uid: Value,
}

/// Without the token itself.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Token")
            .field(&self.what)
            .field(&self.bound)
            .finish()
    }
}

/// Issues one that is bound to nothing, one bound to the node, one to a pod that is deleted at once and, where
/// one runs, one to a pod of the control plane, which ends with its node.
pub fn issue(client: &Client, node: &str) -> Result<Vec<Token>> {
    let node_path = format!("/api/v1/nodes/{node}");
    let node = client.find(&node_path)?;
    let account = |what, bound| token(client, NAMESPACE, ACCOUNT, what, bound);
    let mut all = vec![account("bound to nothing", None)?];
    if let Some(node) = &node {
        all.push(account(
            "bound to the node",
            Some(("Node", &node_path, node)),
        )?);
    }
    let diver = client.create(&pod(DIVER))?;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{DIVER}");
    all.push(account(
        "bound to a deleted pod",
        Some(("Pod", &path, &diver)),
    )?);
    client.delete(&format!("{path}?gracePeriodSeconds=0"))?;
    // A static pod has no account.
    let schedulers = client.list(SCHEDULERS)?.items;
    let has_account = |pod: &&Value| pod["spec"]["serviceAccountName"] == "kube-scheduler";
    if let Some(scheduler) = schedulers.iter().find(has_account) {
        let name = scheduler["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!("/api/v1/namespaces/kube-system/pods/{name}");
        let bound = Some(("Pod", &*path, scheduler));
        let what = "bound to the scheduler's pod";
        all.push(token(client, "kube-system", "kube-scheduler", what, bound)?);
    }
    Ok(all)
}

fn token(
    client: &Client,
    namespace: &str,
    account: &str,
    what: &str,
    bound: Option<(&str, &str, &Value)>,
) -> Result<Token> {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
    let mut spec = json!({ "expirationSeconds": LIFE });
    if let Some((kind, _, object)) = bound {
        let metadata = &object["metadata"];
        spec["boundObjectRef"] = json!({
            "apiVersion": "v1", "kind": kind, "name": metadata["name"], "uid": metadata["uid"],
        });
    }
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec,
    });
    let answer = client.post(&path, &request)?;
    let text = answer["status"]["token"].as_str().context("no token")?;
    Ok(Token {
        what: what.to_owned(),
        text: text.to_owned(),
        bound: bound.map(|(_, path, object)| Bound {
            path: path.to_owned(),
            uid: object["metadata"]["uid"].clone(),
        }),
    })
}

/// Which of them are valid though their object is gone, or not though it is there.
pub fn judge(client: &Client, tokens: &[Token]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for token in tokens {
        let judged = wait::until("the right word about a token", REMEMBERED, || {
            let (is, should) = (is_valid(client, token)?, should_be(client, token)?);
            anyhow::ensure!(is == should, "{} is valid: {is}", token.what);
            Ok(())
        });
        wrong.extend(judged.err().map(|error| format!("the token {error:#}")));
    }
    Ok(wrong)
}

fn should_be(client: &Client, token: &Token) -> Result<bool> {
    let Some(bound) = &token.bound else {
        return Ok(true);
    };
    let object = client.find(&bound.path)?;
    Ok(object.is_some_and(|object| object["metadata"]["uid"] == bound.uid))
}

fn is_valid(client: &Client, token: &Token) -> Result<bool> {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": { "token": token.text },
    });
    let answer = client.post("/apis/authentication.k8s.io/v1/tokenreviews", &review)?;
    Ok(answer["status"]["authenticated"] == true)
}
