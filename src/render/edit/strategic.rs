//! Kubernetes' strategic merge patch, for the kinds that are rendered.
//!
//! Mappings merge, null takes a field away, lists of things with a name merge by it and other lists
//! are replaced. Kubernetes reads which is which from its types' tags; the fields that have one are
//! few and their names mean the same in every kind rendered here, so a table of names does
//! (apimachinery `pkg/util/strategicpatch`, api `patchMergeKey`).

use serde_json::{Map, Value};

/// Lists that merge, and by what. Ports are told apart by what the patch names.
const MERGE_KEYS: [(&str, &str); 14] = [
    ("containers", "name"),
    ("env", "name"),
    ("ephemeralContainers", "name"),
    ("hostAliases", "ip"),
    ("imagePullSecrets", "name"),
    ("initContainers", "name"),
    ("ownerReferences", "uid"),
    ("resourceClaims", "name"),
    ("schedulingGates", "name"),
    ("secrets", "name"),
    ("topologySpreadConstraints", "topologyKey"),
    ("volumeDevices", "devicePath"),
    ("volumeMounts", "mountPath"),
    ("volumes", "name"),
];
const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";

/// Applies a patch, or says what is wrong with it.
pub fn apply(object: &mut Value, patch: &Value) -> Result<(), String> {
    match (object.as_object_mut(), patch.as_object()) {
        (Some(object), Some(patch)) => mapping(object, patch),
        _ => Err("a strategic merge patch is a mapping".to_owned()),
    }
}

fn mapping(object: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), String> {
    match directive(patch)? {
        Some("delete") => {
            object.clear();
            return Ok(());
        }
        Some("replace") => object.clear(),
        _ => retain(object, patch)?,
    }
    for (key, change) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        field(object, key, change).map_err(|why| within(key, &why))?;
    }
    Ok(())
}

fn field(object: &mut Map<String, Value>, key: &str, change: &Value) -> Result<(), String> {
    match (object.get_mut(key), change) {
        (_, Value::Null) => drop(object.remove(key)),
        (Some(Value::Object(there)), Value::Object(patch)) => mapping(there, patch)?,
        (Some(Value::Array(there)), Value::Array(patch)) => match merge_key(key, patch) {
            Some(by) => *there = list(std::mem::take(there), patch, by)?,
            None => *there = without_directives(patch)?,
        },
        _ => match plain(change)? {
            Some(value) => drop(object.insert(key.to_owned(), value)),
            None => drop(object.remove(key)),
        },
    }
    Ok(())
}

/// `a: b: why` as `a.b: why`.
fn within(key: &str, why: &str) -> String {
    match why.split_once(": ") {
        Some((path, _)) if !path.contains(' ') => format!("{key}.{why}"),
        _ => format!("{key}: {why}"),
    }
}

/// `$patch` of a mapping; other directives than those here are refused rather than overlooked.
fn directive(patch: &Map<String, Value>) -> Result<Option<&str>, String> {
    let known = |key: &&String| *key != DIRECTIVE && *key != RETAIN && key.starts_with('$');
    if let Some(key) = patch.keys().find(known) {
        return Err(format!(
            "{key} is not supported; use $patch: replace, $patch: delete or $retainKeys"
        ));
    }
    match patch.get(DIRECTIVE).map(|value| value.as_str()) {
        None => Ok(None),
        Some(Some(word @ ("replace" | "delete" | "merge"))) => Ok(Some(word)),
        Some(_) => Err("$patch is replace, delete or merge".to_owned()),
    }
}

fn retain(object: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), String> {
    let Some(keys) = patch.get(RETAIN) else {
        return Ok(());
    };
    let keys = keys.as_array().ok_or("$retainKeys is a list of fields")?;
    let kept = |key: &str| keys.iter().any(|kept| kept == key);
    let lost = |key: &&String| !key.starts_with('$') && !patch[*key].is_null() && !kept(key);
    if let Some(lost) = patch.keys().find(lost) {
        return Err(format!(
            "$retainKeys must name {lost}, which the patch sets"
        ));
    }
    object.retain(|key, _| kept(key));
    Ok(())
}

