//! Parts that several manifests share.

use std::collections::BTreeMap;

use ipnet::IpNet;
use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, EnvVar, EnvVarSource, HTTPGetAction,
    HostPathVolumeSource, ObjectFieldSelector, PodSecurityContext, PodTemplateSpec, Probe,
    ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, ServiceAccount,
    Toleration, Volume, VolumeMount,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::assets::CONTROL_PLANE_UID;

/// The namespace of everything rendered.
pub const NAMESPACE: &str = "kube-system";
const APP_LABEL: &str = "k8s-app";

/// Metadata of an object in kube-system that belongs to an application.
pub fn meta(name: &str, app: &str) -> ObjectMeta {
    ObjectMeta {
        namespace: Some(NAMESPACE.into()),
        ..cluster_meta(name, app)
    }
}

/// Metadata of an object outside namespaces.
pub fn cluster_meta(name: &str, app: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        labels: Some(labels(app)),
        ..Default::default()
    }
}

/// The labels that a workload's pods carry and its selector asks for.
pub fn labels(app: &str) -> BTreeMap<String, String> {
    [(APP_LABEL.to_owned(), app.to_owned())].into()
}

/// The selector of an application's pods.
pub fn selector(app: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels(app)),
        ..Default::default()
    }
}

/// A pod template of an application.
pub fn template(app: &str, spec: k8s_openapi::api::core::v1::PodSpec) -> PodTemplateSpec {
    let metadata = ObjectMeta {
        labels: Some(labels(app)),
        ..Default::default()
    };
    PodTemplateSpec {
        metadata: Some(metadata),
        spec: Some(spec),
    }
}

/// A ServiceAccount in kube-system.
pub fn service_account(name: &str) -> ServiceAccount {
    ServiceAccount {
        metadata: meta(name, name),
        ..Default::default()
    }
}

/// A ClusterRoleBinding of a ClusterRole to a ServiceAccount in kube-system.
pub fn bind(name: &str, role: &str, account: &str) -> ClusterRoleBinding {
    ClusterRoleBinding {
        metadata: cluster_meta(name, account),
        role_ref: role_ref::<ClusterRole>(role),
        subjects: Some(vec![account_subject(account)]),
    }
}

/// A ClusterRoleBinding of a ClusterRole to a group of users.
pub fn bind_group(name: &str, role: &str, group: &str) -> ClusterRoleBinding {
    bind_subject(name, role, ("Group", group))
}

/// A ClusterRoleBinding of a ClusterRole to a user or a group, which have a kind and a name.
pub fn bind_subject(name: &str, role: &str, (kind, whom): (&str, &str)) -> ClusterRoleBinding {
    let subject = Subject {
        api_group: Some(ClusterRole::GROUP.into()),
        kind: kind.into(),
        name: whom.into(),
        ..Default::default()
    };
    ClusterRoleBinding {
        metadata: cluster_meta(name, name),
        role_ref: role_ref::<ClusterRole>(role),
        subjects: Some(vec![subject]),
    }
}

/// A reference to a role of type `R`.
pub fn role_ref<R: Resource>(name: &str) -> RoleRef {
    RoleRef {
        api_group: Some(R::GROUP.into()),
        kind: R::KIND.into(),
        name: name.into(),
    }
}

/// A ServiceAccount in kube-system as the subject of a binding.
pub fn account_subject(name: &str) -> Subject {
    Subject {
        kind: ServiceAccount::KIND.into(),
        name: name.into(),
        namespace: Some(NAMESPACE.into()),
        ..Default::default()
    }
}

/// A rule about resources of one API group.
pub fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.into()]),
        resources: Some(strings(resources)),
        verbs: strings(verbs),
        ..Default::default()
    }
}

/// Lets a drain evict one pod of an application at a time.
pub fn disruption_budget(app: &str) -> PodDisruptionBudget {
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(selector(app)),
        ..Default::default()
    };
    PodDisruptionBudget {
        metadata: meta(app, app),
        spec: Some(spec),
        status: None,
    }
}

/// A volume that is a path of the host; `kind` is e.g. `Directory`.
pub fn host_path(name: &str, path: &str, kind: &str) -> Volume {
    let source = HostPathVolumeSource {
        path: path.into(),
        type_: Some(kind.into()),
    };
    Volume {
        name: name.into(),
        host_path: Some(source),
        ..Default::default()
    }
}

/// A volume that is a Secret, readable by the pod's group only.
pub fn secret_volume(name: &str, secret: &str) -> Volume {
    let source = SecretVolumeSource {
        secret_name: Some(secret.into()),
        default_mode: Some(0o440),
        ..Default::default()
    };
    Volume {
        name: name.into(),
        secret: Some(source),
        ..Default::default()
    }
}

