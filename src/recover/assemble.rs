//! The asset directory of a recovered cluster: what is rendered for this machine with the kept keys, and in place of the
//! rendered temporary control plane the cluster's own, as people changed it.

use anyhow::{Context, Result};
use serde_json::Value;

use super::component::{self, Extracted};
use super::objects::Objects;
use super::rbac;
use super::template::Here;
use crate::assets::Assets;
use crate::recovery::{FILE, Recovery};
use crate::render::emit;
use crate::start::manifests;

/// What is to be assembled.
pub struct Parts<'a> {
    /// What was read.
    pub objects: &'a Objects,
    /// What the document renders to, with the cluster's keys.
    pub rendered: &'a Assets,
    /// This node.
    pub here: &'a Here,
    /// The port of the API.
    pub port: u16,
    /// What `start` is to mind.
    pub recovery: &'a Recovery,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// The whole asset directory.
    pub assets: Assets,
    /// The components that were found.
    pub components: Vec<(&'static str, Extracted)>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Puts it together.
///
/// # Errors
/// If a component cannot run without the API.
pub fn assemble(parts: &Parts<'_>) -> Result<Assembled> {
    let mut assets = parts.rendered.clone();
    let (mut components, mut notes) = (Vec::new(), Vec::new());
    if !assets.is_static() {
        for name in component::names().filter(|name| parts.recovery.covers(name)) {
            match extract(parts, name)? {
                Some(found) => {
                    take(&mut assets, &found);
                    notes.extend(found.notes.iter().map(|note| format!("{name}: {note}")));
                    components.push((name, found));
                }
                None => notes.push(format!(
                    "no DaemonSet or Deployment of kube-system has the label k8s-app={name}: it is as the document renders it"
                )),
            }
        }
    }
    let rendered = manifests(parts.rendered)?;
    let bound = rbac::beside(parts.objects, &rendered);
    if !bound.is_empty() {
        let texts: Vec<_> = bound
            .iter()
            .map(|object| emit::text(rbac::COMMENT, object))
            .collect();
        assets.add(rbac::FILE, texts.join(&b"---\n"[..]));
    }
    assets.add(FILE, parts.recovery.to_json()?);
    Ok(Assembled {
        assets,
        components,
        notes,
    })
}

fn extract(parts: &Parts<'_>, name: &str) -> Result<Option<Extracted>> {
    let Some(workload) = component::find(parts.objects, name) else {
        return Ok(None);
    };
    let manifests = manifests(parts.rendered)?;
    let newer: Vec<&Value> = manifests.iter().map(|manifest| &manifest.object).collect();
    let objects = parts.objects.with_data_of(newer.into_iter());
    let (keys, here) = (parts.rendered, parts.here);
    component::extract(name, workload, &objects, keys, here, parts.port)
        .context("next step: correct the workload on a living cluster, or supply what is missing")
        .map(Some)
}

fn take(assets: &mut Assets, found: &Extracted) {
    assets.add(found.file.clone(), found.manifest.clone());
    for (path, bytes) in &found.files {
        assets.add_secret(
            path.clone(),
            crate::assets::CONTROL_PLANE_UID,
            bytes.expose(),
        );
    }
}
