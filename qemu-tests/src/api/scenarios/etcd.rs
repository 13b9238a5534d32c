//! What slipway reads of a real etcd is what etcd's own tools say, and every way not to answer has a name.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use slipway::etcd::{Client, Endpoints, Ranged, Stored, Values};
use slipway::exit::{Exit, exit_of};

use crate::api::{Cluster, Pki, free_ports};
use crate::process;
use crate::scenario::Context;
use crate::wait;

/// How long it may take until two snapshots are of the same moment.
const QUIET_LIMIT: Duration = Duration::from_secs(60);
/// More than two pages of them.
const MAPS: usize = 1200;
const MAPS_PREFIX: &[u8] = b"/registry/configmaps/default/";
/// How long who never answers is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

pub fn gateway(context: &Context) -> Result<()> {
    let mut cluster = Cluster::start(context)?;
    let client = Client::new(&cluster.etcd()?)?;
    let ranged = pages_while_somebody_writes(&cluster, &client)?;
    members_and_status(&client, ranged.revision)?;
    who_does_not_answer(context, &cluster.etcd()?)?;
    // It renews its Lease, and nothing may be written between two snapshots.
    cluster.kill_server(Ipv4Addr::LOCALHOST.into())?;
    snapshots_are_equal(context, &cluster, &client)
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v"}})
}

/// Everything below a prefix, in order.
fn all(client: &Client, prefix: &[u8], values: Values) -> Result<(Ranged, Vec<Stored>)> {
    let mut all = Vec::new();
    let ranged = client.range(prefix, values, |stored| {
        all.push(stored);
        Ok(())
    })?;
    Ok((ranged, all))
}

fn pages_while_somebody_writes(cluster: &Cluster, client: &Client) -> Result<Ranged> {
    let admin = cluster.admin()?;
    for number in 0..MAPS {
        admin.create(&map(&format!("map-{number:04}")))?;
    }
    let enough = AtomicBool::new(false);
    let (read, written) = thread::scope(|scope| {
        let writer = scope.spawn(|| -> Result<usize> {
            let mut written = 0;
            // Between, before and after the keys that are being read.
            while !enough.load(Ordering::Relaxed) || written == 0 {
                admin.create(&map(&format!("map-{:04}-{written}", written % MAPS)))?;
                admin.create(&map(&format!("later-{written}")))?;
                written += 1;
            }
            Ok(written)
        });
        let read = (0..5)
            .map(|_| all(client, MAPS_PREFIX, Values::Kept))
            .collect::<Vec<_>>();
        enough.store(true, Ordering::Relaxed);
        (read, writer.join())
    });
    let written = written.ok().context("the writer panicked")??;
    let mut last = Ranged {
        revision: 0,
        keys: 0,
    };
    for read in read {
        let (ranged, stored) = read?;
        ensure!(
            ranged.keys == stored.len() && ranged.keys >= MAPS,
            "{ranged:?}"
        );
        ensure!(
            stored
                .iter()
                .all(|one| one.mod_revision <= ranged.revision && one.lease == 0),
            "something is newer than revision {}",
            ranged.revision
        );
        ensure!(
            stored
                .iter()
                .all(|one| one.value.expose().starts_with(b"k8s\0")),
            "a value is no object"
        );
        let keys: BTreeSet<_> = stored.iter().map(|one| one.key.clone()).collect();
        ensure!(
            keys == keys_by_etcdctl(cluster, ranged.revision)?,
            "other keys than etcdctl's"
        );
        last = ranged;
    }
    ensure!(written > 0, "nobody wrote");
    let (_, keys) = all(client, MAPS_PREFIX, Values::LeftOut)?;
    ensure!(
        keys.len() >= last.keys && keys.iter().all(|one| one.value.expose().is_empty()),
        "keys alone have values"
    );
    Ok(last)
}

/// What etcdctl finds below the prefix at `revision`.
fn keys_by_etcdctl(cluster: &Cluster, revision: i64) -> Result<BTreeSet<Vec<u8>>> {
    let mut command = cluster.etcdctl();
    command.args([
        "get",
        "--prefix",
        "--keys-only",
        &format!("--rev={revision}"),
    ]);
    command.arg(String::from_utf8(MAPS_PREFIX.to_vec())?);
    let keys = process::output(&mut command)?;
    let lines = keys.lines().filter(|line| !line.is_empty());
    Ok(lines.map(|line| line.as_bytes().to_vec()).collect())
}

