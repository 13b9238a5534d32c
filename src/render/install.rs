//! From the asset directory to a node: which file goes where (docs/design.md §9).

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};

use super::{kubelet, worker};
use crate::assets::Assets;
use crate::node::files::{self, Look, PUBLIC, below, make_folder};
use crate::node::static_pods;
use crate::recovery;

const HOSTNAME: &str = "/etc/hostname";
/// Asset and place, in the order of writing: etcd's manifest last, when all it needs is there.
const PLACES: [(&str, &str); 19] = [
    ("tls/ca.crt", "/etc/kubernetes/ca.crt"),
    ("auth/kubeconfig", "/etc/kubernetes/admin.kubeconfig"),
    ("kubelet/hostname", HOSTNAME),
    ("kubelet/client.crt", "/etc/kubernetes/kubelet/client.crt"),
    ("kubelet/client.key", "/etc/kubernetes/kubelet/client.key"),
    ("kubelet/serving.crt", "/etc/kubernetes/kubelet/serving.crt"),
    ("kubelet/serving.key", "/etc/kubernetes/kubelet/serving.key"),
    ("kubelet/kubeconfig", "/etc/kubernetes/kubeconfig"),
    (worker::BOOTSTRAP, kubelet::BOOTSTRAP),
    ("kubelet/config.yaml", "/etc/kubernetes/kubelet/config.yaml"),
    (
        "kubelet/50-slipway.conf",
        "/etc/kubernetes/kubelet/config.d/50-slipway.conf",
    ),
    ("kubelet/kubelet.env", "/etc/kubernetes/kubelet/kubelet.env"),
    (
        "tls/etcd/server-ca.crt",
        "/etc/kubernetes/etcd/server-ca.crt",
    ),
    ("tls/etcd/server.crt", "/etc/kubernetes/etcd/server.crt"),
    ("tls/etcd/server.key", "/etc/kubernetes/etcd/server.key"),
    ("tls/etcd/peer-ca.crt", "/etc/kubernetes/etcd/peer-ca.crt"),
    ("tls/etcd/peer.crt", "/etc/kubernetes/etcd/peer.crt"),
    ("tls/etcd/peer.key", "/etc/kubernetes/etcd/peer.key"),
    ("etcd/etcd.yaml", ETCD),
];
const ETCD: &str = "/etc/kubernetes/manifests/etcd.yaml";

/// The kubelet's watched folder must exist before the kubelet starts.
pub const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// etcd complains about data that others may read, and a hostPath would make it so.
const ETCD_DATA: &str = "/var/lib/etcd";
/// The kubelet starts no pod at all without this file.
const RESOLVER: &str = "/etc/resolv.conf";

/// Where a file of the asset directory lies on a node, if it is installed there.
pub fn place(asset: &str) -> Option<&'static str> {
    let found = PLACES.iter().find(|(path, _)| *path == asset);
    found.map(|(_, place)| *place)
}

/// Puts the node's files and static pods in place below `root` and returns the paths that changed.
pub fn install(assets: &Assets, root: &Path) -> Result<Vec<String>> {
    let mut changed = install_files(assets, root)?;
    changed.extend(static_pods::install(assets, root, &below(root, MANIFESTS))?);
    Ok(changed)
}

/// As [`install`], but for the static pods of the control plane. What an asset directory does not have (a
/// hand-made one may lack much) is left alone on the node.
pub fn install_files(assets: &Assets, root: &Path) -> Result<Vec<String>> {
    make_folder(&below(root, MANIFESTS), 0o755)?;
    if assets.get("etcd/etcd.yaml").is_some() {
        make_private(&below(root, ETCD_DATA))?;
    }
    let mut changed = Vec::new();
    for (asset, place) in PLACES {
        let Some(asset) = assets.get(asset) else {
            continue;
        };
        // fetch writes the host name; an envelope may have given another than the node's.
        if place == HOSTNAME && files::read_if_there(&below(root, place))?.is_some() {
            continue;
        }
        // After a restore that was interrupted it would begin an empty cluster.
        if place == ETCD && recovery::is_restoring(root) {
            continue;
        }
        let look = Look {
            mode: asset.mode,
            owner: None,
        };
        if files::write(&below(root, place), asset.bytes.expose(), look)? {
            changed.push(place.to_owned());
        }
    }
    let resolver = below(root, RESOLVER);
    if fs::symlink_metadata(&resolver).is_err() {
        files::write(
            &resolver,
            b"# no resolver; the kubelet needs this file\n",
            PUBLIC,
        )?;
        changed.push(RESOLVER.to_owned());
    }
    Ok(changed)
}

fn make_private(folder: &Path) -> Result<()> {
    make_folder(folder, 0o700)?;
    let context = || format!("cannot make {} private", folder.display());
    if fs::metadata(folder).with_context(context)?.mode() & 0o077 != 0 {
        fs::set_permissions(folder, Permissions::from_mode(0o700)).with_context(context)?;
    }
    Ok(())
}
