//! Objects that belong to no single component: the Node and what its kubelet and the control plane
//! may do.

use anyhow::Result;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Output;
use super::apiserver::control_plane_nodes;
use super::objects::{account_subject, cluster_meta, meta, role_ref};
use crate::config::Machine;
use crate::config::machine::ControlPlane;

pub fn render(out: &mut Output, machine: &Machine) -> Result<()> {
    out.manifest(
        "manifests/node.yaml",
        "This node carries the control plane. A kubelet must not say so of itself.",
        &node(machine),
    )?;
    out.manifest(
        "manifests/csr-renewal-role-binding.yaml",
        "A node may renew its own client certificate.",
        &csr_renewal(),
    )?;
    if machine.control_plane == ControlPlane::Static {
        // Static pods have no accounts; their users may read it by the API server's own roles.
        return Ok(());
    }
    out.manifest(
        "manifests/control-plane-authentication-role-binding.yaml",
        "Lets controller-manager and scheduler check who asks for their metrics.",
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

fn csr_renewal() -> ClusterRoleBinding {
    let role = "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient";
    ClusterRoleBinding {
        metadata: cluster_meta("csr-renewal", "csr-renewal"),
        role_ref: role_ref::<ClusterRole>(role),
        subjects: Some(vec![Subject {
            api_group: Some("rbac.authorization.k8s.io".into()),
            kind: "Group".into(),
            name: "system:nodes".into(),
            ..Default::default()
        }]),
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