fn members_and_status(client: &Client, at_least: i64) -> Result<()> {
    let status = client.status()?;
    let members = client.members()?;
    let [member] = members.as_slice() else {
        anyhow::bail!("not one member: {members:?}");
    };
    ensure!(
        member.name == "api-tier" && member.id == status.leader && !member.learner,
        "{member:?}, {status:?}"
    );
    ensure!(
        member.peer_urls.len() == 1 && member.client_urls.len() == 1,
        "{member:?}"
    );
    ensure!(
        status.revision >= at_least && status.db_size > 0 && status.version.starts_with("3."),
        "{status:?}"
    );
    ensure!(status.errors.is_empty(), "{:?}", status.errors);
    Ok(())
}

fn who_does_not_answer(context: &Context, endpoints: &Endpoints) -> Result<()> {
    let [port] = free_ports()?;
    let dead = format!("https://127.0.0.1:{port}");
    let hung = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let hung = format!("https://{}", hung.local_addr()?);
    let of = |urls: Vec<String>| {
        Client::new(&Endpoints {
            urls,
            timeout: PATIENCE,
            ..endpoints.clone()
        })
    };
    let living = endpoints.urls.clone();
    of([vec![dead.clone(), hung.clone()], living].concat())?
        .status()
        .context("a living one after a dead and a hung one")?;

    let error = refused(of(vec![dead.clone()])?.status(), Exit::NotFound)?;
    contains(&error, &[&dead, "is etcd running there?"])?;
    let error = refused(of(vec![hung.clone()])?.members(), Exit::TimedOut)?;
    contains(&error, &[&hung, "timed out"])?;
    let error = refused(of(vec![hung])?.snapshot(&mut Vec::new()), Exit::TimedOut)?;
    contains(&error, &["timed out"])?;

    let stranger = Pki::new(&context.work.join("stranger"))?;
    let wrong = Endpoints {
        ca_pem: stranger.ca().into_bytes(),
        ..endpoints.clone()
    };
    let error = refused(Client::new(&wrong)?.status(), Exit::NotFound)?;
    contains(
        &error,
        &[
            "invalid peer certificate",
            "the authority that signed its certificate",
        ],
    )?;
    let nobody = Endpoints {
        certificate: None,
        ..endpoints.clone()
    };
    let error = refused(Client::new(&nobody)?.status(), Exit::NotFound)?;
    contains(&error, &["does it know our"])
}

fn refused<T>(outcome: Result<T>, exit: Exit) -> Result<String> {
    let error = outcome.err().context("it answered")?;
    ensure!(exit_of(&error) == exit, "{:?}: {error:#}", exit_of(&error));
    Ok(format!("{error:#}"))
}

fn contains(error: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(error.contains(word), "no {word:?} in: {error}");
    }
    Ok(())
}

fn snapshots_are_equal(context: &Context, cluster: &Cluster, client: &Client) -> Result<()> {
    // Between two snapshots the API server may prolong a lease, which changes the database and no revision.
    wait::until("a moment in which nothing is written", QUIET_LIMIT, || {
        snapshots_are_equal_now(context, cluster, client)
    })
}

fn snapshots_are_equal_now(context: &Context, cluster: &Cluster, client: &Client) -> Result<()> {
    let (ours, theirs) = (context.work.join("ours.db"), context.work.join("theirs.db"));
    let saved = client.snapshot(&mut File::create(&ours)?)?;
    let mut save = cluster.etcdctl();
    process::output(save.args(["snapshot", "save"]).arg(&theirs))?;
    let (our_status, their_status) = (status(cluster, &ours)?, status(cluster, &theirs)?);
    ensure!(
        our_status == their_status,
        "{our_status} is not {their_status}"
    );
    let (ranged, _) = all(client, b"", Values::LeftOut)?;
    ensure!(
        our_status["revision"] == ranged.revision && our_status["totalKey"] == ranged.keys,
        "{our_status}, but {ranged:?}"
    );
    let length = ours.metadata()?.len();
    ensure!(
        length == saved.bytes && length % 512 == 32,
        "{length} bytes, {saved:?}"
    );
    let version = our_status["version"].as_str();
    ensure!(version == Some(&saved.version), "{our_status}, {saved:?}");
    context.keep_result(&json!({"snapshot": our_status, "bytes": length}))
}

/// What etcdutl says of a snapshot.
fn status(cluster: &Cluster, path: &Path) -> Result<Value> {
    let mut command = cluster.etcdutl();
    command
        .args(["snapshot", "status", "--write-out=json"])
        .arg(path);
    Ok(serde_json::from_str(&process::output(&mut command)?)?)
}
