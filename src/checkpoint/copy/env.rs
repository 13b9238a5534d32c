//! Environments: what came from objects and fields, written down.
//!
//! The order is the kubelet's (`makeEnvironmentVariables`): `envFrom` first, a later one over an earlier one, then
//! `env`. The kubelet expands `$(NAME)` in what stands in the manifest, but not in what it reads from objects, so
//! every `$` of those is doubled.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::objects::{ObjectKind, texts};
use super::{Given, fields, is_on_host_network, is_optional, list};
use crate::checkpoint::workload::text;

/// Makes a container's environment independent of the API.
pub(super) fn inline(
    given: &Given<'_>,
    container: &mut Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<()> {
    let all = Value::Object(container.clone());
    let name = text(&all["name"]);
    let mut env = Vec::new();
    for (name, value) in from_objects(given, &all, notes)? {
        env.push(literal(&name, &value));
    }
    for variable in list(&all["env"]) {
        env.extend(
            resolve(given, name, variable, notes).with_context(|| {
                format!("container {name}, variable {}", text(&variable["name"]))
            })?,
        );
    }
    container.remove("envFrom");
    match env.is_empty() {
        true => container.remove("env"),
        false => container.insert("env".into(), env.into()),
    };
    Ok(())
}

fn from_objects(
    given: &Given<'_>,
    container: &Value,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, String>> {
    let name = text(&container["name"]);
    let mut all = BTreeMap::new();
    for source in list(&container["envFrom"]) {
        let (kind, reference) = match source["secretRef"].is_null() {
            false => (ObjectKind::Secret, &source["secretRef"]),
            true => (ObjectKind::ConfigMap, &source["configMapRef"]),
        };
        let values = texts(
            given,
            kind,
            text(&reference["name"]),
            is_optional(reference),
        )
        .with_context(|| format!("container {name}, envFrom"))?;
        if kind == ObjectKind::Secret && !values.is_empty() {
            notes.push(shown(name, text(&reference["name"])));
        }
        let prefix = text(&source["prefix"]);
        all.extend((values.into_iter()).map(|(key, value)| (format!("{prefix}{key}"), value)));
    }
    Ok(all)
}

/// A variable as it stands in the checkpoint; `None` if what it comes from is absent and may be.
fn resolve(
    given: &Given<'_>,
    container: &str,
    variable: &Value,
    notes: &mut Vec<String>,
) -> Result<Option<Value>> {
    let from = variable["valueFrom"].as_object();
    let Some((kind, source)) = from.and_then(|from| from.iter().next()) else {
        return Ok(Some(variable.clone()));
    };
    let name = text(&variable["name"]);
    Ok(match kind.as_str() {
        "secretKeyRef" => {
            let value = key(given, ObjectKind::Secret, source)?;
            if value.is_some() {
                notes.push(shown(container, text(&source["name"])));
            }
            value.map(|value| literal(name, &value))
        }
        "configMapKeyRef" => {
            key(given, ObjectKind::ConfigMap, source)?.map(|value| literal(name, &value))
        }
        "fieldRef" => {
            let path = text(&source["fieldPath"]);
            // The pod network gives every pod an address of its own: the kubelet tells it.
            let is_own = path.starts_with("status.podIP") && !is_on_host_network(given.pod);
            Some(match is_own {
                true => variable.clone(),
                false => literal(name, &fields::value(given, path)?),
            })
        }
        // The kubelet works these out from the manifest, or from a file in a volume.
        "resourceFieldRef" | "fileKeyRef" => Some(variable.clone()),
        other => bail!("its value comes from a {other}, which is not known; give a value"),
    })
}

fn key(given: &Given<'_>, kind: ObjectKind, source: &Value) -> Result<Option<String>> {
    let (name, key) = (text(&source["name"]), text(&source["key"]));
    let value = texts(given, kind, name, is_optional(source))?.remove(key);
    if value.is_none() && !is_optional(source) {
        bail!("the {kind} {name} has no key {key}; add it, or mark it as optional");
    }
    Ok(value)
}

fn literal(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value.replace('$', "$$") })
}

fn shown(container: &str, secret: &str) -> String {
    format!(
        "container {container}: its environment has a value of the Secret {secret}, which an active checkpoint shows \
         to whoever may read pods; mount it as a file"
    )
}
