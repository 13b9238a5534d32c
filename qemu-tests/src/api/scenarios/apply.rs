//! Server-side apply: what it says it did, whose fields are whose, what must come first.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use slipway::kube::{Change, Client, Error};
use std::time::Duration;

use super::client::{contains, refused};
use crate::api::Cluster;
use crate::scenario::Context;
use crate::wait;

const MANAGER: &str = "slipway";

pub fn apply(context: &Context) -> Result<()> {
    let cluster = Cluster::start(context)?;
    let client = cluster.admin()?;
    a_namespace_comes_before_its_content(&client)?;
    an_apply_says_what_it_did(&client)?;
    conflicts_name_field_and_owner(&client)?;
    a_definition_comes_before_its_objects(&client)?;
    what_no_schema_knows_is_refused(&client)
}

fn map(namespace: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"key": value},
        "metadata": {"namespace": namespace, "name": "a"},
    })
}

fn a_namespace_comes_before_its_content(client: &Client) -> Result<()> {
    let error = refused(client.apply(&map("later", "1"), MANAGER, true))?;
    ensure!(error.is_not_found(), "{error}");
    contains(&error, "namespaces \"later\" not found")?;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "later"}});
    changed(client, &namespace, Change::Created)?;
    changed(client, &map("later", "1"), Change::Created)
}

fn an_apply_says_what_it_did(client: &Client) -> Result<()> {
    changed(client, &map("default", "1"), Change::Created)?;
    changed(client, &map("default", "1"), Change::Unchanged)?;
    changed(client, &map("default", "2"), Change::Changed)?;
    changed(client, &map("default", "2"), Change::Unchanged)
}

fn conflicts_name_field_and_owner(client: &Client) -> Result<()> {
    let error = refused(client.apply(&map("default", "3"), "someone", false))?;
    ensure!(error.is_conflict() && !error.is_retryable(), "{error}");
    contains(&error, "conflict with \"slipway\"")?;
    let Error::Status(status) = &error else {
        return Err(error.into());
    };
    let fields: Vec<_> = status
        .causes
        .iter()
        .map(|cause| cause.field.as_str())
        .collect();
    ensure!(fields == [".data.key"], "the conflict names {fields:?}");
    let forced = client.apply(&map("default", "3"), "someone", true)?;
    ensure!(
        forced.change == Change::Changed,
        "force did not take the field over"
    );
    let error = refused(client.apply(&map("default", "4"), MANAGER, false))?;
    contains(&error, "conflict with \"someone\"")
}

fn a_definition_comes_before_its_objects(client: &Client) -> Result<()> {
    let hull = json!({
        "apiVersion": "yard.slipway.test/v1", "kind": "Hull", "spec": {"length": 12},
        // As with kubectl, a namespace means nothing to a kind that has none.
        "metadata": {"name": "first", "namespace": "ignored"},
    });
    let error = refused(client.apply(&hull, MANAGER, true))?;
    ensure!(matches!(error, Error::UnknownKind { .. }), "{error}");
    changed(client, &hull_definition(), Change::Created)?;
    wait::until("established definition", Duration::from_secs(30), || {
        let definition = client.get(&client.path_of(&hull_definition())?)?;
        let conditions = definition["status"]["conditions"].as_array().cloned();
        let established = conditions
            .unwrap_or_default()
            .iter()
            .any(|condition| condition["type"] == "Established" && condition["status"] == "True");
        ensure!(established, "not established: {}", definition["status"]);
        Ok(())
    })?;
    // Established is the controller's word; the handler of requests follows a moment later.
    let applied = wait::until("hull", Duration::from_secs(30), || {
        Ok(client.apply(&hull, MANAGER, true)?)
    })?;
    ensure!(
        applied.object["spec"]["length"] == 12,
        "not what was applied: {}",
        applied.object
    );
    ensure!(
        applied.object["metadata"]["namespace"].is_null(),
        "it lives in a namespace"
    );
    changed(client, &hull, Change::Unchanged)
}

fn hull_definition() -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "hulls.yard.slipway.test"},
        "spec": {
            "group": "yard.slipway.test", "scope": "Cluster",
            "names": {"kind": "Hull", "plural": "hulls", "singular": "hull"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}

fn what_no_schema_knows_is_refused(client: &Client) -> Result<()> {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "a", "image": "a", "imagePullPolice": "Never"}]},
    });
    let error = refused(client.apply(&pod, MANAGER, true))?;
    ensure!(!error.is_retryable(), "{error}");
    contains(&error, "imagePullPolice")?;
    pod["spec"] = json!({"containers": [{"name": "a", "image": "a"}]});
    changed(client, &pod, Change::Created)
}

fn changed(client: &Client, object: &Value, expected: Change) -> Result<()> {
    let applied = client.apply(object, MANAGER, false)?;
    let name = slipway::kube::name_of(object);
    ensure!(
        applied.change == expected,
        "{name}: {:?} instead of {expected:?}",
        applied.change
    );
    Ok(())
}
