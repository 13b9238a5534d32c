//! What slipway renders for every document of the golden trees: by the binary itself, because the
//! trees in the repository have no secrets in them and would not be what a cluster gets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use slipway::config::{self, Machine};

use crate::process;
use crate::scenario::Context;

/// Folders of an asset directory that hold objects. The last three hold static pods.
const FOLDERS: [&str; 4] = [
    "manifests",
    "bootstrap-manifests",
    "static-manifests",
    "etcd",
];

/// A document and its asset directory.
pub struct Rendered {
    /// The document's folder in tests/golden, e.g. `03-ipv6`.
    pub name: String,
    /// The document.
    pub machine: Machine,
    /// The asset directory.
    pub folder: PathBuf,
}

impl Rendered {
    /// Renders every document below the scenario's folder.
    pub fn all(context: &Context) -> Result<Vec<Rendered>> {
        let golden = context.repo.join("tests/golden");
        let mut names: Vec<_> = fs::read_dir(&golden)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<std::io::Result<_>>()?;
        names.sort_unstable();
        ensure!(names.len() >= 3, "{} has no documents", golden.display());
        let render = |name: String| {
            let document = golden.join(&name).join("in.yaml");
            Self::one(context, name, &document)
        };
        names.into_iter().map(render).collect()
    }

    fn one(context: &Context, name: String, document: &Path) -> Result<Rendered> {
        let folder = context.work.join("rendered").join(&name);
        let text = fs::read_to_string(document)?;
        let machine = config::parse(text.as_bytes())?;
        // Whether this machine's clock is synchronised is no matter here.
        let unchecked = context.work.join(format!("{name}.yaml"));
        fs::write(
            &unchecked,
            text.replace("clock: synchronised", "clock: unchecked"),
        )?;
        let mut render = Command::new(&context.slipway);
        render.arg("render").arg("--config").arg(unchecked);
        render.arg("--asset-dir").arg(&folder);
        process::output(&mut render).with_context(|| format!("{name} is not rendered"))?;
        Ok(Rendered {
            name,
            machine,
            folder,
        })
    }

    /// The folders with objects that it has.
    pub fn folders(&self) -> Vec<PathBuf> {
        let folders = FOLDERS.iter().map(|folder| self.folder.join(folder));
        folders.filter(|folder| folder.exists()).collect()
    }

    /// Every object, with the file it is in.
    pub fn objects(&self) -> Result<Vec<(PathBuf, Value)>> {
        let mut objects = Vec::new();
        for folder in self.folders() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                let text = fs::read_to_string(&path)?;
                let read = config::yaml::documents(&text)
                    .with_context(|| format!("{} cannot be read", path.display()))?;
                objects.extend(read.into_iter().map(|object| (path.clone(), object)));
            }
        }
        Ok(objects)
    }
}
