//! The asset directory of a recovered cluster: what is rendered for this machine with the kept keys, and in place of the
//! rendered temporary control plane the cluster's own, as people changed it.

use anyhow::Result;

use super::component::{self, Extracted, Needs};
use super::missing::Missing;
use super::objects::Objects;
use super::rbac;
use super::template::Here;
use crate::assets::{Assets, CONTROL_PLANE_UID};
use crate::recovery::{FILE, Recovery};
use crate::render::emit;
use crate::start::manifests;
use crate::start::plane::{argument, documents};

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
    /// Whether this machine is to carry the cluster, and not only the folder.
    pub is_here: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// The whole asset directory.
    pub assets: Assets,
    /// The components that were found.
    pub components: Vec<(&'static str, Extracted)>,
    /// Components that cannot run without the API as they are.
    pub missing: Vec<Missing>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Puts it together.
///
/// # Errors
/// If the rendered manifests cannot be read.
pub fn assemble(parts: &Parts<'_>) -> Result<Assembled> {
    let mut all = Assembled {
        assets: parts.rendered.clone(),
        components: Vec::new(),
        missing: Vec::new(),
        notes: Vec::new(),
    };
    let rendered = manifests(parts.rendered)?;
    if !all.assets.is_static() {
        let newer = rendered.iter().map(|manifest| &manifest.object);
        let objects = parts.objects.with_data_of(newer);
        let names = component::names().filter(|name| parts.recovery.covers(name));
        names.for_each(|name| all.take(parts, &objects, name));
    }
    // In the store they are there already.
    let bound = match parts.is_here {
        true => Vec::new(),
        false => rbac::beside(parts.objects, &rendered),
    };
    if !bound.is_empty() {
        let texts: Vec<_> = bound
            .iter()
            .map(|object| emit::text(rbac::COMMENT, object))
            .collect();
        all.assets.add(rbac::FILE, texts.join(&b"---\n"[..]));
    }
    all.assets.add(FILE, parts.recovery.to_json()?);
    Ok(all)
}

impl Assembled {
    fn take(&mut self, parts: &Parts<'_>, objects: &Objects, name: &'static str) {
        let Some(workload) = component::find(objects, name) else {
            self.notes.push(format!(
                "no DaemonSet or Deployment of kube-system has the label k8s-app={name}: the asset directory's own is used"
            ));
            return;
        };
        let needs = Needs {
            objects,
            keys: parts.rendered,
            here: parts.here,
            port: parts.port,
            etcd: etcd_servers(parts.rendered),
        };
        match component::extract(name, workload, &needs) {
            Ok(found) => {
                self.add(&found);
                let notes = found.notes.iter().map(|note| format!("{name}: {note}"));
                self.notes.extend(notes);
                self.components.push((name, found));
            }
            Err(error) => self.missing.push(Missing::new(
                format!("a {name} that runs without the API"),
                format!("{error:#}"),
                "--component LIST without it, or what it names",
            )),
        }
    }

    fn add(&mut self, found: &Extracted) {
        self.assets.add(found.file.clone(), found.manifest.clone());
        for (path, bytes) in &found.files {
            self.assets
                .add_secret(path.clone(), CONTROL_PLANE_UID, bytes.expose());
        }
    }
}

/// Where etcd is, as the document says: it may have moved.
fn etcd_servers(rendered: &Assets) -> Option<String> {
    let asset = rendered.get("bootstrap-manifests/bootstrap-apiserver.yaml")?;
    let pod = documents(asset).ok()?.pop()?;
    argument(&pod, "--etcd-servers").map(str::to_owned)
}
