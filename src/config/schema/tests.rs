//! The schema against the reader: both know the same fields, defaults and secrets.

use super::*;
use crate::config::{self, API_VERSION, KIND, document};

#[test]
fn the_fields_are_those_that_the_reader_asks_for() {
    let mut fields = FIELDS.map(|field| field.path);
    let mut asked = document::known();
    fields.sort_unstable();
    asked.sort_unstable();
    assert_eq!(fields.to_vec(), asked);
}

#[test]
fn every_section_and_field_is_described() {
    fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
        let properties = schema["properties"].as_object();
        for (key, inner) in properties.into_iter().flatten() {
            let path = format!("{path}/{key}");
            undescribed(inner, &path, found);
            undescribed(&inner["items"], &path, found);
            if inner["description"].as_str().is_none_or(str::is_empty) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    undescribed(&schema(), "", &mut found);
    assert_eq!(found, [""; 0]);
}

#[test]
fn defaults_are_what_the_reader_takes_in_their_place() {
    let mut document = json!({
        "apiVersion": API_VERSION, "kind": KIND,
        "node": {"name": "a", "address": "10.0.2.15"}, "cluster": {"name": "harbour"},
    });
    let plain = config::parse(document.to_string().as_bytes()).unwrap();
    for field in &FIELDS {
        if let Default(_) = field.need {
            let keys = field.path.split('.');
            let place = keys.fold(&mut document, |place, key| &mut place[key]);
            *place = value(field)["default"].clone();
        }
    }
    let spelled = document.to_string();
    assert!(spelled.contains("handover") && spelled.contains("6443"));
    assert_eq!(config::parse(spelled.as_bytes()).unwrap(), plain);
}

#[test]
fn what_may_be_a_secret_is_what_is_masked() {
    let sensitive = FIELDS
        .iter()
        .filter(|field| matches!(field.shape, Sensitive));
    let mut paths: Vec<_> = sensitive.map(|field| field.path).collect();
    // A manifest may be of a Secret; no reference can stand in its place.
    paths.push("manifests[].content");
    assert_eq!(paths, document::SENSITIVE);
}

#[test]
fn the_full_example_has_every_field() {
    let text = include_bytes!("../../../examples/full.yaml");
    let tree = config::yaml::read(text, &mut config::Problems::default()).unwrap();
    let images = config::IMAGES.map(|name| format!("images.{name}"));
    let fields = FIELDS.map(|field| field.path.split("[]").next().unwrap().to_owned());
    let missing: Vec<_> = fields
        .iter()
        .chain(&images)
        .filter(|path| !tree.lines.contains_key(*path))
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn required_fields_make_their_sections_required() {
    let schema = schema();
    assert_eq!(
        schema["required"],
        json!(["apiVersion", "kind", "node", "cluster"])
    );
    assert_eq!(
        schema["properties"]["node"]["required"],
        json!(["name", "address"])
    );
    assert_eq!(schema["properties"]["node"]["type"], "object");
    assert_eq!(schema["properties"]["timeouts"]["required"], json!([]));
    let patches = &schema["properties"]["patches"];
    assert_eq!(patches["items"]["required"], json!(["target"]));
    assert_eq!(patches["type"], json!(["array", "null"]));
}