fn merge_key(field: &str, patch: &[Value]) -> Option<&'static str> {
    if field == "ports" {
        let of_container = patch.iter().any(|item| item.get("containerPort").is_some());
        return Some(if of_container {
            "containerPort"
        } else {
            "port"
        });
    }
    let entry = MERGE_KEYS.iter().find(|(name, _)| *name == field);
    entry.map(|(_, by)| *by)
}

/// Merges two lists of mappings. What the patch does not name keeps its place; what it adds comes last.
fn list(mut there: Vec<Value>, patch: &[Value], by: &str) -> Result<Vec<Value>, String> {
    let is_replace = |item: &Value| item.get(DIRECTIVE).is_some_and(|word| word == "replace");
    if patch.iter().any(is_replace) {
        let rest: Vec<_> = patch
            .iter()
            .filter(|item| !is_replace(item))
            .cloned()
            .collect();
        return without_directives(&rest);
    }
    let order = there.clone();
    let mut named = Vec::new();
    for item in patch {
        let fields = item.as_object().ok_or("its items are mappings")?;
        if !fields.contains_key(by) {
            return Err(format!("each item needs {by}, by which they are merged"));
        }
        match directive(fields).map_err(|why| within(&label(item, by), &why))? {
            Some("delete") => there.retain(|one| !same(one, item, by)),
            _ => match there.iter().position(|one| same(one, item, by)) {
                Some(at) => {
                    let mut merged = there.remove(at);
                    apply(&mut merged, item).map_err(|why| within(&label(item, by), &why))?;
                    named.push(merged);
                }
                None => named.extend(plain(item)?),
            },
        }
    }
    Ok(interleave(named, there, &order, by))
}

/// In Kubernetes' order: the patch's items as the patch has them, the others where they were among them.
fn interleave(named: Vec<Value>, others: Vec<Value>, order: &[Value], by: &str) -> Vec<Value> {
    let place = |item: &Value| order.iter().position(|one| same(one, item, by));
    let mut merged = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for item in named {
        while let Some(other) = others.peek() {
            if place(&item).is_some_and(|at| Some(at) < place(other)) {
                break;
            }
            merged.extend(others.next());
        }
        merged.push(item);
    }
    merged.extend(others);
    merged
}

/// Whether two items are the same thing. Unlike Kubernetes' own rule, which takes the first port of a
/// number, a protocol that the patch names counts: the DNS Service has port 53 twice.
fn same(one: &Value, patch: &Value, by: &str) -> bool {
    let protocol = |item: &Value| item["protocol"].as_str().unwrap_or("TCP").to_owned();
    one[by] == patch[by]
        && (!by.ends_with("ort")
            || patch.get("protocol").is_none()
            || protocol(one) == protocol(patch))
}

