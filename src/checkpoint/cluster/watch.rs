//! The approver's eyes and hands: requests are listed, then watched for a while, and listed again.
//!
//! The list is what counts: it finds what a broken watch missed and what could not be acted on before.

use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::super::health::Health;
use super::Options;
use super::approve::{self, Finding, Verdict, decide};
use crate::kube::{self, Client, EventKind, kubeconfig};
use crate::report::Reporter;

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const NODES: &str = "/api/v1/nodes";
/// How long one watch lasts; then credentials are read again, which the kubelet renews well before they end.
const WATCH_SECONDS: u32 = 240;
/// And if a request waits for what no change of a request will tell.
const SHORT_WATCH_SECONDS: u32 = 10;

/// One list and one watch. Ends when the server ends the watch, or with the first failure.
pub fn once(options: &Options, health: &Health, reporter: &mut Reporter) -> Result<()> {
    let config = kubeconfig::load(&options.kubeconfig)?;
    let client = Client::new(&config, kube::Options::default())?;
    // Of every signer: a selector takes one, and others' requests are few.
    let there = client.list(REQUESTS)?;
    let (mut failure, mut seconds) = (None, WATCH_SECONDS);
    for csr in &there.items {
        // One request that cannot be acted on must not keep the others waiting.
        match settle(&client, csr, options, reporter) {
            Ok(Settled::Yes) => {}
            Ok(Settled::NotYet) => seconds = SHORT_WATCH_SECONDS,
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    let changes = client.watch(REQUESTS, &there.resource_version, seconds)?;
    if health.set("") {
        reporter.line("watching the requests of kubelets");
    }
    for change in changes {
        let change = match change {
            Err(error) if error.is_gone() => return Ok(()),
            change => change?,
        };
        if matches!(change.kind, EventKind::Added | EventKind::Modified) {
            let settled = settle(&client, &change.object, options, reporter)?;
            if settled == Settled::NotYet && seconds == WATCH_SECONDS {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether there is nothing left to do for a request.
#[derive(PartialEq, Eq)]
enum Settled {
    Yes,
    NotYet,
}

/// Judges one request and writes the verdict down.
fn settle(
    client: &Client,
    csr: &Value,
    options: &Options,
    reporter: &mut Reporter,
) -> Result<Settled> {
    if !approve::is_open(csr) {
        return Ok(Settled::Yes);
    }
    let name = csr["metadata"]["name"].as_str().unwrap_or_default();
    let nodes = client.list(NODES)?.items;
    let (kind, finding) = match decide(csr, &options.policy, &nodes) {
        Verdict::Ignore => return Ok(Settled::Yes),
        Verdict::Wait(why) => {
            reporter.line(format!("{name} waits\n{why}"));
            return Ok(Settled::NotYet);
        }
        Verdict::Approve(finding) => ("Approved", finding),
        Verdict::Deny(finding) => ("Denied", finding),
    };
    let Finding { reason, message } = finding;
    let path = format!("{REQUESTS}/{}/approval", kube::encode(name));
    match client.replace(&path, &decided(csr, kind, reason, &message)?) {
        Ok(_) => reporter.line(format!("{} {name}: {message}", kind.to_lowercase())),
        // Another node's approver was first, or the request is gone; if not, the next list shows it.
        Err(error) if error.is_conflict() || error.is_not_found() => log::debug!("{name}: {error}"),
        Err(error) => return Err(error).with_context(|| format!("cannot decide on {name}")),
    }
    Ok(Settled::Yes)
}

/// The request with a condition more. Its resourceVersion stays: a verdict is on what was read.
fn decided(csr: &Value, kind: &str, reason: &str, message: &str) -> Result<Value> {
    let now = OffsetDateTime::from(SystemTime::now()).replace_nanosecond(0)?;
    let mut csr = csr.clone();
    csr["apiVersion"] = json!("certificates.k8s.io/v1");
    csr["kind"] = json!("CertificateSigningRequest");
    let condition = json!({
        "type": kind, "status": "True", "reason": reason, "message": message,
        "lastUpdateTime": now.format(&Rfc3339)?,
    });
    match csr["status"]["conditions"].as_array_mut() {
        Some(conditions) => conditions.push(condition),
        None => csr["status"]["conditions"] = json!([condition]),
    }
    Ok(csr)
}
