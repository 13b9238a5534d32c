//! Compiling a component with Go.

use super::component::{Component, Recipe};
use crate::cache::{self, Key};
use crate::progress::{self, Log};
use crate::{prereq, process};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Changes when this file builds something else from the same inputs.
const REVISION: &str = "1";

/// The cache entry with the component's programs in its folder (`bin/` or `cni/`).
pub fn build(repo: &Path, component: &Component) -> Result<PathBuf> {
    let key = key(repo, component)?;
    cache::entry(&format!("payload-{}", component.name), &key, |entry| {
        progress::step(&format!("payload {}", component.name), |log| {
            compile(repo, component, entry, log)
        })
    })
}

/// Everything that decides what comes out: the module files with their stubs, the recipe, Go.
fn key(repo: &Path, component: &Component) -> Result<String> {
    let recipe = format!("{REVISION} {component:?} {}", prereq::go_version()?);
    Ok(Key::new(&recipe)
        .add_tree(&component.source(repo))?
        .finish())
}

fn compile(repo: &Path, component: &Component, entry: &Path, log: &Log) -> Result<()> {
    let folder = entry.join(component.folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let flags = flags(repo, component)?;
    for (package, name) in component.programs {
        process::run(
            command(repo, component)
                .args(&flags)
                .arg("-o")
                .arg(folder.join(name))
                .arg(package),
            log,
        )?;
    }
    Ok(())
}

fn command(repo: &Path, component: &Component) -> Command {
    let source = component.source(repo);
    let cgo = if component.recipe == Recipe::StaticCgo {
        "1"
    } else {
        "0"
    };
    let mut command = Command::new("go");
    command
        .arg("build")
        .current_dir(source)
        .env("CGO_ENABLED", cgo)
        .env("GOWORK", "off");
    command
}

fn flags(repo: &Path, component: &Component) -> Result<Vec<OsString>> {
    let mut flags = vec!["-trimpath".into(), "-buildvcs=false".into()];
    let link = match component.recipe {
        Recipe::Plain => "-s -w".to_owned(),
        Recipe::Kubernetes => format!("-s -w {}", stamp(&component.pinned(repo)?)),
        Recipe::StaticCgo => {
            flags.extend(["-tags".into(), "netgo,osusergo".into()]);
            "-s -w -extldflags \"-static\"".to_owned()
        }
    };
    flags.extend(["-ldflags".into(), link.into()]);
    Ok(flags)
}

/// The linker flags that stamp a Kubernetes version.
fn stamp(version: &str) -> String {
    let package = "k8s.io/component-base/version";
    let mut parts = version.split('.');
    let (major, minor) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    format!(
        "-X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_version_major_and_minor() {
        assert_eq!(
            stamp("1.37.2"),
            "-X k8s.io/component-base/version.gitVersion=v1.37.2 \
             -X k8s.io/component-base/version.gitMajor=1 \
             -X k8s.io/component-base/version.gitMinor=37"
        );
    }
}