fn label(item: &Value, by: &str) -> String {
    match &item[by] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value that is new: without nulls and directives; `None` if it says that it is to go.
fn plain(value: &Value) -> Result<Option<Value>, String> {
    Ok(match value {
        Value::Object(fields) => {
            if directive(fields)? == Some("delete") {
                return Ok(None);
            }
            let mut made = Map::new();
            mapping(&mut made, fields)?;
            Some(Value::Object(made))
        }
        Value::Array(items) => Some(Value::Array(without_directives(items)?)),
        other => Some(other.clone()),
    })
}

fn without_directives(items: &[Value]) -> Result<Vec<Value>, String> {
    let items: Result<Vec<_>, _> = items.iter().map(plain).collect();
    Ok(items?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(object: Value, patch: &Value) -> Result<Value, String> {
        let mut object = object;
        apply(&mut object, patch).map(|()| object)
    }

    #[test]
    fn kubernetes_rules() {
        let containers = || json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}]});
        let dns =
            || json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]});
        let deploy =
            || json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}});
        let table = [
            (
                json!({"a": {"b": 1, "c": 2}}),
                json!({"a": {"b": 3, "d": {"e": null}}}),
                json!({"a": {"b": 3, "c": 2, "d": {}}}),
            ),
            (
                json!({"a": {"b": 1, "c": 2}}),
                json!({"a": {"b": null}, "x": null}),
                json!({"a": {"c": 2}}),
            ),
            (
                json!({"a": {"b": 1}}),
                json!({"a": {"$patch": "replace", "c": 2}}),
                json!({"a": {"c": 2}}),
            ),
            (
                json!({"a": {"b": 1}}),
                json!({"a": {"$patch": "delete"}}),
                json!({"a": {}}),
            ),
            (
                json!({"a": {"b": 1}}),
                json!({"a": "text"}),
                json!({"a": "text"}),
            ),
            (
                json!({}),
                json!({"a": {"$patch": "delete"}, "b": [{"$patch": "delete", "name": "x"}]}),
                json!({"b": []}),
            ),
            (
                containers(),
                json!({"containers": [{"name": "a", "image": "2"}, {"name": "c"}]}),
                json!({"containers": [{"name": "a", "image": "2"}, {"name": "b"}, {"name": "c"}]}),
            ),
            (
                containers(),
                json!({"containers": [{"name": "b", "image": "3"}, {"name": "a"}]}),
                json!({"containers": [{"name": "b", "image": "3"}, {"name": "a", "image": "1"}]}),
            ),
            (
                containers(),
                json!({"containers": [{"name": "a", "$patch": "delete"}]}),
                json!({"containers": [{"name": "b"}]}),
            ),
            (
                containers(),
                json!({"containers": [{"$patch": "replace"}, {"name": "z"}]}),
                json!({"containers": [{"name": "z"}]}),
            ),
            (
                json!({"tolerations": [{"key": "a"}]}),
                json!({"tolerations": [{"key": "b"}]}),
                json!({"tolerations": [{"key": "b"}]}),
            ),
            (
                json!({"args": ["a"]}),
                json!({"args": ["b", "c"]}),
                json!({"args": ["b", "c"]}),
            ),
            (
                json!({"volumeMounts": [{"name": "s", "mountPath": "/s"}]}),
                json!({"volumeMounts": [{"name": "t", "mountPath": "/s"}]}),
                json!({"volumeMounts": [{"name": "t", "mountPath": "/s"}]}),
            ),
            (
                json!({"hostAliases": [{"ip": "::1", "hostnames": ["a"]}]}),
                json!({"hostAliases": [{"ip": "::2"}]}),
                json!({"hostAliases": [{"ip": "::1", "hostnames": ["a"]}, {"ip": "::2"}]}),
            ),
            (
                dns(),
                json!({"ports": [{"port": 53, "protocol": "TCP", "name": "x"}]}),
                json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP", "name": "x"}]}),
            ),
            (
                dns(),
                json!({"ports": [{"port": 53, "name": "x"}]}),
                json!({"ports": [{"port": 53, "protocol": "UDP", "name": "x"}, {"port": 53, "protocol": "TCP"}]}),
            ),
            (
                json!({"ports": [{"containerPort": 1}]}),
                json!({"ports": [{"containerPort": 1, "name": "x"}]}),
                json!({"ports": [{"containerPort": 1, "name": "x"}]}),
            ),
            (
                deploy(),
                json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}),
                json!({"strategy": {"type": "Recreate"}}),
            ),
        ];
        for (object, patch, expected) in table {
            let row = format!("{object} with {patch}");
            assert_eq!(merged(object, &patch), Ok(expected), "{row}");
        }
    }

    #[test]
    fn what_does_not_apply_is_named() {
        let pod = || json!({"spec": {"containers": [{"name": "a"}]}});
        let table = [
            (json!([]), "is a mapping"),
            (
                json!({"spec": {"containers": [{"image": "x"}]}}),
                "spec.containers: each item needs name",
            ),
            (
                json!({"spec": {"containers": ["x"]}}),
                "spec.containers: its items are mappings",
            ),
            (
                json!({"spec": {"$patch": "remove"}}),
                "spec: $patch is replace, delete or merge",
            ),
            (
                json!({"spec": {"containers": [{"name": "a", "$setElementOrder/env": []}]}}),
                "spec.containers.a: $setElementOrder/env",
            ),
            (
                json!({"spec": {"$retainKeys": ["a"], "b": 1}}),
                "spec: $retainKeys must name b",
            ),
        ];
        for (patch, expected) in table {
            let error = merged(pod(), &patch).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
