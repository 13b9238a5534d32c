//! The JSON Schema (draft 2020-12) of the machine document, so that editors complete and check it.
//!
//! It says what stands where, not everything that [`super::parse`] knows: that two networks overlap is no
//! matter of shape. The fields are a table of their own ([`fields`]), because the reader's questions are code; a
//! test holds the two together.

use serde_json::{Map, Value, json};

use super::sensitive::{KINDS, REF};
use super::{COMPONENTS, IMAGES, KUBERNETES_MINORS};
use Need::{Default, Required};
use Shape::{
    Arguments, Authenticators, Choice, Const, Count, Images, Mapping, OneOrTwo, Operations, Port,
    Sensitive, Text, Texts,
};
use fields::{FIELDS, Field, LISTS, Need, SECTIONS, Shape};

mod fields;

/// Where the schema says that it lives; nothing is fetched from there.
pub const ID: &str = "https://slipway.dev/schema/v1alpha1/machine.json";

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
    let about = format!(
        "What a node is and which cluster it is part of (Kubernetes {}).",
        KUBERNETES_MINORS.join(" or ")
    );
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

/// Puts a field at `path` below a section. A section with a required field is required itself, a list
/// of sections is not.
fn insert(section: &mut Map<String, Value>, path: &str, field: &Field) {
    let (key, rest) = path.split_once('.').unwrap_or((path, ""));
    let (key, is_list) = key
        .strip_suffix("[]")
        .map_or((key, false), |key| (key, true));
    let required = matches!(field.need, Required) && !is_list;
    if required
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
    let inner = properties.entry(key).or_insert_with(|| match is_list {
        true => list(key),
        false => Value::Object(self::section(key)),
    });
    let inner = match is_list {
        true => &mut inner["items"],
        false => inner,
    };
    if let Value::Object(inner) = inner {
        insert(inner, rest, field);
        if required {
            inner.insert("type".to_owned(), "object".into());
        }
    }
}

fn list(name: &str) -> Value {
    let mut items = section(name);
    items.insert("type".to_owned(), "object".into());
    let about = LISTS.iter().find(|(list, _)| *list == name);
    json!({
        "type": ["array", "null"], "items": items, "description": about.map(|(_, about)| about),
    })
}

fn value(field: &Field) -> Value {
    let mut value = shape(&field.shape);
    if !matches!(field.need, Required) {
        value = json!({"anyOf": [value, {"type": "null"}]});
    }
    value["description"] = field.about.into();
    if let Default(text) = field.need {
        value["default"] = serde_json::from_str(text).unwrap_or_else(|_| text.into());
    }
    value
}

fn shape(shape: &Shape) -> Value {
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern, "minLength": 1});
    match shape {
        Const(text) => json!({"const": text}),
        Choice(texts) => json!({"enum": texts}),
        Text(pattern, max) => {
            json!({"type": "string", "pattern": pattern, "minLength": 1, "maxLength": max})
        }
        Texts(pattern) => json!({"type": "array", "uniqueItems": true, "items": text(pattern)}),
        OneOrTwo(pattern) => json!({"anyOf": [
            text(pattern),
            {"type": "array", "minItems": 1, "maxItems": 2, "items": text(pattern)},
        ]}),
        Count(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Port => json!({"type": "integer", "minimum": 1, "maximum": 65535}),
        Sensitive => sensitive(),
        Mapping => json!({"type": "object"}),
        Images => by_name(
            &IMAGES,
            &text("^[^\\s]+[:@][^\\s]+$"),
            Some(("registry", text("^[^\\s:]+(:[0-9]+)?(/[^\\s:]+)?$"))),
        ),
        Arguments => by_name(&COMPONENTS, &flags(), None),
        Authenticators => json!({"type": "array", "items": {
            "type": "object", "required": ["issuer", "claimMappings"],
            "properties": {
                "issuer": {"type": "object", "required": ["url", "audiences"], "properties": {
                    "url": {"type": "string", "pattern": "^https://"},
                    "audiences": {"type": "array", "minItems": 1, "items": {"type": "string"}},
                }},
                "claimMappings": {"type": "object", "required": ["username"]},
            },
        }}),
        Operations => json!({"type": "array", "minItems": 1, "items": {
            "type": "object", "required": ["op", "path"], "additionalProperties": false,
            "properties": {
                "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
                "path": {"type": "string"}, "from": {"type": "string"}, "value": true,
            },
        }}),
    }
}

/// A mapping with a value of one shape for each name, and one more.
fn by_name(names: &[&str], shape: &Value, more: Option<(&str, Value)>) -> Value {
    let mut properties = Map::new();
    for (name, shape) in names.iter().map(|name| (*name, shape.clone())).chain(more) {
        properties.insert(name.to_owned(), json!({"anyOf": [shape, {"type": "null"}]}));
    }
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn flags() -> Value {
    json!({
        "type": "object", "propertyNames": {"pattern": "^[0-9A-Za-z.][0-9A-Za-z.-]*$"},
        "additionalProperties": {"anyOf": [
            {"type": ["string", "null"]}, {"type": "array", "minItems": 1, "items": {"type": "string"}},
        ]},
    })
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
