//! From a component's workload to its temporary static pod.
//!
//! A temporary control plane needs what a checkpoint needs, so the same code makes it: Secrets become folders,
//! the node's certificate stands in for the token, and the API is asked for at loopback. What makes it temporary is set
//! on top: its name, arguments that keep it out of the way, and no probes, because `slipway start` looks after it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use super::objects::Objects;
use super::template::{self, Here};
use crate::assets::Assets;
use crate::checkpoint::Workload;
use crate::checkpoint::copy::{
    self, ARGUMENTS, ARGUMENTS_CLOSED, Account, Copy, Given, ObjectKind, activate, copy, needs,
};
use crate::checkpoint::workload::text;
use crate::pki::CHECKPOINTS;
use crate::render::emit;
use crate::secret::Secret;
use crate::start::BOOTSTRAP_SECRETS;
use crate::start::plane::component;

/// The components of a control plane, and what each runs with while it is temporary.
const COMPONENTS: [(&str, &[&str]); 3] = [
    (
        "kube-apiserver",
        &[
            "--bind-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            "--permit-port-sharing=true",
            "--shutdown-delay-duration=0s",
        ],
    ),
    (
        "kube-controller-manager",
        &[
            "--secure-port=0",
            "--kube-api-burst=400",
            "--kube-api-qps=200",
        ],
    ),
    ("kube-scheduler", &["--secure-port=0"]),
];

/// The names of all components.
pub fn names() -> impl Iterator<Item = &'static str> {
    COMPONENTS.iter().map(|(name, _)| *name)
}

/// The workload of a component: a DaemonSet or Deployment of the control plane's namespace, by its label.
pub fn find<'a>(objects: &'a Objects, name: &str) -> Option<&'a Value> {
    let mut workloads = ["DaemonSet", "Deployment"]
        .into_iter()
        .flat_map(|kind| objects.of(kind));
    workloads.find(|workload| component(workload) == name)
}

/// A component as files of an asset directory.
#[derive(Clone, Debug)]
pub struct Extracted {
    /// Where its pod lies.
    pub file: String,
    /// The pod's text.
    pub manifest: Vec<u8>,
    /// What it reads, by path in the asset directory.
    pub files: BTreeMap<String, Secret>,
    /// The image of its first container.
    pub image: String,
    /// What a person should know; never a secret.
    pub notes: Vec<String>,
}

/// What a temporary pod is made with.
pub struct Needs<'a> {
    /// The objects as they will be when it runs.
    pub objects: &'a Objects,
    /// An asset directory with this node's certificates.
    pub keys: &'a Assets,
    /// This node.
    pub here: &'a Here,
    /// The port of the API.
    pub port: u16,
    /// Where etcd is, as `--etcd-servers` takes it, if that is known.
    pub etcd: Option<String>,
}

/// Makes the temporary pod of a component.
///
/// # Errors
/// If it cannot run without the API, or needs what is not there.
pub fn extract(name: &str, workload: &Value, needs: &Needs<'_>) -> Result<Extracted> {
    let Needs {
        objects,
        keys,
        here,
        ..
    } = *needs;
    let mut pod = template::pod(workload, name, objects, here);
    set_arguments(&mut pod, name, needs)?;
    let account = text(&pod["spec"]["serviceAccountName"]).to_owned();
    let (account, named) = (certificate(keys, &account), named(&pod, objects));
    let given = Given {
        workload: &Workload {
            namespace: text(&workload["metadata"]["namespace"]).to_owned(),
            kind: text(&workload["kind"]).to_owned(),
            name: name.to_owned(),
        },
        objects: &named,
        account: account.as_ref(),
        authority: file(keys, "tls/ca.crt")?,
        node: &here.name,
        loopback: &format!("https://127.0.0.1:{}", needs.port),
        pod: &pod,
    };
    finish(name, copy(&given)?)
}

