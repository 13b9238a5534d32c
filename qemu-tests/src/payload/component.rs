//! The upstreams and how each is compiled: a table, because their build differs in data only.
//!
//! Versions stand in image/payload/NAME/go.mod and nowhere else; what has to know one (version
//! stamps, image tags) reads it from there or is compared with it by a test.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// One upstream.
#[derive(Debug)]
pub struct Component {
    /// The folder below image/payload, and the name in logs.
    pub name: &'static str,
    /// The module whose version is the component's.
    pub module: &'static str,
    /// The folder below target/payload that the programs go to.
    pub folder: &'static str,
    /// Each program's package and its file name.
    pub programs: &'static [(&'static str, &'static str)],
    /// How it is compiled.
    pub recipe: Recipe,
}

/// What differs between the builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// CGO_ENABLED=0; the result is static.
    Plain,
    /// Plain, with the version that Kubernetes components tell each other; unstamped ones
    /// call themselves v0.0.0 and refuse each other.
    Kubernetes,
    /// With cgo, which flannel's `udp` backend needs, yet static.
    StaticCgo,
}

/// What a node runs of Kubernetes, and in the end what a person does.
const KUBERNETES: [(&str, &str); 6] = [
    ("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
    (
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-controller-manager",
    ),
    ("k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler"),
    ("k8s.io/kubernetes/cmd/kube-proxy", "kube-proxy"),
    ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
    ("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
];

/// Slowest first: the order in which a cold build spends its time.
pub const COMPONENTS: &[Component] = &[
    Component {
        name: "kubernetes",
        module: "k8s.io/kubernetes",
        folder: "bin",
        programs: &KUBERNETES,
        recipe: Recipe::Kubernetes,
    },
    Component {
        name: "coredns",
        module: "github.com/coredns/coredns",
        folder: "bin",
        programs: &[("github.com/coredns/coredns", "coredns")],
        recipe: Recipe::Plain,
    },
    Component {
        name: "containerd",
        module: "github.com/containerd/containerd/v2",
        folder: "bin",
        programs: &[
            (
                "github.com/containerd/containerd/v2/cmd/containerd",
                "containerd",
            ),
            (
                "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
                "containerd-shim-runc-v2",
            ),
            ("github.com/containerd/containerd/v2/cmd/ctr", "ctr"),
        ],
        recipe: Recipe::Plain,
    },
    Component {
        name: "flannel",
        module: "github.com/flannel-io/flannel",
        folder: "bin",
        programs: &[("github.com/flannel-io/flannel", "flanneld")],
        recipe: Recipe::StaticCgo,
    },
    Component {
        name: "etcd",
        module: "go.etcd.io/etcd/server/v3",
        folder: "bin",
        programs: &[
            ("go.etcd.io/etcd/server/v3", "etcd"),
            ("go.etcd.io/etcd/etcdctl/v3", "etcdctl"),
            ("go.etcd.io/etcd/etcdutl/v3", "etcdutl"),
        ],
        recipe: Recipe::Plain,
    },
    Component {
        name: "cni",
        module: "github.com/containernetworking/plugins",
        folder: "cni",
        programs: &[
            (
                "github.com/containernetworking/plugins/plugins/ipam/host-local",
                "host-local",
            ),
            (
                "github.com/containernetworking/plugins/plugins/main/bridge",
                "bridge",
            ),
            (
                "github.com/containernetworking/plugins/plugins/main/loopback",
                "loopback",
            ),
            (
                "github.com/containernetworking/plugins/plugins/meta/portmap",
                "portmap",
            ),
        ],
        recipe: Recipe::Plain,
    },
    // The last release of the plugins that has flannel's; it left for a module of its own, which
    // no module proxy serves.
    Component {
        name: "cni-flannel",
        module: "github.com/containernetworking/plugins",
        folder: "cni",
        programs: &[(
            "github.com/containernetworking/plugins/plugins/meta/flannel",
            "flannel",
        )],
        recipe: Recipe::Plain,
    },
];

/// The version of Kubernetes before the payload's, all that a node runs of it: part of no payload, and built when
/// something asks for it. kubectl is the payload's: it speaks to both.
pub const PREVIOUS: Component = Component {
    name: "kubernetes-previous",
    module: "k8s.io/kubernetes",
    folder: "bin",
    programs: KUBERNETES.split_at(KUBERNETES.len() - 1).0,
    recipe: Recipe::Kubernetes,
};

/// The version of Kubernetes that is built, e.g. `1.37.2`.
pub fn kubernetes_version() -> Result<String> {
    COMPONENTS
        .iter()
        .find(|component| component.recipe == Recipe::Kubernetes)
        .context("no component is Kubernetes")
        .and_then(|kubernetes| kubernetes.pinned(&crate::repo()))
}

impl Component {
    /// Its folder with go.mod and go.sum.
    pub fn source(&self, repo: &Path) -> PathBuf {
        repo.join("image/payload").join(self.name)
    }

    /// The version that its go.mod pins, without the `v`.
    pub fn pinned(&self, repo: &Path) -> Result<String> {
        let path = self.source(repo).join("go.mod");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        version(&text, self.module)
            .map(str::to_owned)
            .with_context(|| format!("{} does not require {}", path.display(), self.module))
    }
}

/// The version, without its `v`, that the text of a go.mod requires of `module`.
pub fn version<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let mut words = line
            .split_whitespace()
            .skip_while(|word| *word == "require");
        (words.next() == Some(module)).then(|| words.next()?.strip_prefix('v'))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway::render::images;

    fn pinned(name: &str) -> String {
        let component = COMPONENTS
            .iter()
            .find(|component| component.name == name)
            .unwrap();
        let path = crate::repo()
            .join("image/payload")
            .join(name)
            .join("go.mod");
        version(&fs::read_to_string(path).unwrap(), component.module)
            .unwrap()
            .to_owned()
    }

    #[test]
    fn reads_a_version_from_a_go_mod() {
        let text = "module m\nrequire a/b v1.2.3\nrequire (\n\ta/b/c v2.0.0 // indirect\n)\n";
        assert_eq!(version(text, "a/b"), Some("1.2.3"));
        assert_eq!(version(text, "a/b/c"), Some("2.0.0"));
        assert_eq!(version(text, "a"), None);
    }

    #[test]
    fn the_previous_version_is_one_minor_behind() {
        let minor = |component: &Component| {
            let version = component.pinned(&crate::repo()).unwrap();
            version.split('.').nth(1).unwrap().parse::<u32>().unwrap()
        };
        assert_eq!(minor(&PREVIOUS) + 1, minor(&COMPONENTS[0]));
    }

    #[test]
    fn image_tags_are_the_versions_that_are_built() {
        assert_eq!(
            images::ETCD,
            format!("registry.k8s.io/etcd:{}-0", pinned("etcd"))
        );
        let coredns = format!("registry.k8s.io/coredns/coredns:v{}", pinned("coredns"));
        assert_eq!(images::COREDNS, coredns);
        let flannel = format!("ghcr.io/flannel-io/flannel:v{}", pinned("flannel"));
        assert_eq!(images::FLANNEL, flannel);
    }
}
