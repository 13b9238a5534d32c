//! Which images there are and what is in each: upstream's names and paths, so that the manifests
//! that slipway renders run unchanged where a registry is reachable.

use super::oci::{self, Image, Node};
use super::{Programs, component, debian};
use crate::cache::{self, Key};
use crate::progress;
use anyhow::Result;
use slipway::render::images;
use std::path::{Path, PathBuf};

/// The tests' image of the prober; no registry has it.
pub const PROBER: &str = "slipway.dev/prober:test";
/// The tests' image of an API server that does nothing for as long as it runs; no registry has it either.
pub const SILENT: &str = "slipway.dev/silent:test";
/// Changes when the same inputs give other archives.
const REVISION: &str = "2";
/// nft prints the names of protocols out of this file, and kube-proxy compares them: with numbers instead,
/// one that is restarted takes what is there for somebody else's, and deletes it after adding the same.
const PROTOCOLS: &str = "tcp 6 TCP\nudp 17 UDP\nsctp 132 SCTP\n";
const NFT: &str = "/usr/sbin/nft";
/// The extensions that xtables-nft-multi loads.
const EXTENSIONS: &str = "/usr/lib/x86_64-linux-gnu/xtables";
/// One program under the six names that it is called by.
const IPTABLES: &str = "/usr/sbin/xtables-nft-multi";
const IPTABLES_NAMES: [&str; 6] = [
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables",
    "ip6tables-save",
    "ip6tables-restore",
];

/// One image as data.
#[derive(Debug)]
struct Recipe {
    /// The program of the payload.
    program: &'static str,
    /// Its name without a tag if the tag is Kubernetes' version, else its full name.
    name: Name,
    /// Its absolute path in the image, and the entry point.
    path: &'static str,
    /// `user:group`; empty for root.
    user: &'static str,
    /// Programs that it runs, taken from Debian with their libraries.
    helpers: &'static [&'static str],
    /// Further programs of the payload, which lie beside it.
    beside: &'static [&'static str],
}

#[derive(Debug)]
enum Name {
    /// `registry.k8s.io/PROGRAM:vVERSION`.
    Kubernetes,
    Fixed(&'static str),
}

const UPSTREAM: &[Recipe] = &[
    kubernetes("kube-apiserver", "/usr/local/bin/kube-apiserver", &[]),
    kubernetes(
        "kube-controller-manager",
        "/usr/local/bin/kube-controller-manager",
        &[],
    ),
    kubernetes("kube-scheduler", "/usr/local/bin/kube-scheduler", &[]),
    // Its nftables mode runs nft; stale connections are dropped with conntrack.
    kubernetes(
        "kube-proxy",
        "/usr/local/bin/kube-proxy",
        &[NFT, "/usr/sbin/conntrack"],
    ),
    Recipe {
        program: "etcd",
        name: Name::Fixed(images::ETCD),
        path: "/usr/local/bin/etcd",
        user: "",
        helpers: &[],
        // As upstream's image; it restores snapshots.
        beside: &["etcdutl"],
    },
    Recipe {
        program: "coredns",
        name: Name::Fixed(images::COREDNS),
        path: "/coredns",
        user: "nonroot:nonroot",
        helpers: &[],
        beside: &[],
    },
    // It calls iptables at start even where it is told to use nftables, and exits without. `cp` is
    // what its init containers put the CNI configuration and plugin in place with.
    Recipe {
        program: "flanneld",
        name: Name::Fixed(images::FLANNEL),
        path: "/opt/bin/flanneld",
        user: "",
        helpers: &[NFT, IPTABLES, "/usr/bin/cp"],
        beside: &[],
    },
    Recipe {
        program: "pause",
        name: Name::Fixed(images::PAUSE),
        path: "/pause",
        user: "65535:65535",
        helpers: &[],
        beside: &[],
    },
];

/// The images of this repository's own programs, which change often.
const OWN: &[Recipe] = &[
    Recipe {
        program: "slipway",
        name: Name::Fixed(images::SLIPWAY),
        path: "/usr/bin/slipway",
        user: "",
        helpers: &[],
        beside: &[],
    },
    Recipe {
        program: "prober",
        name: Name::Fixed(PROBER),
        path: "/usr/bin/prober",
        user: "",
        helpers: &[],
        beside: &[],
    },
    Recipe {
        program: "pause",
        name: Name::Fixed(SILENT),
        path: "/usr/local/bin/kube-apiserver",
        user: "",
        helpers: &[],
        beside: &[],
    },
];

impl Recipe {
    /// What its archive is called: as its program, of which one more image says nothing in another's place.
    fn archive(&self) -> &'static str {
        match self.name {
            Name::Fixed(SILENT) => "silent",
            _ => self.program,
        }
    }
}

