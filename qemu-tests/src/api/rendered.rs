//! What slipway renders for every document of the golden trees: by the binary itself, because the
//! trees in the repository have no secrets in them and would not be what a cluster gets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
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

/// Answers the requests that a plan names, as the authority whose key is in `key`.
fn sign(plan: &Value, machine: &Machine, key: &Path, folder: &Path) -> Result<()> {
    let authority = machine.certificates.authority.as_ref();
    let chain = &authority.context("it has no authority")?.certificate;
    let root = chain.rfind("-----BEGIN").unwrap_or_default();
    let certificate = folder.with_extension("signer.crt");
    fs::write(&certificate, &chain[..root])?;
    let waiting = plan["waiting"].as_array().context("nothing waits")?;
    for one in waiting {
        let path = |field: &str| one[field].as_str().map(|path| folder.join(path));
        let (Some(request), Some(answer)) = (path("request"), path("certificate")) else {
            bail!("{one} names no files");
        };
        let mut openssl = Command::new("openssl");
        openssl.args([
            "x509",
            "-req",
            "-days",
            "30",
            "-copy_extensions",
            "copyall",
            "-in",
        ]);
        openssl.arg(request).arg("-CA").arg(&certificate);
        openssl.arg("-CAkey").arg(key);
        let leaf = process::output(&mut openssl)?;
        // The kubelet's folder comes with the rest.
        fs::create_dir_all(folder.join("kubelet"))?;
        fs::write(answer, leaf + &chain[..root])?;
    }
    Ok(())
}

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
        let slipway = |command: &str| {
            let mut slipway = Command::new(&context.slipway);
            slipway.arg(command).arg("--config").arg(&unchecked);
            slipway.arg("--asset-dir").arg(&folder);
            slipway
        };
        let signer = document.with_file_name("signer.key");
        if signer.exists() {
            // It ends with what is to be signed, which a plan tells in a form for programs.
            let refused = slipway("render").output()?;
            ensure!(refused.status.code() == Some(6), "{name} waits for nobody");
            let plan = slipway("plan").arg("--output=json").output()?.stdout;
            sign(&serde_json::from_slice(&plan)?, &machine, &signer, &folder)
                .with_context(|| format!("{name} is not signed"))?;
        }
        process::output(&mut slipway("render"))
            .with_context(|| format!("{name} is not rendered"))?;
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
