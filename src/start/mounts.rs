//! From a path in a static pod to the file of the asset directory that lies there.
//!
//! Of `tls/` and the admin kubeconfig, which the original's `start` copies to the node, a pod sees what it mounts:
//! all of it, as a rendered pod does, or one folder, as a recovered one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::plane::StaticPod;
use super::seed::SECRETS;
use crate::assets::{Asset, Assets, named};

/// The file that a pod reads at `path`.
pub(super) fn file<'a>(assets: &'a Assets, pod: &Value, path: &str) -> Option<&'a Asset> {
    let seen = mounted(pod, path).and_then(|path| assets.get(&path));
    // A pod that stays reads tls/ under another folder; the file's name is what both have in common.
    seen.or_else(|| assets.get(&format!("tls/{}", path.rsplit('/').next()?)))
}

/// Where in the asset directory a path of the pod lies, if it is below the temporary control plane's secrets.
fn mounted(pod: &Value, path: &str) -> Option<String> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mounts = containers.filter_map(|container| container["volumeMounts"].as_array());
    mounts.flatten().find_map(|mount| {
        let below = path.strip_prefix(mount["mountPath"].as_str()?)?;
        let below = below.strip_prefix('/')?;
        let folder = folder(pod, mount["name"].as_str()?)?;
        Some(match folder {
            "" => format!("tls/{below}"),
            folder => format!("tls/{folder}/{below}"),
        })
    })
}

/// The folder that a volume shows, relative to the temporary control plane's secrets.
fn folder<'a>(pod: &'a Value, volume: &str) -> Option<&'a str> {
    let mut volumes = pod["spec"]["volumes"].as_array()?.iter();
    let found = volumes.find(|found| found["name"] == volume)?;
    let path = found["hostPath"]["path"].as_str()?;
    Some(path.strip_prefix(SECRETS)?.trim_matches('/'))
}

/// What the pods read, by path below the temporary control plane's secrets: what they name of all of it, and
/// every file of the folders that they mount.
pub(super) fn secrets(assets: &Assets, pods: &[StaticPod]) -> Vec<(String, Asset)> {
    let kubeconfig = assets
        .get("auth/kubeconfig")
        .map(|asset| ("kubeconfig", asset));
    let files = || assets.below("tls/").chain(kubeconfig);
    let text: String = pods.iter().map(|pod| pod.pod.to_string()).collect();
    let mut found: BTreeMap<_, _> = named(files(), &text);
    let folders: Vec<_> = pods.iter().flat_map(|pod| folders(&pod.pod)).collect();
    found.extend(files().filter(|(path, _)| {
        let mut folders = folders.iter();
        folders.any(|folder| {
            path.strip_prefix(folder)
                .is_some_and(|rest| rest.starts_with('/'))
        })
    }));
    found
        .into_iter()
        .map(|(path, asset)| (path.to_owned(), asset.clone()))
        .collect()
}

/// The folders below the temporary control plane's secrets that a pod mounts.
fn folders(pod: &Value) -> Vec<&str> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let folders = volumes.filter_map(|volume| folder(pod, volume["name"].as_str()?));
    folders.filter(|folder| !folder.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Value {
        let path = |rest: &str| json!({ "path": format!("{SECRETS}{rest}") });
        json!({ "spec": {
            "containers": [{
                "volumeMounts": [{ "name": "own", "mountPath": "/own" }, { "name": "all", "mountPath": "/all" }],
            }],
            "volumes": [
                { "name": "own", "hostPath": path("/secrets/a") },
                { "name": "all", "hostPath": path("") },
                { "name": "other", "hostPath": { "path": "/var/lib" } },
            ],
        }})
    }

    #[test]
    fn paths_lead_to_files() {
        let mut assets = Assets::default();
        for path in [
            "tls/ca.crt",
            "tls/secrets/a/ca.crt",
            "tls/secrets/ab/ca.crt",
        ] {
            assets.add(path, path);
        }
        for (path, found) in [
            ("/own/ca.crt", Some("tls/secrets/a/ca.crt")),
            ("/all/ca.crt", Some("tls/ca.crt")),
            ("/all/secrets/ab/ca.crt", Some("tls/secrets/ab/ca.crt")),
            ("/elsewhere/ca.crt", Some("tls/ca.crt")),
            ("/own/ca.key", None),
        ] {
            let file = file(&assets, &pod(), path).map(|asset| asset.bytes.expose());
            assert_eq!(file, found.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn a_folder_that_is_mounted_is_read_whole() {
        let mut assets = Assets::default();
        for path in ["tls/ca.crt", "tls/secrets/a/x", "tls/secrets/ab/y"] {
            assets.add(path, path);
        }
        let pods = [StaticPod {
            file: "a.yaml".into(),
            namespace: "kube-system".into(),
            name: "a".into(),
            pod: pod(),
        }];
        let found = secrets(&assets, &pods);
        let paths: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["secrets/a/x"]);
    }
}
