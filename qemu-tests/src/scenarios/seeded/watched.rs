//! Watches: whoever goes on from what was seen before must not miss a change.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use slipway::kube::{Client, EventKind};

use super::objects::NAMESPACE;

const NAME: &str = "log";
/// How long a watch lasts, in seconds; a change comes at once.
const SECONDS: u32 = 30;

/// Changes an object; its resourceVersion afterwards.
pub fn change(client: &Client) -> Result<u64> {
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": NAME, "namespace": NAMESPACE } });
    let path = client.path_of(&object)?;
    if client.find(&path)?.is_none() {
        client.create(&object)?;
    }
    let number = slipway::hash::sha256(client.get(&path)?.to_string().as_bytes());
    let changed = client.merge_patch(&path, &json!({ "data": { "page": number } }))?;
    let version = changed["metadata"]["resourceVersion"].as_str();
    let version = version.context("no resourceVersion")?;
    Ok(version.parse()?)
}

/// A watch from a new list tells of a change, and one from before is told to list again, or of the change too.
pub fn works(client: &Client, before: u64) -> Result<()> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    let selected = format!("{path}?fieldSelector=metadata.name%3D{NAME}");
    let list = client.list(&selected)?;
    for (from, may_be_gone) in [(list.resource_version, false), (before.to_string(), true)] {
        let changed = change(client)?;
        let told = tells(client, &selected, &from, changed);
        match told {
            Err(error) if may_be_gone && is_gone(&error) => {}
            told => told.with_context(|| format!("a watch from {from}"))?,
        }
    }
    Ok(())
}

/// The watch comes to the change, and to nothing that is older than where it began.
fn tells(client: &Client, path: &str, from: &str, changed: u64) -> Result<()> {
    let began: u64 = from.parse()?;
    for event in client.watch(path, from, SECONDS)? {
        let event = event?;
        if event.kind == EventKind::Bookmark {
            continue;
        }
        let version: u64 = event.resource_version().parse()?;
        ensure!(version > began, "it tells of {version}");
        if version == changed {
            return Ok(());
        }
    }
    anyhow::bail!("it does not tell of {changed}")
}

fn is_gone(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<slipway::kube::Error>();
    error.is_some_and(slipway::kube::Error::is_gone)
}
