//! What a recovery reads, whoever it asks: the API has it at a path, etcd below a prefix.

use super::objects::NAMESPACE;

/// Objects of one kind.
pub struct Resource {
    /// E.g. `apps/v1`.
    pub version: &'static str,
    /// E.g. `DaemonSet`.
    pub kind: &'static str,
    /// E.g. `daemonsets`.
    plural: &'static str,
    /// Of which namespace; empty if of all, or of none.
    namespace: &'static str,
}

/// Everything that is read.
pub const RESOURCES: [Resource; 13] = [
    own("v1", "Secret", "secrets"),
    own("v1", "ConfigMap", "configmaps"),
    own("v1", "ServiceAccount", "serviceaccounts"),
    own("v1", "Pod", "pods"),
    all("v1", "Node", "nodes"),
    own("apps/v1", "DaemonSet", "daemonsets"),
    own("apps/v1", "Deployment", "deployments"),
    all(RBAC, "Role", "roles"),
    all(RBAC, "RoleBinding", "rolebindings"),
    all(RBAC, "ClusterRole", "clusterroles"),
    all(RBAC, "ClusterRoleBinding", "clusterrolebindings"),
    Resource {
        namespace: "kube-node-lease",
        ..own(COORDINATION, "Lease", "leases")
    },
    own(COORDINATION, "Lease", "leases"),
];
const RBAC: &str = "rbac.authorization.k8s.io/v1";
const COORDINATION: &str = "coordination.k8s.io/v1";

const fn all(version: &'static str, kind: &'static str, plural: &'static str) -> Resource {
    Resource {
        version,
        kind,
        plural,
        namespace: "",
    }
}

/// Of the control plane's namespace.
const fn own(version: &'static str, kind: &'static str, plural: &'static str) -> Resource {
    Resource {
        namespace: NAMESPACE,
        ..all(version, kind, plural)
    }
}

impl Resource {
    /// The collection's path in the API.
    pub fn path(&self) -> String {
        let root = match self.version {
            "v1" => "/api",
            _ => "/apis",
        };
        let namespace = match self.namespace {
            "" => String::new(),
            namespace => format!("/namespaces/{namespace}"),
        };
        format!("{root}/{}{namespace}/{}", self.version, self.plural)
    }

    /// The beginning of its keys in etcd, below the API server's prefix.
    pub fn prefix(&self) -> String {
        let plural = match self.plural {
            // Kubernetes' first word for them (`pkg/kubeapiserver/default_storage_factory_builder.go`).
            "nodes" => "minions",
            plural => plural,
        };
        match self.namespace {
            "" => format!("{plural}/"),
            namespace => format!("{plural}/{namespace}/"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_is() {
        let found: Vec<_> = RESOURCES
            .iter()
            .map(|one| (one.path(), one.prefix()))
            .collect();
        for (path, prefix) in [
            (
                "/api/v1/namespaces/kube-system/secrets",
                "secrets/kube-system/",
            ),
            ("/api/v1/nodes", "minions/"),
            (
                "/apis/apps/v1/namespaces/kube-system/daemonsets",
                "daemonsets/kube-system/",
            ),
            ("/apis/rbac.authorization.k8s.io/v1/roles", "roles/"),
            (
                "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
                "leases/kube-node-lease/",
            ),
        ] {
            assert!(
                found.contains(&(path.to_owned(), prefix.to_owned())),
                "{path}"
            );
        }
    }
}
