//! slipway's dracut modules, run by the image's own dracut: they come only where they are asked for, and an
//! initrd that would lack one of their files is not made at all.

use crate::{build, cache, image, install, prereq, progress};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::Path;

/// What has to be asked for.
const MODULES: &str = "slipway slipway-network";
/// What an initrd with them has of them.
const INSTALLED: [&str; 8] = [
    "etc/modules-load.d/slipway.conf",
    "etc/systemd/system/initrd.target.requires/slipway-fetch.service",
    "etc/systemd/system/initrd.target.requires/slipway-fetch-online.service",
    "usr/bin/slipway",
    "usr/lib/systemd/network/99-slipway.network",
    "usr/lib/systemd/system/slipway-fetch.service",
    "usr/lib/systemd/system/slipway-fetch-online.service",
    "usr/lib/systemd/system/slipway-network.service",
];
/// Without any of these files there is none, and this is said.
const NEEDED: [(&str, &str); 6] = [
    ("usr/bin/slipway", "slipway: /usr/bin/slipway is missing"),
    (
        "usr/lib/dracut/modules.d/50slipway/slipway-fetch.service",
        "/slipway-fetch.service is missing",
    ),
    (
        "usr/lib/dracut/modules.d/50slipway/slipway-fetch-online.service",
        "/slipway-fetch-online.service is missing",
    ),
    (
        "usr/lib/dracut/modules.d/50slipway-network/slipway-network.service",
        "slipway-network: slipway-network.service is missing",
    ),
    (
        "usr/lib/dracut/modules.d/50slipway-network/99-slipway.network",
        "slipway-network: 99-slipway.network is missing",
    ),
    (
        "usr/lib/systemd/systemd-networkd",
        "the image lacks systemd-networkd",
    ),
];

/// The check.
pub fn check(repo: &Path) -> Result<()> {
    prereq::image()?;
    let rootfs = image::rootfs(repo)?;
    let slipway = build::slipway(repo)?;
    progress::step("dracut", |log| {
        let tree = repo.join("target/test/unit/dracut");
        image::linked(&rootfs, &tree, log)?;
        install::into(repo, &slipway, &tree)?;
        let judged = judge(&tree);
        cache::empty(&tree)?;
        judged
    })
}

fn judge(tree: &Path) -> Result<()> {
    let unasked = image::initrd_names(tree, None)?;
    ensure!(
        !unasked.iter().any(|name| name.contains("slipway")),
        "nobody asked for slipway's modules, but they are there"
    );
    let asked = image::initrd_names(tree, Some(MODULES))?;
    for name in INSTALLED {
        ensure!(
            asked.iter().any(|there| there == name),
            "an initrd with slipway's modules has no {name}"
        );
    }
    NEEDED
        .iter()
        .try_for_each(|(name, said)| without(tree, name, said))
}

/// An initrd without this file is not made, and dracut says why.
fn without(tree: &Path, name: &str, said: &str) -> Result<()> {
    let (there, away) = (tree.join(name), tree.join("away"));
    let shown = || format!("cannot move {}", there.display());
    fs::rename(&there, &away).with_context(shown)?;
    let made = image::initrd_names(tree, Some(MODULES));
    fs::rename(&away, &there).with_context(shown)?;
    let Err(error) = made else {
        bail!("without {name} an initrd is made all the same");
    };
    let words = format!("{error:#}");
    ensure!(
        words.contains(said),
        "dracut does not say {said:?}: {words}"
    );
    Ok(())
}
