//! What was read, by kind, namespace and name.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::checkpoint::workload::text;

/// Where the control plane lives.
pub const NAMESPACE: &str = "kube-system";

/// Objects as the API shows them; those of no namespace have an empty one.
#[derive(Clone, Debug, Default)]
pub struct Objects(BTreeMap<(String, String, String), Value>);

impl Objects {
    /// Adds an object that says its kind.
    pub fn add(&mut self, object: Value) {
        self.0.insert(key(&object), object);
    }

    /// One of the control plane's namespace.
    pub fn get(&self, kind: &str, name: &str) -> Option<&Value> {
        let key = (kind.to_owned(), NAMESPACE.to_owned(), name.to_owned());
        self.0.get(&key)
    }

    /// All of a kind.
    pub fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        let all = self.0.iter().filter(move |((of, ..), _)| of == kind);
        all.map(|(_, object)| object)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, with the data of Secrets and ConfigMaps as `newer` ones of the same name have it: what will be there once
    /// they are applied.
    #[must_use]
    pub fn with_data_of<'a>(&self, newer: impl Iterator<Item = &'a Value>) -> Self {
        let mut all = self.clone();
        for object in newer.filter(|object| is_data(object)) {
            let found = all.0.entry(key(object)).or_insert_with(|| object.clone());
            for field in ["data", "binaryData"] {
                for (key, value) in object[field].as_object().into_iter().flatten() {
                    found[field][key] = value.clone();
                }
            }
        }
        all
    }
}

fn is_data(object: &Value) -> bool {
    ["Secret", "ConfigMap"].contains(&text(&object["kind"]))
}

fn key(object: &Value) -> (String, String, String) {
    let metadata = &object["metadata"];
    let own = |value: &Value| text(value).to_owned();
    (
        own(&object["kind"]),
        own(&metadata["namespace"]),
        own(&metadata["name"]),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(data: &Value) -> Value {
        json!({ "kind": "Secret", "metadata": { "namespace": NAMESPACE, "name": "a" }, "data": data })
    }

    #[test]
    fn newer_data_counts_key_by_key() {
        let mut objects = Objects::default();
        objects.add(secret(&json!({ "own": "1", "both": "1" })));
        let newer = [secret(&json!({ "both": "2", "new": "2" }))];
        let all = objects.with_data_of(newer.iter());
        let data = &all.get("Secret", "a").unwrap()["data"];
        assert_eq!(*data, json!({ "own": "1", "both": "2", "new": "2" }));
        assert_eq!(Objects::default().with_data_of(newer.iter()).len(), 1);
    }
}
