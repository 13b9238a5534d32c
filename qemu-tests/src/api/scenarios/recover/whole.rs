//! Every field of the decoder's table, judged by an API server that reads what it never wrote.

use std::io::{Seek, Write};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use slipway::kube::Client;
use slipway::recover::decode;

use super::full::{Fill, Table};
use super::stored::{NAMESPACE, PLACES, difference, path_of};
use crate::api::Cluster;

const TABLE: &str = include_str!("../../../../../src/recover/decode/schema.txt");
/// What the API server makes whenever it reads an object that lacks it: a DaemonSet's generation once more, and a
/// security context that is empty. What it has stored itself does not lack them.
const MADE_ON_READING: [&str; 2] = [
    "deprecated.daemonset.template.generation",
    "securityContext",
];

/// Every field of the table, with a value, with zero and without.
pub fn table(cluster: &Cluster, client: &Client) -> Result<usize> {
    let table = Table::read(TABLE)?;
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (name, fill) in [
        ("values", Fill::Values),
        ("zeros", Fill::Zeros),
        ("nothing", Fill::Nothing),
    ] {
        for kind in &table.kinds {
            let place = PLACES
                .iter()
                .find(|place| (place.api_version, place.kind) == *kind);
            let place = place.with_context(|| format!("no place of {kind:?}"))?;
            let alone = matches!(place.kind, "Node" | "ClusterRole" | "ClusterRoleBinding");
            let (namespace, key) = match alone {
                true => ("", format!("/registry/{}/{name}", place.folder)),
                false => (
                    NAMESPACE,
                    format!("/registry/{}/{NAMESPACE}/{name}", place.folder),
                ),
            };
            let stored = table.object(*kind, (name, namespace), fill)?;
            put(cluster, &key, &stored)?;
            let mut meta = json!({"kind": place.kind, "metadata": {"name": name}});
            if !alone {
                meta["metadata"]["namespace"] = json!(NAMESPACE);
            }
            let mut answer = client.get(&path_of(&meta)?)?;
            if let Some(meta) = answer["metadata"].as_object_mut() {
                meta.remove("resourceVersion");
            }
            let object = decode::object(&key, &stored)?;
            ensure!(object.unknown.is_empty(), "{key}: {:?}", object.unknown);
            let mut found = Vec::new();
            let defaults = fill != Fill::Values;
            judge("", &answer, &object.object, defaults, &mut found);
            wrong.extend(
                found
                    .into_iter()
                    .map(|found| format!("{name} {}{found}", place.kind)),
            );
            compared += 1;
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(compared)
}

/// Where the API's answer is not what was decoded. `defaults` may stand where nothing or zero was.
fn judge(path: &str, answer: &Value, object: &Value, defaults: bool, wrong: &mut Vec<String>) {
    match (answer, object) {
        (Value::Object(answer), Value::Object(object)) => {
            for (key, value) in object {
                match answer.get(key) {
                    Some(answered) => {
                        judge(&format!("{path}.{key}"), answered, value, defaults, wrong)
                    }
                    None => wrong.push(format!("{path}.{key}: only decoded, {value}")),
                }
            }
            for (key, value) in answer.iter().filter(|(key, _)| !object.contains_key(*key)) {
                let made = MADE_ON_READING.contains(&key.as_str());
                if !(made || defaults && !is_zero(value)) {
                    wrong.push(format!("{path}.{key}: only in the API, {value}"));
                }
            }
        }
        (Value::Array(answers), Value::Array(items)) if answers.len() == items.len() => {
            let pairs = answers.iter().zip(items).enumerate();
            pairs.for_each(|(at, (answer, item))| {
                judge(&format!("{path}[{at}]"), answer, item, defaults, wrong);
            });
        }
        _ if defaults && is_zero(object) && !is_zero(answer) => {}
        _ => wrong.extend(difference(path, answer, object)),
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0",
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn put(cluster: &Cluster, key: &str, value: &[u8]) -> Result<()> {
    let mut file = tempfile::tempfile()?;
    file.write_all(value)?;
    file.rewind()?;
    let mut command = cluster.etcdctl();
    let status = command
        .args(["put", key])
        .stdin(file)
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "etcdctl put {key}: {status}");
    Ok(())
}