const fn kubernetes(
    program: &'static str,
    path: &'static str,
    helpers: &'static [&'static str],
) -> Recipe {
    Recipe {
        program,
        name: Name::Kubernetes,
        path,
        user: "",
        helpers,
        beside: &[],
    }
}

/// The archives of the upstreams' images, from the cache.
pub fn upstream(programs: &Programs, rootfs: &Path) -> Result<Vec<PathBuf>> {
    let version = component::kubernetes_version()?;
    UPSTREAM
        .iter()
        .map(|recipe| archive(recipe, &version, programs, rootfs))
        .collect()
}

/// The archives of Kubernetes' own images, of this version and these programs.
pub fn kubernetes_of(version: &str, programs: &Programs, rootfs: &Path) -> Result<Vec<PathBuf>> {
    UPSTREAM
        .iter()
        .filter(|recipe| matches!(recipe.name, Name::Kubernetes))
        .map(|recipe| archive(recipe, version, programs, rootfs))
        .collect()
}

/// The archives of slipway's and the prober's images.
pub fn own(programs: &Programs, rootfs: &Path) -> Result<Vec<PathBuf>> {
    let version = component::kubernetes_version()?;
    OWN.iter()
        .map(|recipe| archive(recipe, &version, programs, rootfs))
        .collect()
}

/// The path of one archive in the cache; its folder's name changes with its content. `version` is that of
/// Kubernetes.
fn archive(recipe: &Recipe, version: &str, programs: &Programs, rootfs: &Path) -> Result<PathBuf> {
    let (_, identity) = programs.find(recipe.program)?;
    let name = match recipe.name {
        Name::Fixed(name) => name.to_owned(),
        Name::Kubernetes => images::kubernetes(recipe.program, version),
    };
    let mut key =
        Key::new(&format!("{REVISION} {recipe:?} {name}")).add("program", identity.as_bytes());
    for beside in recipe.beside {
        key = key.add(beside, programs.find(beside)?.1.as_bytes());
    }
    if !recipe.helpers.is_empty() {
        key = key.add("rootfs", cache::identity(rootfs)?.as_bytes());
    }
    let archive = recipe.archive();
    let file = format!("{archive}.tar");
    let entry = cache::entry(&format!("image-{archive}"), &key.finish(), |entry| {
        progress::step(&format!("image {archive}"), |_| {
            let image = image(recipe, name, programs, rootfs)?;
            oci::write(&image, &entry.join(&file))
        })
    })?;
    Ok(entry.join(file))
}

fn image(recipe: &Recipe, name: String, programs: &Programs, rootfs: &Path) -> Result<Image> {
    let mut layer = oci::base();
    for helper in recipe.helpers {
        debian::program(&mut layer, rootfs, helper)?;
        if *helper == NFT {
            layer.insert("etc/protocols".to_owned(), Node::Text(PROTOCOLS.to_owned()));
        }
        if *helper == IPTABLES {
            debian::folder(&mut layer, rootfs, EXTENSIONS)?;
            for name in IPTABLES_NAMES {
                let link = Node::Link("xtables-nft-multi".to_owned());
                layer.insert(format!("usr/sbin/{name}"), link);
            }
        }
    }
    let own = Path::new(recipe.path.trim_start_matches('/'));
    for program in std::iter::once(&recipe.program).chain(recipe.beside) {
        let place = match *program == recipe.program {
            true => own.to_owned(),
            false => own.with_file_name(program),
        };
        let (file, _) = programs.find(program)?;
        layer.insert(
            place.to_string_lossy().into_owned(),
            Node::Program(file.to_owned()),
        );
    }
    let (entrypoint, user) = (recipe.path.to_owned(), recipe.user.to_owned());
    Ok(Image {
        name,
        entrypoint,
        user,
        layer,
    })
}
