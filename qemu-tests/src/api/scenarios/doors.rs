//! Which of several servers answers, and what a client sees when one goes away.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use slipway::kube::{Change, Client, Error, Options, error::How, kubeconfig};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::client::{contains, refused};
use crate::api::{Cluster, HOST, User};
use crate::scenario::Context;
use crate::wait;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const EVERYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// Reaches a server that binds every address, but not one that binds 127.0.0.1.
const OTHER_DOOR: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

pub fn two_doors(context: &Context) -> Result<()> {
    let mut cluster = Cluster::start(context)?;
    let door = cluster.address();
    ensure!(
        named(&cluster, HOST, door)?.get("/version").is_ok(),
        "the door does not lead there"
    );

    let other = SocketAddr::new(OTHER_DOOR, door.port());
    let error = refused(named(&cluster, HOST, other)?.get("/version"))?;
    ensure!(
        matches!(
            error,
            Error::Unreachable {
                how: How::Refused,
                ..
            }
        ),
        "{error:?}"
    );
    contains(&error, &format!("{HOST}:{} (through {other})", door.port()))?;

    let error = refused(named(&cluster, "other.slipway.test", door)?.get("/version"))?;
    ensure!(matches!(error, Error::Tls { .. }), "{error:?}");
    contains(&error, HOST)?;

    cluster.start_server(EVERYWHERE, OTHER_DOOR)?;
    each_door_is_one_server(&cluster, door, other)?;
    cluster.terminate_server(LOOPBACK)?;
    let survivor = started(&cluster, other)?;
    wait::until("answer on loopback", Duration::from_secs(30), || {
        let there = started(&cluster, door)?;
        ensure!(there == survivor, "{there} answers");
        Ok(())
    })
}

/// A client whose kubeconfig says `host` and whose TCP goes to `door`, one connection a request.
fn named(cluster: &Cluster, host: &str, door: SocketAddr) -> Result<Client> {
    let mut config = kubeconfig::load(&cluster.kubeconfig(User::Admin))?;
    config.server.host = host.to_owned();
    let options = Options {
        connect_to: Some(door),
        ..Options::probe()
    };
    Ok(Client::new(&config, options)?)
}

/// Both share one port; the kernel prefers the listener on the specific address, every time.
fn each_door_is_one_server(cluster: &Cluster, door: SocketAddr, other: SocketAddr) -> Result<()> {
    let (here, there) = (started(cluster, door)?, started(cluster, other)?);
    ensure!(
        here != there,
        "both doors lead to the server started at {here}"
    );
    for _ in 0..20 {
        ensure!(
            started(cluster, door)? == here,
            "another server answers on {door}"
        );
        ensure!(
            started(cluster, other)? == there,
            "another server answers on {other}"
        );
    }
    Ok(())
}

/// When the process behind `door` started: its name, as it were.
fn started(cluster: &Cluster, door: SocketAddr) -> Result<String> {
    let metrics = named(cluster, HOST, door)?.text("/metrics")?;
    let line = metrics
        .lines()
        .find(|line| line.starts_with("process_start_time_seconds "));
    line.map(str::to_owned)
        .context("no process_start_time_seconds in /metrics")
}

pub fn retry(context: &Context) -> Result<()> {
    let mut cluster = Cluster::start(context)?;
    let client = cluster.admin()?;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    client.apply(&map, "slipway", true)?;

    cluster.kill_server(LOOPBACK)?;
    let error = refused(client.apply(&map, "slipway", true))?;
    ensure!(
        matches!(error, Error::Unreachable { .. }) && error.is_retryable(),
        "{error:?}"
    );
    contains(&error, &cluster.address().to_string())?;

    cluster.start_server(LOOPBACK, LOOPBACK)?;
    let applied = client.apply(&map, "slipway", true)?;
    ensure!(
        applied.change == Change::Unchanged,
        "the restart lost or changed the object"
    );

    cluster.terminate_server(LOOPBACK)?;
    cluster.start_server(LOOPBACK, LOOPBACK)?;
    ensure!(
        client.get("/version").is_ok(),
        "a kept connection outlived its server"
    );

    cluster.start_server(EVERYWHERE, OTHER_DOOR)?;
    a_dying_server_costs_no_request(&mut cluster, &client)
}

/// The other server takes over, so one repetition is all that a client needs.
fn a_dying_server_costs_no_request(cluster: &mut Cluster, client: &Client) -> Result<()> {
    let stop = AtomicBool::new(false);
    let failures = thread::scope(|scope| -> Result<Vec<Error>> {
        let asking = scope.spawn(|| {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                failures.extend(client.get("/api/v1/namespaces/default/configmaps/a").err());
            }
            failures
        });
        let killed = cluster.kill_server(LOOPBACK).and_then(|()| {
            wait::until("other server's answer", Duration::from_secs(30), || {
                Ok(client.get("/version")?)
            })
        });
        stop.store(true, Ordering::Relaxed);
        let failures = asking.join().ok().context("the asking thread panicked")?;
        killed.map(|_| failures)
    })?;
    ensure!(
        failures.is_empty(),
        "requests failed for good: {failures:?}"
    );
    Ok(())
}
