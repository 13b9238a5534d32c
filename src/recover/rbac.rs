//! Rights that people gave to the control plane's accounts, beside those that are rendered.

use std::collections::BTreeSet;

use serde_json::Value;

use super::component;
use super::objects::{NAMESPACE, Objects};
use crate::checkpoint::workload::text;
use crate::start::Manifest;

/// Where they lie in an asset directory.
pub const FILE: &str = "manifests/recovered-rbac.yaml";
/// What is said of each.
pub const COMMENT: &str = "Recovered: a right of the control plane that is not rendered.";

/// The bindings of the components' accounts, and the roles that they give, less what is among `rendered`.
pub fn beside(objects: &Objects, rendered: &[Manifest]) -> Vec<Value> {
    let accounts = accounts(objects);
    let is_rendered = |object: &Value| {
        let fields = ["/kind", "/metadata/name", "/metadata/namespace"];
        rendered
            .iter()
            .map(|manifest| &manifest.object)
            .any(|other| {
                fields
                    .iter()
                    .all(|field| other.pointer(field) == object.pointer(field))
            })
    };
    let mut found = Vec::new();
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        for binding in objects.of(kind).filter(|one| binds(one, &accounts)) {
            found.extend(role(objects, binding));
            found.push(binding);
        }
    }
    let mut seen = BTreeSet::new();
    let new = found
        .into_iter()
        .filter(|one| !is_rendered(one) && !is_built_in(one));
    let new = new.map(bare).filter(|one| seen.insert(one.to_string()));
    new.collect()
}

/// The ServiceAccounts of the components.
fn accounts(objects: &Objects) -> BTreeSet<String> {
    let found = component::names().filter_map(|name| component::find(objects, name));
    let names = found.map(|one| text(&one["spec"]["template"]["spec"]["serviceAccountName"]));
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn binds(binding: &Value, accounts: &BTreeSet<String>) -> bool {
    let subjects = binding["subjects"].as_array().into_iter().flatten();
    subjects.into_iter().any(|subject| {
        subject["kind"] == "ServiceAccount"
            && subject["namespace"] == NAMESPACE
            && accounts.contains(text(&subject["name"]))
    })
}

fn role<'a>(objects: &'a Objects, binding: &'a Value) -> Option<&'a Value> {
    let wanted = &binding["roleRef"];
    let mut roles = objects.of(text(&wanted["kind"]));
    roles.find(|role| {
        role["metadata"]["name"] == wanted["name"]
            && (role["kind"] == "ClusterRole"
                || role["metadata"]["namespace"] == binding["metadata"]["namespace"])
    })
}

/// Whether the API server makes it itself.
fn is_built_in(object: &Value) -> bool {
    object["metadata"]["labels"]["kubernetes.io/bootstrapping"] == "rbac-defaults"
}

/// The object without what only the server may say.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|field, _| {
            ["name", "namespace", "labels", "annotations"].contains(&field.as_str())
        });
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn binding(name: &str, account: &str, role: &str) -> Value {
        json!({
            "kind": "ClusterRoleBinding", "metadata": { "name": name, "uid": "1" },
            "roleRef": { "kind": "ClusterRole", "name": role },
            "subjects": [{ "kind": "ServiceAccount", "namespace": NAMESPACE, "name": account }],
        })
    }

    #[test]
    fn rights_of_components_that_nobody_renders() {
        let mut objects = Objects::default();
        objects.add(json!({
            "kind": "Deployment",
            "metadata": { "namespace": NAMESPACE, "name": "s", "labels": { "k8s-app": "kube-scheduler" } },
            "spec": { "template": { "spec": { "serviceAccountName": "own" } } },
        }));
        let built_in = json!({ "kubernetes.io/bootstrapping": "rbac-defaults" });
        objects.add(json!({ "kind": "ClusterRole", "metadata": { "name": "system:x", "labels": built_in } }));
        objects.add(json!({ "kind": "ClusterRole", "metadata": { "name": "made" } }));
        for (name, account, role) in [
            ("rendered", "own", "made"),
            ("by-hand", "own", "made"),
            ("built-in-role", "own", "system:x"),
            ("somebody", "other", "made"),
        ] {
            objects.add(binding(name, account, role));
        }
        let rendered = [Manifest {
            file: "manifests/a.yaml".into(),
            object: binding("rendered", "own", "other"),
        }];
        let names: Vec<_> = beside(&objects, &rendered)
            .iter()
            .map(|one| text(&one["metadata"]["name"]).to_owned())
            .collect();
        assert_eq!(names, ["built-in-role", "made", "by-hand"]);
        let all = beside(&objects, &rendered);
        assert!(all.iter().all(|one| one["metadata"]["uid"].is_null()));
    }
}
