//! The JSON Schema, judged by a validator that is none of ours: it is one of draft 2020-12, every valid document
//! passes it, and documents of a wrong shape pass neither it nor slipway.

use crate::scenario::EXAMPLE;
use crate::{cache, prereq, process, progress};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use slipway::config::{self, schema, yaml};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Values of a wrong shape, by where they stand.
fn wrong() -> Vec<(&'static str, Value)> {
    vec![
        ("/apiVersion", json!("slipway.dev/v1")),
        ("/kind", json!(null)),
        ("/role", json!("pilot")),
        ("/controlPlane", json!("stacked")),
        ("/node", json!(null)),
        ("/node/name", json!("Node_A")),
        ("/node/address", json!("here")),
        ("/node/address", json!([])),
        (
            "/node/address",
            json!(["10.0.2.15", "fd00::15", "10.0.2.16"]),
        ),
        ("/cluster/name", json!("")),
        ("/cluster/podCIDR", json!("10.2.0.0")),
        (
            "/cluster/serviceAccountKey",
            json!({"secretRef": {"vault": "x"}}),
        ),
        (
            "/cluster/serviceAccountKey",
            json!({"secretRef": {"file": "/a", "sealed": "b"}}),
        ),
        (
            "/cluster/serviceAccountKey",
            json!({"secretRef": {"credential": "machine.sa"}}),
        ),
        (
            "/cluster/serviceAccountKey",
            json!({"secretRef": {"file": "etc/key"}}),
        ),
        (
            "/cluster/serviceAccountKey",
            json!({"secretRef": {"sealed": "not base64!"}}),
        ),
        ("/api/port", json!("6443")),
        ("/api/port", json!(65_536)),
        ("/api/altNames", json!(["a", "a"])),
        ("/api/endpoint", json!("https://api.example.com")),
        ("/nodes/names", json!(["w-*-*"])),
        ("/nodes/addresses", json!(["10.0.2.15"])),
        ("/etcd/external/endpoints", json!(["http://10.0.3.1:2379"])),
        ("/etcd/external/authority", json!("/etc/ca.crt")),
        ("/certificates/keyType", json!("RSA")),
        ("/certificates/authority/key", json!(["a"])),
        ("/certificates/lifetimes/leaf", json!("1 year")),
        ("/join/token", json!({"file": "/etc/token"})),
        ("/kubernetes/version", json!("1.35.1")),
        ("/images/etcd", json!("etcd latest")),
        ("/images/pause", json!("registry.k8s.io/pause:3.10")),
        ("/images/registry", json!("https://mirror.example.com")),
        ("/network/provider", json!("calico")),
        ("/kubelet/config", json!("maxPods: 50")),
        ("/encryption/provider", json!("aescbc")),
        ("/audit/policy", json!([])),
        ("/podSecurity/enforce", json!("strict")),
        ("/arguments/kubelet", json!({"v": "4"})),
        ("/arguments/kube-proxy", json!(["v=4"])),
        ("/arguments/kube-proxy", json!({"v": 4})),
        ("/arguments/kube-proxy", json!({"--v": "4"})),
        ("/patches", json!({"kube-proxy": {}})),
        ("/patches", json!([{"strategic": {"spec": {}}}])),
        (
            "/patches",
            json!([{"target": "a/b", "strategic": {"spec": {}}}]),
        ),
        (
            "/patches",
            json!([{"target": "a", "json": [{"op": "merge", "path": ""}]}]),
        ),
        (
            "/patches",
            json!([{"target": "a", "json": [{"op": "remove"}]}]),
        ),
        ("/manifests", json!([{"name": "a.txt", "file": "/etc/a"}])),
        (
            "/manifests",
            json!([{"name": "a.yaml", "file": "etc/a.yaml"}]),
        ),
        (
            "/manifests",
            json!([{"name": "a.yaml", "content": {"kind": "Pod"}}]),
        ),
        ("/clock", json!("ntp")),
        ("/backup/keep", json!(0)),
        ("/backup/folder", json!("backups")),
        ("/backup/recipients", json!(["ssh-ed25519 AAAA"])),
        ("/timeouts/api", json!(600)),
        ("/timeouts/api", json!("soon")),
        ("/timeouts/launch", json!("1m")),
    ]
}

/// The check.
pub fn check(repo: &Path) -> Result<()> {
    prereq::schema()?;
    let work = repo.join("target/test/unit/schema");
    cache::empty(&work)?;
    let path = work.join("schema.json");
    save(&path, &schema::schema())?;
    progress::step("schema", |_| {
        let valid = valid(repo)?;
        let full = valid.first().context("there is no example")?.clone();
        let mut files = Vec::new();
        for (index, document) in valid.iter().enumerate() {
            files.push(work.join(format!("valid-{index}.json")));
            files.last().map_or(Ok(()), |file| save(file, document))?;
        }
        judge(&path, &files)?;
        for (index, (pointer, value)) in wrong().into_iter().enumerate() {
            let file = work.join(format!("wrong-{index}.json"));
            let document = with(&full, pointer, &value)?;
            save(&file, &document)?;
            let text = document.to_string();
            ensure!(
                config::parse(text.as_bytes()).is_err(),
                "slipway takes {pointer}: {value}"
            );
            ensure!(
                judge(&path, &[file]).is_err(),
                "the schema takes {pointer}: {value}"
            );
        }
        Ok(())
    })
}

/// Examples and test documents that slipway takes, the full example first.
fn valid(repo: &Path) -> Result<Vec<Value>> {
    let mut paths = vec![repo.join("examples/full.yaml"), repo.join(EXAMPLE)];
    paths.extend(cache::files_below(&repo.join("tests/documents"))?);
    let mut documents = Vec::new();
    for path in paths {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if config::parse(&bytes).is_ok() {
            documents.extend(yaml::documents(&String::from_utf8_lossy(&bytes))?);
        }
    }
    ensure!(documents.len() > 5, "hardly any document is valid");
    Ok(documents)
}

/// The document with another value at a place, which may be new.
fn with(document: &Value, pointer: &str, value: &Value) -> Result<Value> {
    let mut changed = document.clone();
    let (parent, key) = pointer.rsplit_once('/').context("no pointer")?;
    let parent = changed
        .pointer_mut(parent)
        .with_context(|| format!("no {parent}"))?;
    parent[key] = value.clone();
    Ok(changed)
}

fn save(path: &Path, value: &Value) -> Result<()> {
    let shown = || format!("cannot write {}", path.display());
    fs::write(path, value.to_string()).with_context(shown)
}

/// python3-jsonschema's program; it also judges the schema by its own draft's.
fn judge(schema: &Path, documents: &[PathBuf]) -> Result<()> {
    let mut command = Command::new("jsonschema");
    for document in documents {
        command.arg("--instance").arg(document);
    }
    process::output(command.arg(schema)).map(drop)
}
