//! The decoder against what a real API server has stored: by every provider, as protobuf, JSON and CBOR, and with
//! every field of the table. What is decoded is compared with the API's answer to the last field.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use slipway::config::yaml;
use slipway::kube::Client;
use slipway::recover::encryption::Providers;

use super::stored::{NAMESPACE, PLACES, WIDGETS, path_of};
use super::ways::{WAYS, Way, configuration};
use super::whole;
use crate::api::Cluster;
use crate::api::cluster::Setup;
use crate::scenario::Context;
use crate::{payload, wait};

const OBJECTS: &str = include_str!("objects.yaml");
/// A definition counts once the server has learnt of it.
const LIMIT: Duration = Duration::from_secs(30);

/// By the version that the payload has.
pub fn decoder(context: &Context) -> Result<()> {
    decoder_by(context, &context.payload.join("bin/kube-apiserver"), true)
}

/// By the version before it: its objects have less fields, so the table's are not tried.
pub fn decoder_by_previous(context: &Context) -> Result<()> {
    let previous = payload::previous(&context.repo)?;
    decoder_by(context, &previous.bin.join("kube-apiserver"), false)
}

fn decoder_by(context: &Context, apiserver: &Path, whole_table: bool) -> Result<()> {
    let mut figures = serde_json::Map::new();
    for way in &WAYS {
        let compared = stored_by(context, apiserver, way, whole_table);
        let compared = compared.with_context(|| format!("stored by {}", way.name))?;
        figures.insert(way.name.to_owned(), compared.into());
    }
    context.keep_result(&json!({ "objects_compared": figures }))
}

fn stored_by(context: &Context, apiserver: &Path, way: &Way, whole_table: bool) -> Result<usize> {
    let work = context.work.join(way.name);
    fs::create_dir_all(&work)?;
    let config = way
        .provider
        .map(|provider| configuration(provider, "one", 1));
    let mut flags: Vec<_> = way.flags.iter().map(|flag| (*flag).to_owned()).collect();
    if let Some(config) = &config {
        let path = work.join("encryption.yaml");
        fs::write(&path, config)?;
        flags.push(format!("--encryption-provider-config={}", path.display()));
    }
    let providers = config
        .as_ref()
        .map(|config| Providers::parse(config.as_bytes()));
    let providers = providers.transpose()?.unwrap_or_default();
    let setup = Setup {
        work,
        apiserver: apiserver.to_owned(),
        flags,
        ..Setup::of(context)
    };
    let cluster = Cluster::with(setup)?;
    let client = cluster.admin()?;
    create(&client)?;
    let mut compared = 0;
    for place in PLACES.iter().chain([&WIDGETS]) {
        let keys = place.compare(&cluster, &client, &providers)?;
        ensure!(!keys.is_empty(), "no {} is stored", place.kind);
        compared += keys.len();
    }
    for (place, begins) in [PLACES[0], WIDGETS].iter().zip(way.begins) {
        let stored = place.stored(&cluster)?;
        ensure!(
            stored.iter().all(|entry| entry.value.starts_with(begins)),
            "not every {} is stored as {:?}",
            place.kind,
            String::from_utf8_lossy(begins)
        );
    }
    match way.provider {
        Some(provider) => refused(&cluster, provider)?,
        None if whole_table && way.name == "identity" => {
            compared += whole::table(&cluster, &client)?
        }
        None => {}
    }
    keep(context, &cluster, way, &providers)?;
    Ok(compared)
}

/// Another key of the same name, no key of that name, and what only a KMS plugin could open.
fn refused(cluster: &Cluster, provider: (&str, usize)) -> Result<()> {
    let kms = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n\
               - resources: [secrets]\n  providers:\n  - kms: {apiVersion: v2, name: x, endpoint: unix:///x}\n";
    let stored = PLACES[0].stored(cluster)?;
    let entry = stored.first().context("no Secret is stored")?;
    let plugins = b"k8s:enc:kms:v2:x:".to_vec();
    for (config, value, want) in [
        (
            configuration(provider, "one", 2),
            &entry.value,
            "the key of that name",
        ),
        (
            configuration(provider, "two", 1),
            &entry.value,
            "with the key \"one\"",
        ),
        (kms.to_owned(), &entry.value, "has no key of"),
        (kms.to_owned(), &plugins, "by a KMS plugin"),
    ] {
        let providers = Providers::parse(config.as_bytes())?;
        let opened = providers.decrypt("secrets", entry.key.as_bytes(), value);
        let said = match opened {
            Ok(_) => bail!("it was opened although {want:?} was to be said"),
            Err(error) => format!("{error:#}"),
        };
        ensure!(said.contains(want), "{said}");
    }
    Ok(())
}

/// The objects of objects.yaml with their status, and what their kinds need.
fn create(client: &Client) -> Result<()> {
    client.create(
        &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
    )?;
    let objects = yaml::documents(OBJECTS).ok();
    for object in objects.context("objects.yaml is no YAML")? {
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        let create = || client.create(&object).with_context(|| name.clone());
        let mut created = match object["kind"] == "Widget" {
            // The definition was made a moment ago.
            true => wait::until("custom resource", LIMIT, create)?,
            false => create()?,
        };
        if let (Some(status), false) = (object.get("status"), object["kind"] == "Widget") {
            created["status"] = status.clone();
            let path = format!("{}/status", path_of(&created)?);
            client
                .replace(&path, &created)
                .with_context(|| name.clone())?;
        }
    }
    Ok(())
}

/// With UPDATE_GOLDEN=1, what this way has stored of a few kinds is kept, and what it was decoded to, which was
/// just found to be the API's answer: for the unit tests and the fuzzer.
fn keep(context: &Context, cluster: &Cluster, way: &Way, providers: &Providers) -> Result<()> {
    if std::env::var_os("UPDATE_GOLDEN").is_none() {
        return Ok(());
    }
    let folder = context.repo.join("tests/stored");
    fs::create_dir_all(&folder)?;
    for place in PLACES.iter().chain([&WIDGETS]) {
        // Encrypted is encrypted, whatever is within.
        let wanted = match way.name {
            "identity" => true,
            "json" => place.kind == "Pod",
            _ => matches!(place.kind, "Secret" | "Widget"),
        };
        let stored = place.stored(cluster)?;
        let mine = stored.iter().find(|entry| entry.key.ends_with("/mine"));
        if let Some(entry) = mine.filter(|_| wanted) {
            let name = format!("{}-{}", way.name, place.kind.to_lowercase());
            let object = place.decode(providers, entry)?;
            fs::write(folder.join(&name), &entry.value)?;
            fs::write(folder.join(format!("{name}.json")), format!("{object:#}\n"))?;
        }
    }
    Ok(())
}
