//! The JSON Schema (draft 2020-12) of the machine document, so that editors complete and check it.
//!
//! It says what stands where, not everything that [`super::parse`] knows: that two networks overlap is no
//! matter of shape. The fields are a table of their own, because the reader's questions are code; a
//! test holds the two together.

use serde_json::{Map, Value, json};

use super::sensitive::{KINDS, REF};
use super::{API_VERSION, KIND, KUBERNETES_MINOR, KUBERNETES_VERSION};

/// Where the schema says that it lives; nothing is fetched from there.
pub const ID: &str = "https://slipway.dev/schema/v1alpha1/machine.json";

const NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const ALT_NAME: &str = "^(\\*\\.)?[0-9A-Za-z:.-]+$";
const ADDRESS: &str = "^[0-9A-Fa-f:.]+$";
const NETWORK: &str = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$";
const DURATION: &str = "^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";

/// A field of the document.
struct Field {
    path: &'static str,
    shape: Shape,
    need: Need,
    about: &'static str,
}

/// What a field holds.
enum Shape {
    Const(&'static str),
    Choice(&'static [&'static str]),
    /// A text that matches, of at most so many characters.
    Text(&'static str, usize),
    /// A list of texts that match.
    Texts(&'static str),
    Port,
    Sensitive,
}

/// Whether a field has to be there, and what it is otherwise.
enum Need {
    Required,
    Default(&'static str),
    Optional,
}

use Need::{Default, Optional, Required};
use Shape::{Choice, Const, Port, Sensitive, Text, Texts};

const fn field(path: &'static str, shape: Shape, need: Need, about: &'static str) -> Field {
    Field {
        path,
        shape,
        need,
        about,
    }
}

const FIELDS: [Field; 19] = [
    field(
        "apiVersion",
        Const(API_VERSION),
        Required,
        "The version of this format.",
    ),
    field(
        "kind",
        Const(KIND),
        Required,
        "What the document describes.",
    ),
    field(
        "role",
        Choice(&["control-plane"]),
        Default("control-plane"),
        "What this node does in its cluster.",
    ),
    field(
        "node.name",
        Text(NAME, 63),
        Required,
        "The Node object's name and the host name.",
    ),
    field(
        "node.address",
        Text(ADDRESS, 45),
        Required,
        "The address others reach this node at; outside podCIDR and serviceCIDR.",
    ),
    field(
        "cluster.name",
        Text(NAME, 63),
        Required,
        "The cluster's name in kubeconfigs and reports.",
    ),
    field(
        "cluster.domain",
        Text(NAME, 253),
        Default("cluster.local"),
        "The DNS domain of Services.",
    ),
    field(
        "cluster.podCIDR",
        Text(NETWORK, 49),
        Default("10.2.0.0/16"),
        "Addresses of pods; every node takes a /24 (IPv4) or /64 (IPv6) of it.",
    ),
    field(
        "cluster.serviceCIDR",
        Text(NETWORK, 49),
        Default("10.3.0.0/24"),
        "Addresses of Services; /12 to /28 (IPv4), /108 to /124 (IPv6).",
    ),
    field(
        "cluster.serviceAccountKey",
        Sensitive,
        Optional,
        "The key that signs service-account tokens: P-256, PKCS #8, PEM. One is made if none is given.",
    ),
    field(
        "api.port",
        Port,
        Default("6443"),
        "The API server's port, on every address of the node.",
    ),
    field(
        "api.altNames",
        Texts(ALT_NAME),
        Optional,
        "More names and addresses of the API server, for its serving certificate.",
    ),
    field(
        "kubernetes.version",
        Text("^1\\.37\\.(0|[1-9][0-9]*)$", 16),
        Default(KUBERNETES_VERSION),
        "The Kubernetes release to launch.",
    ),
    field(
        "clock",
        Choice(&["auto", "synchronised", "unchecked"]),
        Default("auto"),
        "What is asked of the clock before certificates are made, beside being later than the image's build.",
    ),
    field(
        "timeouts.source",
        Text(DURATION, 32),
        Default("2m"),
        "Reading this document again.",
    ),
    field(
        "timeouts.clock",
        Text(DURATION, 32),
        Default("30s"),
        "The clock is synchronised.",
    ),
    field(
        "timeouts.api",
        Text(DURATION, 32),
        Default("10m"),
        "etcd and the temporary API server answer.",
    ),
    field(
        "timeouts.pods",
        Text(DURATION, 32),
        Default("20m"),
        "Every workload the cluster needs is Ready.",
    ),
    field(
        "timeouts.handover",
        Text(DURATION, 32),
        Default("2m"),
        "The temporary control plane is gone and the self-hosted one serves.",
    ),
];

/// What the sections of the document are about.
const SECTIONS: [(&str, &str); 5] = [
    ("node", "This machine."),
    ("cluster", "The cluster that it belongs to."),
    ("api", "How the API server is reached."),
    ("kubernetes", "What is launched."),
    (
        "timeouts",
        "How long each wait may take, e.g. 90s or 1m30s.",
    ),
];

/// The schema.
pub fn schema() -> Value {
    let mut root = section("");
    for field in &FIELDS {
        insert(&mut root, field.path, field);
    }
    root.insert(
        "$schema".to_owned(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    root.insert("$id".to_owned(), ID.into());
    root.insert("title".to_owned(), "slipway machine document".into());
    let about =
        format!("What a node is and which cluster it begins (Kubernetes {KUBERNETES_MINOR}).");
    root.insert("description".to_owned(), about.into());
    root.insert("type".to_owned(), "object".into());
    Value::Object(root)
}

/// A mapping with no field yet. A key without a value counts as left out.
fn section(name: &str) -> Map<String, Value> {
    let Value::Object(mut section) = json!({
        "type": ["object", "null"], "properties": {}, "required": [], "additionalProperties": false,
    }) else {
        return Map::new();
    };
    if let Some((_, about)) = SECTIONS.iter().find(|(section, _)| *section == name) {
        section.insert("description".to_owned(), (*about).into());
    }
    section
}

/// Puts a field at `path` below a section. A section with a required field is required itself.
fn insert(section: &mut Map<String, Value>, path: &str, field: &Field) {
    let (key, rest) = path.split_once('.').unwrap_or((path, ""));
    if matches!(field.need, Required)
        && let Some(Value::Array(required)) = section.get_mut("required")
        && !required.iter().any(|there| there == key)
    {
        required.push(key.into());
    }
    let Some(Value::Object(properties)) = section.get_mut("properties") else {
        return;
    };
    if rest.is_empty() {
        properties.insert(key.to_owned(), value(field));
        return;
    }
    let inner = properties
        .entry(key)
        .or_insert_with(|| Value::Object(self::section(key)));
    if let Value::Object(inner) = inner {
        insert(inner, rest, field);
        if matches!(field.need, Required) {
            inner.insert("type".to_owned(), "object".into());
        }
    }
}

fn value(field: &Field) -> Value {
    let mut value = match &field.shape {
        Const(text) => json!({"const": text}),
        Choice(texts) => json!({"enum": texts}),
        Text(pattern, max) => {
            json!({"type": "string", "pattern": pattern, "minLength": 1, "maxLength": max})
        }
        Texts(pattern) => {
            json!({"type": "array", "uniqueItems": true, "items": {"type": "string", "pattern": pattern}})
        }
        Port => json!({"type": "integer", "minimum": 1, "maximum": 65535}),
        Sensitive => sensitive(),
    };
    if !matches!(field.need, Required) {
        value = json!({"anyOf": [value, {"type": "null"}]});
    }
    value["description"] = field.about.into();
    if let Default(text) = field.need {
        value["default"] = serde_json::from_str(text).unwrap_or_else(|_| text.into());
    }
    value
}

fn sensitive() -> Value {
    let mut kinds = Map::new();
    for (kind, about, pattern) in KINDS {
        let text = json!({"type": "string", "pattern": pattern, "description": about});
        kinds.insert(kind.to_owned(), text);
    }
    let reference = json!({
        "type": "object", "properties": kinds, "minProperties": 1, "maxProperties": 1,
        "additionalProperties": false,
    });
    json!({"anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "object", "properties": {REF: reference}, "required": [REF], "additionalProperties": false},
    ]})
}

#[cfg(test)]
mod tests;
