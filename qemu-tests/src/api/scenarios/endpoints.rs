//! The rendered policy keeps Service default/kubernetes from losing its last address, and refuses nothing else.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use slipway::config::yaml;

use super::approve;
use crate::api::Cluster;
use crate::scenario::Context;
use crate::wait;

/// A policy counts once the server has learnt of it and of its binding.
const LIMIT: Duration = Duration::from_secs(30);

pub fn kept(context: &Context) -> Result<()> {
    let cluster = Cluster::start(context)?;
    let admin = cluster.admin()?;
    for object in objects() {
        admin.create(&object)?;
    }
    let assets = approve::rendered()?;
    for (_, asset) in assets.below("manifests/kubernetes-endpoints-policy") {
        let text = std::str::from_utf8(asset.bytes.expose())?;
        for object in yaml::documents(text).ok().context("it is no YAML")? {
            admin.apply(&object, "api-tier", true)?;
        }
    }
    for (path, field, other) in [
        (
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
            "endpoints",
            slice_of(2),
        ),
        (
            "/api/v1/namespaces/default/endpoints",
            "subsets",
            endpoints_of(2),
        ),
    ] {
        let patch = |name: &str, value: &Value| {
            let path = format!("{path}/{name}?dryRun=All");
            admin.merge_patch(&path, &json!({ field: value }))
        };
        wait::until("refusal", LIMIT, || {
            let answer = patch("kubernetes", &json!([]));
            let said = answer.err().map(|error| error.to_string());
            ensure!(
                said.as_ref()
                    .is_some_and(|said| said.contains("keeps its last address")),
                "to empty {path}/kubernetes: {said:?}"
            );
            Ok(())
        })?;
        patch("kubernetes", &other).with_context(|| format!("another address in {path}"))?;
        patch("another", &json!([])).with_context(|| format!("another one in {path}"))?;
    }
    Ok(())
}

fn slice_of(last: u8) -> Value {
    json!([{ "addresses": [format!("10.77.0.{last}")] }])
}

fn endpoints_of(last: u8) -> Value {
    json!([{ "addresses": [{ "ip": format!("10.77.0.{last}") }] }])
}

/// As API servers make them: this tier's makes none.
fn objects() -> Vec<Value> {
    let mut all = Vec::new();
    for name in ["kubernetes", "another"] {
        let metadata = json!({ "name": name, "namespace": "default" });
        all.push(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
            "addressType": "IPv4", "endpoints": slice_of(1),
        }));
        all.push(json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": endpoints_of(1),
        }));
    }
    all
}
