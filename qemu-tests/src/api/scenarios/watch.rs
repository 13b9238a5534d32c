//! Watches: what arrives, where they resume, how they end.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use slipway::kube::{Client, Error, Event, EventKind, Watch};
use std::net::Ipv4Addr;

use super::client::{contains, refused};
use crate::api::Cluster;
use crate::scenario::Context;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Longer than any test waits.
const LONG: u32 = 120;

pub fn watch(context: &Context) -> Result<()> {
    let mut cluster = Cluster::start(context)?;
    let client = cluster.admin()?;
    changes_arrive_in_order(&client)?;
    an_empty_version_begins_with_what_is_there(&client)?;
    the_server_ends_it_in_time(&client)?;
    let mut watch = client.watch(MAPS, &client.list(MAPS)?.resource_version, LONG)?;
    cluster.kill_server(Ipv4Addr::LOCALHOST.into())?;
    let error = next_change(&mut watch)?
        .err()
        .context("an event from a dead server")?;
    ensure!(
        matches!(error, Error::Unreachable { .. }) && error.is_retryable(),
        "{error:?}"
    );
    ensure!(watch.next().is_none(), "something follows an error");

    // A server remembers changes only since its own start.
    cluster.start_server(Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into())?;
    a_version_that_is_too_old_is_gone(&client)
}

fn create(client: &Client, name: &str) -> Result<()> {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    client.create(&map)?;
    Ok(())
}

fn changes_arrive_in_order(client: &Client) -> Result<()> {
    let from = client.list(MAPS)?.resource_version;
    let mut watch = client.watch(MAPS, &from, LONG)?;
    create(client, "a")?;
    client.merge_patch(&format!("{MAPS}/a"), &json!({"data": {"key": "1"}}))?;
    client.delete(&format!("{MAPS}/a"))?;
    create(client, "b")?;
    let expected = [
        (EventKind::Added, "a"),
        (EventKind::Modified, "a"),
        (EventKind::Deleted, "a"),
        (EventKind::Added, "b"),
    ];
    let mut events = Vec::new();
    for (kind, name) in expected {
        let event = next_change(&mut watch)??;
        ensure!(
            (event.kind, named(&event)) == (kind, name),
            "{event:?} is not {kind:?} {name}"
        );
        events.push(event);
    }
    let mut resumed = client.watch(MAPS, events[2].resource_version(), LONG)?;
    let event = next_change(&mut resumed)??;
    ensure!(named(&event) == "b", "resuming repeats or skips: {event:?}");
    Ok(())
}

fn an_empty_version_begins_with_what_is_there(client: &Client) -> Result<()> {
    let there = client.list(MAPS)?.items.len();
    let mut watch = client.watch(MAPS, "", LONG)?;
    for _ in 0..there {
        let event = next_change(&mut watch)??;
        ensure!(event.kind == EventKind::Added, "{event:?}");
    }
    create(client, "c")?;
    let event = next_change(&mut watch)??;
    ensure!(named(&event) == "c", "{event:?}");
    Ok(())
}

fn a_version_that_is_too_old_is_gone(client: &Client) -> Result<()> {
    let error = match client.watch(MAPS, "1", LONG) {
        Ok(mut watch) => refused(next_change(&mut watch)?)?,
        Err(error) => error,
    };
    ensure!(error.is_gone(), "{error}");
    contains(&error, "too old resource version")
}

fn the_server_ends_it_in_time(client: &Client) -> Result<()> {
    let from = client.list(MAPS)?.resource_version;
    for event in client.watch(MAPS, &from, 1)? {
        ensure!(
            event?.kind == EventKind::Bookmark,
            "a change out of nothing"
        );
    }
    Ok(())
}

fn named(event: &Event) -> &str {
    event.object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
}

/// The next event that is no bookmark.
fn next_change(watch: &mut Watch) -> Result<Result<Event, Error>> {
    watch
        .find(|event| {
            !matches!(
                event,
                Ok(Event {
                    kind: EventKind::Bookmark,
                    ..
                })
            )
        })
        .context("the watch ended")
}
