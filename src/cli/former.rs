//! Flags of the original's `render` (bootkube), for who comes from there.
//!
//! What they said is said by the machine document now, so that a machine can be rendered again from
//! what it keeps. Each is still understood, and answered with the field to use: a script fails with
//! what to write instead of with "unknown option".

/// A flag and what takes its place: a field, or a sentence.
#[derive(Debug)]
pub struct Former {
    /// Its name without the dashes.
    pub name: &'static str,
    /// The field of the document; empty if there is none.
    pub field: &'static str,
    /// What to know beside that.
    pub note: &'static str,
}

const fn field(name: &'static str, field: &'static str, note: &'static str) -> Former {
    Former { name, field, note }
}

/// All but `--asset-dir`, which is an option of slipway's too.
pub const FORMER: [Former; 15] = [
    field(
        "api-server-alt-names",
        "api.altNames",
        "a list, without DNS= and IP=",
    ),
    field(
        "api-servers",
        "api.endpoint",
        "HOST or HOST:PORT, without https://",
    ),
    field(
        "ca-certificate-path",
        "certificates.authority.certificate",
        "its text, not its path",
    ),
    field(
        "ca-private-key-path",
        "certificates.authority.key",
        "{secretRef: {file: PATH}} leaves it where it is",
    ),
    field(
        "cloud-provider",
        "arguments",
        "e.g. kube-controller-manager: {cloud-provider: external}",
    ),
    field("cluster-name", "cluster.name", ""),
    field(
        "etcd-ca-path",
        "etcd.external.authority",
        "its text, not its path",
    ),
    field(
        "etcd-certificate-path",
        "etcd.external.certificate",
        "its text, not its path",
    ),
    field(
        "etcd-private-key-path",
        "etcd.external.key",
        "{secretRef: {file: PATH}} leaves it where it is",
    ),
    field(
        "etcd-servers",
        "etcd.external.endpoints",
        "a list; without etcd.external there is one on the node",
    ),
    field(
        "network-provider",
        "network.provider",
        "flannel or none; manifests: may bring another",
    ),
    field(
        "plugin",
        "",
        "slipway needs no plugin: patches: and manifests: change and add to what is rendered",
    ),
    field(
        "plugin-flag",
        "",
        "slipway needs no plugin; its flags are fields of the document",
    ),
    field("pod-cidr", "cluster.podCIDR", "one, or a list of two"),
    field(
        "service-cidr",
        "cluster.serviceCIDR",
        "one, or a list of two",
    ),
];

/// The flag of that name.
pub fn find(name: &str) -> Option<&'static Former> {
    FORMER.iter().find(|former| former.name == name)
}

impl Former {
    /// What to write instead, e.g. `--pod-cidr: cluster.podCIDR (one, or a list of two)`.
    pub fn instead(&self) -> String {
        let Self { name, field, note } = self;
        match (*field, *note) {
            ("", note) => format!("--{name}: {note}"),
            (field, "") => format!("--{name}: {field}"),
            (field, note) => format!("--{name}: {field} ({note})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;

    /// A field that is named is one of the document's.
    #[test]
    fn every_field_exists() {
        let schema = schema::schema();
        for former in FORMER.iter().filter(|former| !former.field.is_empty()) {
            let mut node = &schema;
            for part in former.field.split('.') {
                node = &node["properties"][part];
            }
            assert!(node.is_object(), "{}", former.field);
        }
    }
}