/// A volume that is a ConfigMap.
pub fn config_map_volume(name: &str, config_map: &str) -> Volume {
    let source = ConfigMapVolumeSource {
        name: config_map.into(),
        ..Default::default()
    };
    Volume {
        name: name.into(),
        config_map: Some(source),
        ..Default::default()
    }
}

/// A read-only mount.
pub fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        read_only: Some(true),
        ..mount_writable(name, path)
    }
}

/// A writable mount.
pub fn mount_writable(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        ..Default::default()
    }
}

/// An environment variable that holds a field of the pod, e.g. `status.hostIP`.
pub fn env_field(name: &str, field: &str) -> EnvVar {
    let field = ObjectFieldSelector {
        field_path: field.into(),
        ..Default::default()
    };
    let source = EnvVarSource {
        field_ref: Some(field),
        ..Default::default()
    };
    EnvVar {
        name: name.into(),
        value_from: Some(source),
        ..Default::default()
    }
}

/// What the scheduler reserves for a container.
pub fn requests(cpu: &str, memory: &str) -> ResourceRequirements {
    let requests = [("cpu", cpu), ("memory", memory)]
        .map(|(name, value)| (name.to_owned(), Quantity(value.to_owned())));
    ResourceRequirements {
        requests: Some(requests.into()),
        ..Default::default()
    }
}

/// Tolerates every taint: without these pods there would be nobody to remove one.
pub fn tolerate_everything() -> Vec<Toleration> {
    vec![Toleration {
        operator: Some("Exists".into()),
        ..Default::default()
    }]
}

/// How long leaders of the controller-manager and the scheduler may be silent. Far longer than the default
/// (15 s, and 10 s to renew): a slow machine takes longer than that to fill a new leader's caches, which
/// then gives up and starts from the beginning. The handover releases the Lease, so it waits for none; who
/// is next looks every 1 to 2.2 s (by default 2 to 4.4).
pub const LEASE: [&str; 3] = [
    "--leader-elect-lease-duration=60s",
    "--leader-elect-renew-deadline=40s",
    "--leader-elect-retry-period=1s",
];

/// Where a probe asks.
#[derive(Clone, Copy, Debug)]
pub struct Door<'a> {
    /// `HTTP` or `HTTPS`.
    pub scheme: &'a str,
    /// Whom to ask; `None` is the pod's own address, on the host network the node's.
    pub host: Option<&'a str>,
    /// The port there.
    pub port: u16,
}

/// A probe every `period` seconds that gives up after `failures` of them. It waits 15 s for an
/// answer, because an emulated machine takes that long when it starts.
pub fn probe(door: Door<'_>, path: &str, period: i32, failures: i32) -> Probe {
    let get = HTTPGetAction {
        host: door.host.map(str::to_owned),
        path: Some(path.into()),
        port: IntOrString::Int(door.port.into()),
        scheme: Some(door.scheme.into()),
        ..Default::default()
    };
    Probe {
        http_get: Some(get),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        timeout_seconds: Some(15),
        ..Default::default()
    }
}

/// Startup, readiness and liveness of a container that tells its health by HTTP: asked every
/// second until it is up (10 minutes at most), then rarely.
pub fn with_probes(container: Container, door: Door<'_>, ready: &str, live: &str) -> Container {
    Container {
        startup_probe: Some(probe(door, ready, 1, 600)),
        readiness_probe: Some(probe(door, ready, 5, 3)),
        liveness_probe: Some(probe(door, live, 10, 8)),
        ..container
    }
}

/// A pod that runs as the control plane's one user; its group may read the pod's Secrets.
pub fn control_plane_user() -> PodSecurityContext {
    let uid = i64::from(CONTROL_PLANE_UID);
    PodSecurityContext {
        fs_group: Some(uid),
        ..unprivileged(uid)
    }
}

/// A pod that runs as this user, who is not root.
pub fn unprivileged(uid: i64) -> PodSecurityContext {
    PodSecurityContext {
        run_as_user: Some(uid),
        run_as_group: Some(uid),
        run_as_non_root: Some(true),
        seccomp_profile: Some(default_seccomp()),
        ..Default::default()
    }
}

/// The runtime's default seccomp profile.
pub fn default_seccomp() -> SeccompProfile {
    SeccompProfile {
        type_: "RuntimeDefault".into(),
        ..Default::default()
    }
}

/// A container without any privilege that writes nothing but its volumes.
pub fn confined() -> SecurityContext {
    let drop = Capabilities {
        drop: Some(vec!["ALL".into()]),
        ..Default::default()
    };
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(drop),
        read_only_root_filesystem: Some(true),
        ..Default::default()
    }
}

/// Networks as components' flags take them.
pub fn networks(networks: &[IpNet]) -> String {
    let texts: Vec<_> = networks.iter().map(ToString::to_string).collect();
    texts.join(",")
}

/// Owned copies.
pub fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}
