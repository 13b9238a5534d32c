//! Who owns which field of an object: `metadata.managedFields`, read back.
//!
//! A manager that applies an object again has to repeat every field it owns, or loses it. What it owns
//! is written in the object itself, so one field can be changed without knowing what else was applied,
//! and without taking back what others have changed since.

use serde_json::{Map, Value, json};

/// The part of `object` that `manager` has applied and still owns, as it would apply it again.
pub fn applied_by(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array();
    let ours = entries.into_iter().flatten().find(|entry| {
        entry["manager"] == manager
            && entry["operation"] == "Apply"
            && entry["subresource"].is_null()
    });
    let mut owned = match ours {
        Some(entry) => owned(object, &entry["fieldsV1"]),
        None => json!({}),
    };
    for field in ["apiVersion", "kind"] {
        owned[field] = object[field].clone();
    }
    for field in ["name", "namespace"] {
        if !object["metadata"][field].is_null() {
            owned["metadata"][field] = object["metadata"][field].clone();
        }
    }
    owned
}

/// `fieldsV1`: `f:NAME` is a field, `k:{..}` an item of a list by its keys, `v:..` an item that is its own
/// key, `.` the thing itself; what has nothing below it is owned whole.
fn owned(value: &Value, fields: &Value) -> Value {
    let below = fields.as_object().into_iter().flatten();
    let mut below = below.filter(|(name, _)| *name != ".").peekable();
    if below.peek().is_none() {
        return value.clone();
    }
    if let Some(items) = value.as_array() {
        return below
            .filter_map(|(name, fields)| item(items, name, fields))
            .collect();
    }
    let mut out = Map::new();
    for (name, fields) in below {
        if let Some(name) = name.strip_prefix("f:")
            && let Some(found) = value.get(name)
        {
            out.insert(name.to_owned(), owned(found, fields));
        }
    }
    Value::Object(out)
}

fn item(items: &[Value], name: &str, fields: &Value) -> Option<Value> {
    if let Some(text) = name.strip_prefix("v:") {
        let value: Value = serde_json::from_str(text).ok()?;
        return items.contains(&value).then_some(value);
    }
    let keys: Map<String, Value> = serde_json::from_str(name.strip_prefix("k:")?).ok()?;
    let found = items
        .iter()
        .find(|item| keys.iter().all(|(key, value)| &item[key] == value))?;
    let mut item = owned(found, fields);
    for (key, value) in keys {
        item[key] = value;
    }
    Some(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "a", "namespace": "b", "uid": "1", "labels": {"ours": "x", "theirs": "y"},
                "managedFields": [
                    {"manager": "slipway", "operation": "Update", "fieldsV1": {"f:metadata": {}}},
                    {"manager": "slipway", "operation": "Apply", "fieldsV1": {
                        "f:metadata": {"f:labels": {"f:ours": {}}, "f:finalizers": {"v:\"f\"": {}}},
                        "f:spec": {"f:template": {"f:spec": {"f:containers": {
                            "k:{\"name\":\"c\"}": {".": {}, "f:args": {}, "f:name": {},
                                "f:ports": {"k:{\"containerPort\":1,\"protocol\":\"TCP\"}": {"f:hostPort": {}}}}
                        }}}},
                    }},
                    {"manager": "kubectl", "operation": "Update", "fieldsV1": {}},
                ],
                "finalizers": ["e", "f"],
            },
            "spec": {"replicas": 3, "template": {"spec": {"containers": [
                {"name": "other", "args": ["no"]},
                {"name": "c", "args": ["--x"], "image": "theirs",
                 "ports": [{"containerPort": 1, "protocol": "TCP", "hostPort": 2, "name": "n"}]},
            ]}}},
            "status": {"replicas": 3},
        })
    }

    #[test]
    fn only_what_was_applied_and_is_still_ours() {
        let expected = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "namespace": "b", "labels": {"ours": "x"}, "finalizers": ["f"]},
            "spec": {"template": {"spec": {"containers": [
                {"name": "c", "args": ["--x"],
                 "ports": [{"containerPort": 1, "protocol": "TCP", "hostPort": 2}]},
            ]}}},
        });
        assert_eq!(applied_by(&deployment(), "slipway"), expected);
    }

    #[test]
    fn who_applied_nothing_owns_nothing() {
        let expected = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "b"},
        });
        assert_eq!(applied_by(&deployment(), "kubectl"), expected);
    }
}
