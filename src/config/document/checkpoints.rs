//! `checkpoints:`: what a node keeps of a self-hosted control plane, to bring it back without an API.

use super::cluster::once;
use super::role;
use crate::config::duration;
use crate::config::machine::{AddOn, Checkpoints, ControlPlane, Network};
use crate::config::names;
use crate::config::problem::quote;
use crate::config::reader::{Reader, choice};

const SECTION: &str = "checkpoints";
const NAMESPACES: &str = "checkpoints.namespaces";
const ALSO: &str = "checkpoints.also";
const GRACE_PERIOD: &str = "checkpoints.gracePeriod";
/// Where the control plane is.
const ITS_NAMESPACE: &str = "kube-system";
const ADD_ONS: [(&str, AddOn); 2] = [
    ("kube-proxy", AddOn::KubeProxy),
    ("flannel", AddOn::Flannel),
];
/// What somebody might look for among them.
const DNS: &str = "coredns";

pub fn checkpoints(
    reader: &mut Reader,
    control_plane: Option<ControlPlane>,
    network: Option<Network>,
) -> Option<Checkpoints> {
    if control_plane == Some(ControlPlane::Static) {
        role::refuse(reader, SECTION, "a control plane of static pods");
    }
    let default = Checkpoints::default();
    let namespaces = reader.texts(NAMESPACES, |text, earlier: &[String]| {
        once(text, names::label(text)?, earlier)
    });
    let also = reader.texts(ALSO, |text, earlier: &[AddOn]| {
        let add_on = choice(text, &ADD_ONS);
        once(text, add_on.map_err(|why| without_use(text, why))?, earlier)
    });
    let grace_period = reader.optional(GRACE_PERIOD, default.grace_period, |text| {
        duration::parse(text).map_err(|why| format!("{} {why}", quote(text)))
    });
    let (mut namespaces, also) = (namespaces?, also?);
    if namespaces.is_empty() {
        namespaces = default.namespaces;
    } else if !namespaces.iter().any(|name| name == ITS_NAMESPACE) {
        let message = format!("the control plane is in {ITS_NAMESPACE}; add it");
        reader.refuse(NAMESPACES, message);
    }
    if network == Some(Network::None)
        && let Some(index) = also.iter().position(|one| *one == AddOn::Flannel)
    {
        let message = "has no effect on a cluster with network.provider: none; remove it";
        reader.refuse(&reader.item_of(ALSO, index), message);
    }
    Some(Checkpoints {
        namespaces,
        also,
        grace_period: grace_period?,
    })
}

/// Why a word is refused, with the reason where there is one beside that it is unknown.
fn without_use(text: &str, why: String) -> String {
    match text {
        DNS => format!(
            "{why}: it is on the pod network, from where nobody reaches the API server's checkpoint; its own pod comes back by itself"
        ),
        _ => why,
    }
}
