//! From a pod and the objects that it names to its checkpoint, as a pure function.
//!
//! The kubelet denies a static pod that names any object of the API (`HasAPIObjectReference` in Kubernetes'
//! pkg/api/pod), and without the API it could not read one. So a checkpoint names none: volumes become folders of the
//! node, environments become literal, and a client certificate of the same user stands where the
//! ServiceAccount's token was. What cannot be had without the API is refused by name ([`allowed`]): a checkpoint that
//! will not start is worse than none, because somebody counts on it. The road not taken is to mend the manifest when it is
//! activated: then nobody is left to ask.
//!
//! [`copy`] makes the kept checkpoint, [`activate`] the static pod. No disk, no clock, no network.

mod activate;
mod allowed;
mod arguments;
mod clean;
mod env;
mod fields;
mod kubeconfigs;
mod modes;
mod needs;
mod objects;
mod owner;
mod paths;
mod ports;
mod probes;
mod tokens;
mod volumes;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use super::Workload;
use super::workload::text;
use crate::hash::sha256;
use crate::secret::Secret;

pub use activate::activate;
pub use needs::needs;
pub use objects::{ObjectKind, ObjectRef};

/// On a checkpoint: the hash of its data files.
pub const DATA: &str = "slipway.dev/checkpoint-data";
/// On a pod: a JSON list of arguments with which its checkpoint runs.
pub const ARGUMENTS: &str = "slipway.dev/checkpoint-arguments";
/// On a pod: the same, on top, while the node's address does not answer.
pub const ARGUMENTS_CLOSED: &str = "slipway.dev/checkpoint-arguments-closed";
/// Where the files of Secrets and tokens lie, by namespace and pod.
pub const SECRETS: &str = "/etc/kubernetes/checkpoint-secrets";
/// Where the files of ConfigMaps lie, by namespace and pod.
pub const CONFIG_MAPS: &str = "/etc/kubernetes/checkpoint-configmaps";

/// What a checkpoint is made of.
pub struct Given<'a> {
    /// The pod, as the API returns it.
    pub pod: &'a Value,
    /// What it is a pod of.
    pub workload: &'a Workload,
    /// The objects that it [`needs`]; what is absent is not in the API.
    pub objects: &'a BTreeMap<(ObjectKind, String), Value>,
    /// The client certificate of its ServiceAccount's user.
    pub account: Option<&'a Account>,
    /// The cluster's authority, PEM.
    pub authority: &'a [u8],
    /// The node's name.
    pub node: &'a str,
    /// This node's own door to the API, `https://127.0.0.1:6443`.
    pub loopback: &'a str,
}

/// A client certificate for the user of a ServiceAccount.
#[derive(Clone, Debug)]
pub struct Account {
    /// The chain, PEM.
    pub certificate: Vec<u8>,
    /// Its key, PEM.
    pub key: Secret,
}

/// A kept checkpoint.
#[derive(Clone, Debug)]
pub struct Copy {
    /// The pod's namespace.
    pub namespace: String,
    /// The name of the pod that it was taken from.
    pub pod: String,
    /// The kept manifest.
    pub manifest: Value,
    /// The files that its volumes show.
    pub files: Vec<CopyFile>,
    /// What a person should know about it; never a secret.
    pub notes: Vec<String>,
}

/// A data file in folders of 0700.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyFile {
    /// Its absolute path on the node.
    pub path: String,
    /// What is in it.
    pub bytes: Secret,
    /// 0600; 0700 where the pod may execute it.
    pub mode: u32,
    /// The user and the group who read it; root where there are none.
    pub owner: Option<(u32, u32)>,
}

/// Files by their path in a volume.
type Files = BTreeMap<String, File>;

/// A file of a volume.
struct File {
    bytes: Secret,
    mode: u32,
}

impl File {
    /// One that nobody executes.
    fn private(bytes: Secret) -> Self {
        let mode = modes::PRIVATE;
        Self { bytes, mode }
    }
}

/// Takes the checkpoint of a pod; an error tells why there can be none, and what to do about it.
pub fn copy(given: &Given<'_>) -> Result<Copy> {
    let metadata = &given.pod["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    build(given, namespace, name)
        .with_context(|| format!("no checkpoint can be taken of the pod {namespace}/{name}"))
}

fn build(given: &Given<'_>, namespace: &str, name: &str) -> Result<Copy> {
    for part in [namespace, name] {
        paths::name(part)?;
    }
    allowed::check(given.pod)?;
    let mut notes = Vec::new();
    let volumes = volumes::copy(given, &mut notes)?;
    let spec = given.pod["spec"].as_object();
    let mut spec = spec.context("it has no spec")?.clone();
    for container in containers_mut(&mut spec) {
        env::inline(given, container, &mut notes)?;
    }
    volumes::replace(&mut spec, &volumes);
    clean::spec(&mut spec, &mut notes);
    let files: Vec<_> = volumes
        .into_iter()
        .flat_map(|volume| volume.files)
        .collect();
    let all = files.iter().map(|file| (&*file.path, file.bytes.expose()));
    let manifest = clean::pod(given, spec, &data_hash(all));
    // What could not be activated would take a good one's place.
    for closed in [false, true] {
        activate(&manifest, closed)?;
    }
    notes.sort();
    notes.dedup();
    Ok(Copy {
        namespace: namespace.to_owned(),
        pod: name.to_owned(),
        manifest,
        files,
        notes,
    })
}

/// What is in the data files: another hash, another checkpoint. Their order does not matter.
pub fn data_hash<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut lines: Vec<_> = files
        .map(|(path, bytes)| format!("{path}\0{}\n", sha256(bytes)))
        .collect();
    lines.sort();
    sha256(lines.concat().as_bytes())
}

/// The items of a list; none where there is no list.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Where a pod's containers are. Those that were added to debug it are no part of it.
const CONTAINERS: [&str; 2] = ["initContainers", "containers"];

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    CONTAINERS
        .iter()
        .flat_map(|field| list(&pod["spec"][field]))
}

fn containers_mut(spec: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    spec.iter_mut()
        .filter(|(field, _)| CONTAINERS.contains(&field.as_str()))
        .filter_map(|(_, containers)| containers.as_array_mut())
        .flatten()
        .filter_map(Value::as_object_mut)
}

/// Whether the pod's addresses are the node's.
fn is_on_host_network(pod: &Value) -> bool {
    pod["spec"]["hostNetwork"] == true
}

/// Whether what a source names may be absent.
fn is_optional(source: &Value) -> bool {
    source["optional"] == true
}

/// A user's or group's number, where there is one.
fn number(value: &Value) -> Result<Option<u32>> {
    let Some(number) = value.as_u64() else {
        ensure!(value.is_null(), "{value} is no number of a user or a group");
        return Ok(None);
    };
    let number = u32::try_from(number).context("a user's or a group's number is too large")?;
    Ok(Some(number))
}

#[cfg(test)]
mod tests;