/// On top of what its checkpoint would run with.
fn set_arguments(pod: &mut Value, name: &str, needs: &Needs<'_>) -> Result<()> {
    let own = COMPONENTS.iter().find(|(known, _)| *known == name);
    let (_, own) = own.with_context(|| format!("{name} is no component of a control plane"))?;
    let mut all: Vec<String> = own.iter().map(|&argument| argument.to_owned()).collect();
    if name == "kube-apiserver" {
        let address = needs
            .here
            .addresses
            .first()
            .context("this node has no address")?;
        all.push(format!("--advertise-address={address}"));
        all.extend(
            needs
                .etcd
                .iter()
                .map(|etcd| format!("--etcd-servers={etcd}")),
        );
    }
    let annotations = pod["metadata"]["annotations"].take();
    let before: Vec<String> = match annotations[ARGUMENTS].as_str() {
        Some(list) => serde_json::from_str(list).map_err(|_| {
            anyhow!("the annotation {ARGUMENTS} of {name} is no JSON list of texts")
        })?,
        None => Vec::new(),
    };
    let flag = |argument: &str| argument.split('=').next().unwrap_or_default().to_owned();
    let ours: Vec<_> = all.iter().map(|argument| flag(argument)).collect();
    all.extend(
        before
            .into_iter()
            .filter(|argument| !ours.contains(&flag(argument))),
    );
    pod["metadata"]["annotations"] = json!({ ARGUMENTS: serde_json::to_string(&all)? });
    // Nobody but this node reaches the API yet: who is silent is not dead.
    if let Some(closed) = annotations[ARGUMENTS_CLOSED].as_str() {
        pod["metadata"]["annotations"][ARGUMENTS_CLOSED] = closed.into();
    }
    Ok(())
}

/// The objects that the pod names.
fn named(pod: &Value, objects: &Objects) -> BTreeMap<(ObjectKind, String), Value> {
    let all = needs(pod).into_iter().filter_map(|need| {
        let object = objects.get(&need.kind.to_string(), &need.name)?.clone();
        Some(((need.kind, need.name), object))
    });
    all.collect()
}

fn certificate(keys: &Assets, account: &str) -> Option<Account> {
    let path = format!("{CHECKPOINTS}{}/{account}", super::objects::NAMESPACE);
    Some(Account {
        certificate: keys.get(&format!("{path}.crt"))?.bytes.expose().to_vec(),
        key: keys.get(&format!("{path}.key"))?.bytes.clone(),
    })
}

fn file<'a>(assets: &'a Assets, path: &str) -> Result<&'a [u8]> {
    let asset = assets.get(path);
    Ok(asset
        .with_context(|| format!("{path} is missing"))?
        .bytes
        .expose())
}

/// Where a checkpoint's files lie, and where those of a temporary control plane do, below its secrets.
const ROOMS: [(&str, &str); 2] = [
    (copy::SECRETS, "secrets"),
    (copy::CONFIG_MAPS, "config-maps"),
];

fn finish(name: &str, copied: Copy) -> Result<Extracted> {
    let (_, mut pod) = activate(&copied.manifest, true)?;
    let temporary = format!("bootstrap-{name}");
    let namespace = pod["metadata"]["namespace"].clone();
    pod["metadata"] =
        json!({ "name": temporary, "namespace": namespace, "labels": { "k8s-app": temporary } });
    for container in lists(&mut pod, "containers") {
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            container
                .as_object_mut()
                .map(|container| container.remove(probe));
        }
    }
    for volume in lists(&mut pod, "volumes") {
        if let Some(path) = volume.pointer_mut("/hostPath/path")
            && let Some(moved) = moved(text(path), BOOTSTRAP_SECRETS)
        {
            *path = moved.into();
        }
    }
    let files = copied.files.into_iter();
    let files = files.filter_map(|file| Some((moved(&file.path, "tls")?, file.bytes)));
    let short = name.strip_prefix("kube-").unwrap_or(name);
    Ok(Extracted {
        file: format!("bootstrap-manifests/bootstrap-{short}.yaml"),
        image: text(&pod["spec"]["containers"][0]["image"]).to_owned(),
        manifest: emit::text(
            &format!("The temporary {name}, recovered: as the cluster's own was, for this node."),
            &pod,
        ),
        files: files.collect(),
        notes: copied.notes,
    })
}

fn lists<'a>(pod: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    let all = pod["spec"].get_mut(field).and_then(Value::as_array_mut);
    all.into_iter().flatten()
}

/// The place in `folder` of what a checkpoint would have elsewhere: `secrets/POD/VOLUME/FILE`.
fn moved(path: &str, folder: &str) -> Option<String> {
    ROOMS.iter().find_map(|(from, to)| {
        let rest = path.strip_prefix(from)?.strip_prefix('/')?;
        let (_, rest) = rest.split_once('/')?;
        Some(format!("{folder}/{to}/{rest}"))
    })
}
