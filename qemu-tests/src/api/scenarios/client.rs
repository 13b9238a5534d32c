//! Create, read, replace, patch, list, delete; and how each refusal reads.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use slipway::kube::{Client, Error, Options};
use std::time::Duration;

use crate::api::{Cluster, User};
use crate::scenario::Context;
use crate::wait;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MAP: &str = "/api/v1/namespaces/default/configmaps/a";

pub fn client(context: &Context) -> Result<()> {
    let cluster = Cluster::start(context)?;
    let client = cluster.admin()?;
    life_of_an_object(&client)?;
    refusals_name_their_reason(&client)?;
    users_are_told_what_they_may_not(&cluster)?;
    ensure!(client.text("/livez")? == "ok", "/livez is not ok");
    large_answers_are_whole(&client)
}

fn map(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"key": value},
        "metadata": {"name": name, "labels": {"of": "a-test"}},
    })
}

fn life_of_an_object(client: &Client) -> Result<()> {
    let created = client.create(&map("a", "1"))?;
    ensure!(
        client.get(MAP)? == created,
        "what was created is not what is there"
    );

    let mut replaced = created.clone();
    replaced["data"]["key"] = json!("2");
    let replaced = client.replace(MAP, &replaced)?;
    ensure!(replaced["data"]["key"] == "2", "not replaced: {replaced}");
    let error = refused(client.replace(MAP, &created))?;
    ensure!(
        error.is_conflict(),
        "a stale replace was not a conflict: {error}"
    );
    contains(&error, "the object has been modified")?;

    client.merge_patch(MAP, &json!({"data": {"key": null, "other": "3"}}))?;
    ensure!(
        client.get(MAP)?["data"] == json!({"other": "3"}),
        "not patched"
    );

    let select = |values: &str| {
        let selector = slipway::kube::encode(&format!("of in ({values})"));
        client.list(&format!("{MAPS}?labelSelector={selector}"))
    };
    ensure!(select("a-test, b-test")?.items.len() == 1, "not selected");
    ensure!(select("b-test")?.items.is_empty(), "selected");

    client.delete(MAP)?;
    let error = refused(client.get(MAP))?;
    ensure!(
        error.is_not_found(),
        "a deleted object is still there: {error}"
    );
    contains(&error, "404 NotFound: configmaps \"a\" not found")
}

fn refusals_name_their_reason(client: &Client) -> Result<()> {
    client.create(&map("twice", "1"))?;
    let error = refused(client.create(&map("twice", "1")))?;
    ensure!(error.is_conflict(), "created twice: {error}");
    contains(&error, "configmaps \"twice\" already exists")?;

    let error = refused(client.create(&map("Not_A_Name", "1")))?;
    contains(&error, "422 Invalid")?;
    let Error::Status(status) = &error else {
        return Err(error.into());
    };
    let cause = status.causes.first().context("no cause")?;
    ensure!(
        cause.field == "metadata.name",
        "the cause names {:?}",
        cause.field
    );
    ensure!(
        !error.is_retryable(),
        "an invalid object is no matter of time: {error}"
    );

    let error = refused(client.get("/apis/nowhere.test/v1/things"))?;
    ensure!(error.is_not_found(), "{error}");
    contains(&error, "the server could not find the requested resource")
        .or_else(|_| contains(&error, "404 page not found"))
}

fn users_are_told_what_they_may_not(cluster: &Cluster) -> Result<()> {
    let viewer = cluster.client(User::Viewer, Options::default())?;
    // The authorizer learns of the binding by a watch.
    wait::until("right to list", Duration::from_secs(30), || {
        Ok(viewer.list(MAPS)?)
    })?;
    let error = refused(viewer.create(&map("b", "1")))?;
    ensure!(error.is_forbidden(), "{error}");
    contains(
        &error,
        "User \"viewer\" cannot create resource \"configmaps\"",
    )
}

/// The HTTP library stops at 10 MiB unless told otherwise, and cluster state is larger than that.
fn large_answers_are_whole(client: &Client) -> Result<()> {
    const COUNT: usize = 12;
    const SIZE: usize = 1_000_000;
    for number in 0..COUNT {
        client.create(&map(&format!("large-{number}"), &"x".repeat(SIZE)))?;
    }
    let list = client.list(MAPS)?;
    let sizes = list
        .items
        .iter()
        .filter_map(|item| item["data"]["key"].as_str())
        .map(str::len);
    let large = sizes.filter(|size| *size == SIZE).count();
    ensure!(
        large == COUNT,
        "{large} of {COUNT} large objects came back whole"
    );
    Ok(())
}

/// The error of a request that must fail.
pub fn refused<T>(outcome: Result<T, Error>) -> Result<Error> {
    outcome
        .err()
        .context("the server took what it should refuse")
}

/// Insists that an error says `words`.
pub fn contains(error: &Error, words: &str) -> Result<()> {
    let text = error.to_string();
    ensure!(text.contains(words), "{text:?} does not say {words:?}");
    Ok(())
}
