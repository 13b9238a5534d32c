//! Putting static pods and their secrets where the kubelet finds them, and taking them away.
//!
//! Every pod is placed with a UID of our own making. The kubelet keeps a UID that a manifest
//! states, so the pod's cgroup is known before it exists, and "gone" can be told from its processes
//! (see node/processes.rs). A pod that is in place already, as the asset directory wants it, keeps its UID.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use super::plane::StaticPod;
use crate::assets::Asset;
use crate::config::yaml;
use crate::hash::hex;
use crate::node::{files, static_pods};

/// Where the temporary control plane reads its secrets.
pub const SECRETS: &str = "/etc/kubernetes/bootstrap-secrets";

/// The UID of the pod that is in place in `folder` and equals what is wanted.
pub fn uid_in_place(folder: &Path, pod: &StaticPod) -> Result<Option<String>> {
    let Some(bytes) = files::read_if_there(&folder.join(&pod.file))? else {
        return Ok(None);
    };
    let Ok(mut there) = std::str::from_utf8(&bytes)
        .map_err(anyhow::Error::from)
        .and_then(parse)
    else {
        return Ok(None);
    };
    let uid = there["metadata"]
        .as_object_mut()
        .and_then(|metadata| metadata.remove("uid"));
    let uid = uid.and_then(|uid| uid.as_str().map(str::to_owned));
    Ok(uid.filter(|_| there == pod.pod))
}

fn parse(text: &str) -> Result<Value> {
    yaml::documents(text)?.pop().context("it is empty")
}

/// Whether a manifest of the pod's name is in the folder at all.
pub fn is_in_place(folder: &Path, pod: &StaticPod) -> bool {
    folder.join(&pod.file).exists()
}

/// Puts the pod into `folder` with the given UID.
pub fn place(folder: &Path, pod: &StaticPod, uid: &str) -> Result<()> {
    let mut manifest = pod.pod.clone();
    manifest["metadata"]["uid"] = json!(uid);
    // JSON is YAML; the kubelet reads either under any name.
    let bytes = serde_json::to_vec_pretty(&manifest).context("cannot serialise a static pod")?;
    files::write(&folder.join(&pod.file), &bytes, files::PRIVATE)?;
    Ok(())
}

/// Takes the pod's manifest out of `folder`; one that is not there is success.
pub fn remove(folder: &Path, pod: &StaticPod) -> Result<()> {
    files::remove(&folder.join(&pod.file))?;
    Ok(())
}

/// A new pod UID: a random UUID (RFC 9562, version 4).
pub fn new_uid() -> Result<String> {
    let mut bytes = [0u8; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    Ok(format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    ))
}

/// Writes the bootstrap secrets, owned by the control plane's user (where we may give files away).
pub fn place_secrets(root: &Path, secrets: &[(String, Asset)]) -> Result<()> {
    let secrets = secrets.iter().map(|(path, asset)| (path.as_str(), asset));
    static_pods::place_secrets(&files::below(root, SECRETS), secrets)?;
    Ok(())
}

/// Removes the bootstrap secrets; none is success.
pub fn remove_secrets(root: &Path) -> Result<()> {
    let base = files::below(root, SECRETS);
    if !base.exists() {
        return Ok(());
    }
    fs::remove_dir_all(&base).with_context(|| format!("cannot remove {}", base.display()))?;
    files::sync_folder(base.parent().unwrap_or(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> StaticPod {
        StaticPod {
            file: "a.yaml".to_owned(),
            namespace: "kube-system".to_owned(),
            name: "a".to_owned(),
            pod: json!({"kind": "Pod", "metadata": {"name": "a"}}),
        }
    }

    #[test]
    fn a_pod_in_place_keeps_its_uid_and_a_changed_one_loses_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut pod = pod();
        assert_eq!(uid_in_place(dir.path(), &pod).unwrap(), None);
        let uid = new_uid().unwrap();
        place(dir.path(), &pod, &uid).unwrap();
        assert_eq!(uid_in_place(dir.path(), &pod).unwrap(), Some(uid));
        pod.pod["metadata"]["labels"] = json!({"x": "y"});
        assert_eq!(uid_in_place(dir.path(), &pod).unwrap(), None);
        remove(dir.path(), &pod).unwrap();
        remove(dir.path(), &pod).unwrap();
        assert!(!is_in_place(dir.path(), &pod));
    }

    #[test]
    fn a_uid_is_a_version_4_uuid() {
        let uid = new_uid().unwrap();
        assert_eq!((uid.len(), &uid[14..15]), (36, "4"));
        assert_ne!(uid, new_uid().unwrap());
    }
}
