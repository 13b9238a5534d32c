//! Volumes: what they show becomes files in a folder of the node.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::kubeconfigs::Kubeconfigs;
use super::objects::{ObjectKind, project};
use super::{
    CONFIG_MAPS, CopyFile, File, Files, Given, SECRETS, allowed, containers_mut, fields, list,
    modes, owner, paths, tokens,
};
use crate::checkpoint::workload::text;
use crate::secret::Secret;

/// A volume that became a folder.
pub(super) struct Volume {
    name: String,
    folder: String,
    /// What lies there; empty if all that the volume shows is optional and absent.
    pub files: Vec<CopyFile>,
}

/// The volumes of a pod that become folders.
pub(super) fn copy(given: &Given<'_>, notes: &mut Vec<String>) -> Result<Vec<Volume>> {
    let mut kubeconfigs = Kubeconfigs::new(given)?;
    let mut all = Vec::new();
    for volume in list(&given.pod["spec"]["volumes"]) {
        let name = text(&volume["name"]);
        let files = contents(given, volume, notes).with_context(|| format!("volume {name}"))?;
        let Some(mut files) = files else { continue };
        paths::fit(name, &files)?;
        kubeconfigs.mend(&mut files, notes)?;
        let owner = owner::of(given.pod, name)?;
        let folder = folder(given.pod, volume)?;
        let files = files.into_iter().map(|(path, file)| CopyFile {
            path: format!("{folder}/{path}"),
            bytes: file.bytes,
            mode: file.mode,
            owner,
        });
        all.push(Volume {
            name: name.to_owned(),
            files: files.collect(),
            folder,
        });
    }
    notes.extend(kubeconfigs.unused());
    Ok(all)
}

/// The files that a volume shows; `None` if it stays as it is.
fn contents(given: &Given<'_>, volume: &Value, notes: &mut Vec<String>) -> Result<Option<Files>> {
    let kind = allowed::source(volume);
    let source = &volume[kind];
    let mode = &source["defaultMode"];
    let shown = |kind, name| project(given, kind, text(name), source, mode);
    let files = match kind {
        "secret" => shown(ObjectKind::Secret, &source["secretName"])?,
        "configMap" => shown(ObjectKind::ConfigMap, &source["name"])?,
        "projected" => projected(given, volume)?,
        "downwardAPI" if tells_resources(source) => {
            notes.push(format!(
                "volume {}: it tells of resources, so the kubelet fills it, with the checkpoint's own name and labels",
                text(&volume["name"])
            ));
            return Ok(None);
        }
        "downwardAPI" => downward(given, source, mode)?,
        _ => return Ok(None),
    };
    Ok(Some(files))
}

/// The sources of a projected volume, a later one over an earlier one.
fn projected(given: &Given<'_>, volume: &Value) -> Result<Files> {
    let mut files = Files::new();
    let mode = &volume["projected"]["defaultMode"];
    for source in list(&volume["projected"]["sources"]) {
        let (secret, config_map) = (&source["secret"], &source["configMap"]);
        let token = &source["serviceAccountToken"];
        if !token.is_null() {
            files.extend(tokens::stand_in(given, text(&token["path"]))?);
        } else if !secret.is_null() {
            let name = text(&secret["name"]);
            files.extend(project(given, ObjectKind::Secret, name, secret, mode)?);
        } else if text(&config_map["name"]) == tokens::AUTHORITY && tokens::is_volume(volume) {
            files.extend(authority(given, config_map, mode)?);
        } else if !config_map.is_null() {
            let name = text(&config_map["name"]);
            let shown = project(given, ObjectKind::ConfigMap, name, config_map, mode);
            files.extend(shown?);
        } else {
            let source = &source["downwardAPI"];
            ensure!(
                !tells_resources(source),
                "it tells of resources, which only the kubelet knows; tell of them in a downwardAPI volume of its own"
            );
            files.extend(downward(given, source, mode)?);
        }
    }
    Ok(files)
}

