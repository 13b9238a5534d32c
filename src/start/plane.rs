//! The asset directory as the launch understands it: static pods, secrets, objects, doors.
//!
//! Everything is read from the files themselves (the bootstrap apiserver's own arguments, the admin
//! kubeconfig), never from the machine document, so that a directory which a person edited or made
//! by hand launches as well as one that `render` made.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::mounts;
use crate::assets::{Asset, Assets, BOOTSTRAP_MANIFESTS, STATIC_MANIFESTS};
use crate::config::yaml;
use crate::etcd::Endpoints;
use crate::kube::{self, kubeconfig};
use crate::recovery::Recovery;

/// A static pod of the asset directory.
#[derive(Clone, Debug)]
pub struct StaticPod {
    /// Its file's name, the same in the asset directory and in the manifest folder.
    pub file: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`, without the node's name that the kubelet appends.
    pub name: String,
    /// The Pod.
    pub pod: Value,
}

/// One object of `manifests/`.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Its path in the asset directory.
    pub file: String,
    /// The object.
    pub object: Value,
}

/// How etcd is asked whether it answers.
#[derive(Clone, Debug)]
pub struct Etcd {
    /// The client URLs of `--etcd-servers`.
    pub urls: Vec<String>,
    /// CA, certificate and key in PEM, where the URLs are https.
    pub tls: Option<(Asset, Asset, Asset)>,
}

impl Etcd {
    /// The same for a client of etcd's own API.
    pub(crate) fn endpoints(&self, timeout: Duration) -> Endpoints {
        let tls = self.tls.as_ref();
        Endpoints {
            urls: self.urls.clone(),
            ca_pem: tls.map_or_else(Vec::new, |(ca, _, _)| ca.bytes.expose().to_vec()),
            certificate: tls.map(|(_, certificate, key)| {
                (certificate.bytes.expose().to_vec(), key.bytes.clone())
            }),
            timeout,
        }
    }
}

/// What the launch works with.
#[derive(Clone, Debug)]
pub struct Plane {
    /// The permanent etcd, if the directory has one; otherwise etcd is somebody else's.
    pub etcd_pod: Option<StaticPod>,
    /// How to ask etcd.
    pub etcd: Etcd,
    /// Whether the three below are static pods that stay; otherwise they are temporary.
    pub stays: bool,
    /// The apiserver.
    pub apiserver: StaticPod,
    /// The controller-manager and the scheduler.
    pub controllers: Vec<StaticPod>,
    /// What temporary pods read, by path below the bootstrap secrets folder.
    pub secrets: Vec<(String, Asset)>,
    /// The objects that go into the API, in the order of their files.
    pub manifests: Vec<Manifest>,
    /// The administrator's credentials.
    pub admin: kube::Config,
    /// 127.0.0.1 and the API's port: the door of the temporary apiserver.
    pub loopback: SocketAddr,
    /// This node's address and the API's port: the door of the apiserver that stays.
    pub node: SocketAddr,
    /// What `recover` says about the cluster, if the directory is one of its.
    pub recovery: Option<Recovery>,
}

const SECURE_PORT: u16 = 6443;

impl Plane {
    /// Understands an asset directory; says which file is missing or what is wrong with it.
    pub fn new(assets: &Assets) -> Result<Self> {
        let stays = assets.is_static();
        let folder = if stays {
            STATIC_MANIFESTS
        } else {
            BOOTSTRAP_MANIFESTS
        };
        let mut pods = Vec::new();
        for (file, asset) in assets.below(folder) {
            pods.push(static_pod(folder, file, asset)?);
        }
        let secrets = mounts::secrets(assets, &pods);
        let at = pods
            .iter()
            .position(|pod| argument(&pod.pod, "--etcd-servers").is_some());
        let at = at.with_context(|| {
            format!("{folder} has no kube-apiserver (a Pod with --etcd-servers); render again")
        })?;
        let apiserver = pods.remove(at);
        let node: IpAddr = argument(&apiserver.pod, "--advertise-address")
            .with_context(|| {
                format!("the apiserver of {folder} has no --advertise-address: this node's address is unknown")
            })?
            .parse()
            .with_context(|| format!("--advertise-address of {folder} is no address"))?;
        let port = match argument(&apiserver.pod, "--secure-port") {
            Some(port) => port
                .parse()
                .with_context(|| format!("--secure-port of {folder} is no port"))?,
            None => SECURE_PORT,
        };
        Ok(Self {
            etcd_pod: etcd_pod(assets)?,
            etcd: etcd(&apiserver.pod, assets)?,
            controllers: pods,
            stays,
            secrets,
            manifests: manifests(assets)?,
            admin: admin(assets)?,
            loopback: (Ipv4Addr::LOCALHOST, port).into(),
            node: (node, port).into(),
            recovery: Recovery::of(assets)?,
            apiserver,
        })
    }
}

/// The permanent etcd of an asset directory, if it has one.
pub(crate) fn etcd_pod(assets: &Assets) -> Result<Option<StaticPod>> {
    let asset = assets.get("etcd/etcd.yaml");
    asset
        .map(|asset| static_pod("etcd/", "etcd.yaml", asset))
        .transpose()
}

fn static_pod(folder: &str, file: &str, asset: &Asset) -> Result<StaticPod> {
    let place = || format!("{folder}{file}");
    let mut documents = documents(asset).with_context(place)?;
    let (Some(pod), true) = (documents.pop(), documents.is_empty()) else {
        bail!("{} must hold exactly one Pod", place())
    };
    if pod["kind"] != "Pod" {
        bail!("{} must hold a Pod, not {}", place(), pod["kind"]);
    }
    let (namespace, name) = (namespace(&pod), name(&pod));
    if name.is_empty() {
        bail!("{}: the Pod has no name", place());
    }
    Ok(StaticPod {
        file: file.to_owned(),
        namespace,
        name,
        pod,
    })
}

/// `metadata.name`; empty where there is none.
pub(crate) fn name(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str();
    name.unwrap_or_default().to_owned()
}

/// `metadata.namespace`, or the one that the API takes where there is none.
pub(crate) fn namespace(object: &Value) -> String {
    let namespace = object["metadata"]["namespace"].as_str();
    namespace.unwrap_or("default").to_owned()
}

/// The YAML documents of a file.
pub(crate) fn documents(asset: &Asset) -> Result<Vec<Value>> {
    let text = std::str::from_utf8(asset.bytes.expose()).context("not UTF-8")?;
    Ok(yaml::documents(text)?)
}

/// The labels that may name a component, in this order (the original's).
const COMPONENT: [&str; 2] = ["k8s-app", "component"];

/// Which component of a control plane a workload or pod is, by its label; empty if none says.
pub(crate) fn component(object: &Value) -> &str {
    let labels = &object["metadata"]["labels"];
    let found = COMPONENT.iter().find_map(|label| labels[label].as_str());
    found.unwrap_or_default()
}

/// The value of a `--flag=value` argument of any container of a pod.
pub(crate) fn argument<'a>(pod: &'a Value, flag: &str) -> Option<&'a str> {
    let containers = pod["spec"]["containers"].as_array()?;
    containers
        .iter()
        .flat_map(|container| ["command", "args"].map(|field| container[field].as_array()))
        .flatten()
        .flatten()
        .filter_map(Value::as_str)
        .find_map(|argument| argument.strip_prefix(flag)?.strip_prefix('='))
}

fn etcd(apiserver: &Value, assets: &Assets) -> Result<Etcd> {
    let urls = argument(apiserver, "--etcd-servers").unwrap_or_default();
    let urls: Vec<_> = urls.split(',').map(str::to_owned).collect();
    let file = |flag: &str| mounts::file(assets, apiserver, argument(apiserver, flag)?).cloned();
    let tls = match (
        file("--etcd-cafile"),
        file("--etcd-certfile"),
        file("--etcd-keyfile"),
    ) {
        (Some(ca), Some(certificate), Some(key)) => Some((ca, certificate, key)),
        _ if urls.iter().any(|url| url.starts_with("https:")) => {
            bail!("the apiserver's --etcd-cafile, -certfile and -keyfile must name files of tls/")
        }
        _ => None,
    };
    Ok(Etcd { urls, tls })
}

/// The objects of `manifests/`, in the order of their files.
pub fn manifests(assets: &Assets) -> Result<Vec<Manifest>> {
    let mut all = Vec::new();
    for (path, asset) in assets.below("manifests/") {
        let file = format!("manifests/{path}");
        let objects = documents(asset).with_context(|| format!("cannot understand {file}"))?;
        // A document of comments only is null.
        let objects = objects.into_iter().filter(|object| !object.is_null());
        all.extend(objects.map(|object| Manifest {
            file: file.clone(),
            object,
        }));
    }
    Ok(all)
}

pub(crate) fn admin(assets: &Assets) -> Result<kube::Config> {
    let asset = assets
        .get("auth/kubeconfig")
        .context("the asset directory has no auth/kubeconfig")?;
    kubeconfig::parse_embedded(asset.bytes.expose()).context("cannot use auth/kubeconfig")
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{config, pki, render};

    fn plane(kind: &str) -> Plane {
        let text = format!(
            "apiVersion: slipway.dev/v1alpha1\nkind: Machine\ncontrolPlane: {kind}\n\
             node: {{name: node-a, address: 192.0.2.1}}\ncluster: {{name: harbour}}\n"
        );
        let machine = config::parse(text.as_bytes()).unwrap();
        let (given, earlier) = (pki::Given::default(), Assets::default());
        let (secrets, _) = pki::ensure(&machine, &given, &earlier, SystemTime::now()).unwrap();
        Plane::new(&render::render(&machine, &secrets).unwrap()).unwrap()
    }

    #[test]
    fn the_manifests_tell_which_kind_it_is() {
        for (kind, name) in [
            ("static", "kube-apiserver"),
            ("self-hosted", "bootstrap-kube-apiserver"),
        ] {
            let plane = plane(kind);
            assert_eq!(plane.stays, kind == "static");
            assert_eq!(plane.apiserver.name, name);
            assert_eq!(plane.controllers.len(), 2, "{kind}");
            assert_eq!(plane.node.to_string(), "192.0.2.1:6443", "{kind}");
        }
    }

    #[test]
    fn temporary_pods_are_given_what_they_read() {
        let secrets = plane("self-hosted").secrets;
        let has = |path: &str| secrets.iter().any(|(found, _)| found == path);
        for read in [
            "apiserver.key",
            "authentication.yaml",
            "ca.key",
            "kube-scheduler.kubeconfig",
            "kube-scheduler.key",
        ] {
            assert!(has(read), "{read}");
        }
        for not_read in [
            "admin.key",
            "etcd-client-ca.key",
            "front-proxy-ca.key",
            "etcd/server.key",
            "kubeconfig",
            ".inventory.json",
            "checkpoint/kube-system/kube-controller-manager.key",
            "checkpoint/kube-system/kube-scheduler.key",
        ] {
            assert!(!has(not_read), "{not_read}");
        }
        assert!(
            !secrets
                .iter()
                .any(|(path, _)| path.starts_with("checkpoint/"))
        );
    }
}
