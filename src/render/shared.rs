//! Objects that belong to no single component: the Node, and a right that several components have.

use anyhow::Result;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Output;
use super::apiserver::control_plane_nodes;
use super::objects::{account_subject, bind_subject, meta, role_ref};
use crate::config::Machine;
use crate::config::machine::ControlPlane;
use crate::pki::KUBELET_CLIENT;

pub fn render(out: &mut Output, machine: &Machine) -> Result<()> {
    out.manifest(
        "manifests/node.yaml",
        "This node carries the control plane. A kubelet must not say so of itself.",
        &node(machine),
    )?;
    out.manifest(
        "manifests/kubelet-api-role-binding.yaml",
        "What the API server may do at kubelets: logs, exec, attach, port-forward and metrics. Its user has no\n\
         other rights. The original's was in system:masters.",
        &bind_subject(
            "kubelet-api",
            "system:kubelet-api-admin",
            ("User", KUBELET_CLIENT),
        ),
    )?;
    if machine.control_plane == ControlPlane::Static {
        // Static pods have no accounts; their users may read it by the API server's own roles.
        return Ok(());
    }
    out.manifest(
        "manifests/kube-system-rbac-role-binding.yaml",
        "Lets controller-manager and scheduler check who asks for their metrics. Changed from the\n\
         original, which made the default ServiceAccount of kube-system cluster-admin, and with it every\n\
         pod there: each component has an account of its own now, and this is all they have in common.",
        &authentication_reader(),
    )
}

fn node(machine: &Machine) -> Node {
    let metadata = ObjectMeta {
        name: Some(machine.node.name.clone()),
        labels: Some(control_plane_nodes()),
        ..Default::default()
    };
    Node {
        metadata,
        ..Default::default()
    }
}

fn authentication_reader() -> RoleBinding {
    let accounts = ["kube-controller-manager", "kube-scheduler"];
    RoleBinding {
        metadata: meta("control-plane-authentication-reader", "control-plane"),
        role_ref: role_ref::<Role>("extension-apiserver-authentication-reader"),
        subjects: Some(accounts.map(account_subject).into()),
    }
}