/// The node's authority, where the ConfigMap with the cluster's would be.
fn authority(given: &Given<'_>, source: &Value, default_mode: &Value) -> Result<Files> {
    let file = |item: &Value| File {
        bytes: Secret::new(given.authority),
        mode: modes::of(item, default_mode),
    };
    let items = list(&source["items"]).iter();
    let mut files = Files::new();
    for item in items.filter(|item| item["key"] == "ca.crt") {
        files.insert(paths::relative(text(&item["path"]))?, file(item));
    }
    if list(&source["items"]).is_empty() {
        files.insert("ca.crt".to_owned(), file(&Value::Null));
    }
    Ok(files)
}

fn tells_resources(source: &Value) -> bool {
    let items = list(&source["items"]);
    items.iter().any(|item| !item["resourceFieldRef"].is_null())
}

fn downward(given: &Given<'_>, source: &Value, default_mode: &Value) -> Result<Files> {
    let mut files = Files::new();
    for item in list(&source["items"]) {
        let path = text(&item["fieldRef"]["fieldPath"]);
        // In files the kubelet tells of the metadata only.
        if !path.starts_with("metadata.") {
            bail!("the field {path} cannot be had in a file; use an environment variable");
        }
        let bytes = Secret::new(fields::value(given, path)?);
        let mode = modes::of(item, default_mode);
        files.insert(paths::relative(text(&item["path"]))?, File { bytes, mode });
    }
    Ok(files)
}

/// What a volume shows alone, and so may be called after: a kind and a name.
fn object(volume: &Value) -> Option<(&str, &str)> {
    let secret = volume["secret"]["secretName"].as_str();
    let config_map = volume["configMap"]["name"].as_str();
    let secret = secret.map(|name| ("secret", name));
    secret.or(config_map.map(|name| ("configMap", name)))
}

/// Where a volume's files lie. The folder has the object's name, as the original's; the volume's, where
/// another volume shows the same object, or has its name.
fn folder(pod: &Value, volume: &Value) -> Result<String> {
    let own = text(&volume["name"]);
    let is_taken = |shown: (&str, &str)| {
        let mut others = list(&pod["spec"]["volumes"]).iter();
        others.any(|other| {
            let name = text(&other["name"]);
            name != own && (name == shown.1 || object(other) == Some(shown))
        })
    };
    let name = match object(volume) {
        Some(object) if !is_taken(object) => object.1,
        _ => own,
    };
    paths::name(name)?;
    let room = match allowed::source(volume) {
        "configMap" | "downwardAPI" => CONFIG_MAPS,
        _ => SECRETS,
    };
    let metadata = &pod["metadata"];
    let (namespace, pod) = (text(&metadata["namespace"]), text(&metadata["name"]));
    Ok(format!("{room}/{namespace}/{pod}/{name}"))
}

/// Puts the folders into the pod.
pub(super) fn replace(spec: &mut Map<String, Value>, made: &[Volume]) {
    let of = |name: &Value| made.iter().find(|made| *name == *made.name);
    let volumes = spec.get_mut("volumes").and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten() {
        if let Some(made) = of(&volume["name"]) {
            *volume = match made.files.is_empty() {
                // Nobody would make the folder.
                true => json!({ "name": made.name, "emptyDir": {} }),
                false => {
                    json!({ "name": made.name, "hostPath": { "path": made.folder, "type": "Directory" } })
                }
            };
        }
    }
    for container in containers_mut(spec) {
        let mounts = container.get_mut("volumeMounts");
        let Some(mounts) = mounts.and_then(Value::as_array_mut) else {
            continue;
        };
        let paths: Vec<_> = mounts
            .iter()
            .map(|mount| mount["mountPath"].clone())
            .collect();
        for mount in mounts {
            if of(&mount["name"]).is_some() && !has_mount_below(mount, &paths) {
                mount["readOnly"] = true.into();
            }
        }
    }
}

/// Whether another volume is mounted in this one: the runtime makes its mount point there.
fn has_mount_below(mount: &Value, paths: &[Value]) -> bool {
    let root = text(&mount["mountPath"]).trim_end_matches('/');
    let below = |path: &Value| {
        text(path)
            .strip_prefix(root)
            .is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
    };
    paths.iter().any(below)
}
