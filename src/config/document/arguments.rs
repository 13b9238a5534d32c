//! `arguments:`: what components are told beside what slipway tells them.
//!
//! Which flags a component knows is its own affair: it says so when it starts, and a list here would be
//! wrong with the next patch release. Refused is what would break the launch or contradict another
//! field, where the answer is that field.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{COMPONENTS, flags};
use crate::config::guard;
use crate::config::machine::{Arguments, Cluster};
use crate::config::problem::quote;
use crate::config::reader::{Reader, text, wrong_type};

const ARGUMENTS: &str = "arguments";
const OWN: &str = "slipway sets it, and a launch depends on it";
/// Flags that are not for the document, by component (`*`: the three of the control plane), and what to use
/// instead. A `*` at a flag's end stands for any rest.
const PROTECTED: &[(&str, &[(&str, &str)])] = &[
    (
        "*",
        &[
            ("authentication-kubeconfig", OWN),
            ("authorization-kubeconfig", OWN),
            ("bind-address", OWN),
            ("cert-dir", OWN),
            ("client-ca-file", "use certificates.authority"),
            ("kubeconfig", OWN),
            ("leader-elect*", OWN),
            ("permit-address-sharing", OWN),
            ("permit-port-sharing", OWN),
            ("requestheader-*", OWN),
            ("tls-cert-file", OWN),
            ("tls-private-key-file", OWN),
        ],
    ),
    (
        "kube-apiserver",
        &[
            ("admission-control-config-file", "use podSecurity"),
            ("advertise-address", "use node.address"),
            ("anonymous-auth", OWN),
            ("audit-policy-file", "use audit.policy"),
            ("authentication-config", OWN),
            ("enable-bootstrap-token-auth", "use join.token"),
            ("encryption-provider-config*", "use encryption"),
            ("endpoint-reconciler-type", OWN),
            ("etcd-cafile", "use etcd.external.authority"),
            ("etcd-certfile", "use etcd.external.certificate"),
            ("etcd-keyfile", "use etcd.external.key"),
            ("etcd-prefix", OWN),
            ("etcd-servers", "use etcd.external.endpoints"),
            ("kubelet-certificate-authority", OWN),
            ("kubelet-client-*", OWN),
            (
                "oidc-*",
                "use authentication.jwt: with slipway's --authentication-config, kube-apiserver takes none of them",
            ),
            ("proxy-client-*", OWN),
            ("secure-port", "use api.port"),
            ("service-account-issuer", OWN),
            ("service-account-key-file", "use cluster.serviceAccountKey"),
            ("service-account-signing-*", "use cluster.serviceAccountKey"),
            ("service-cluster-ip-range", "use cluster.serviceCIDR"),
            ("shutdown-*", OWN),
        ],
    ),
    (
        "kube-controller-manager",
        &[
            ("allocate-node-cidrs", "use network.provider"),
            ("cluster-cidr", "use cluster.podCIDR"),
            ("cluster-signing-*", "use certificates"),
            ("root-ca-file", "use certificates.authority"),
            ("secure-port", OWN),
            (
                "service-account-private-key-file",
                "use cluster.serviceAccountKey",
            ),
            ("service-cluster-ip-range", "use cluster.serviceCIDR"),
            ("use-service-account-credentials", OWN),
        ],
    ),
    ("kube-scheduler", &[("config", OWN), ("secure-port", OWN)]),
    (
        "kube-proxy",
        &[
            ("cluster-cidr", "use cluster.podCIDR"),
            ("config", OWN),
            ("hostname-override", "use node.name"),
            ("kubeconfig", OWN),
        ],
    ),
    (
        "etcd",
        &[
            ("advertise-client-urls", OWN),
            ("cert-file", OWN),
            ("client-cert-auth", OWN),
            ("config-file", OWN),
            ("data-dir", OWN),
            ("initial-*", OWN),
            ("key-file", OWN),
            ("listen-*", OWN),
            ("name", "use node.name"),
            ("peer-*", OWN),
            ("trusted-ca-file", OWN),
        ],
    ),
    ("coredns", &[("conf", "patch coredns-config")]),
    (
        "flannel",
        &[
            ("healthz-*", OWN),
            ("kube-api-url", "use api.endpoint"),
            ("kube-subnet-mgr", OWN),
            ("kubeconfig-file", OWN),
        ],
    ),
    (
        "pod-checkpointer",
        &[
            ("control-plane-names", OWN),
            ("forbidden-*", OWN),
            ("node-addresses", "use nodes.addresses"),
            ("node-health", OWN),
            ("node-names", "use nodes.names"),
        ],
    ),
];
const CONTROL_PLANE: [&str; 3] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
];

pub fn arguments(reader: &mut Reader, cluster: Option<&Cluster>) -> BTreeMap<String, Arguments> {
    let mut all = BTreeMap::new();
    for (component, value) in reader.entries(ARGUMENTS, &COMPONENTS) {
        let place = guard::child(ARGUMENTS, component);
        match value {
            Value::Object(flags) => {
                all.insert(
                    component.clone(),
                    of_component(reader, component, &place, flags, cluster),
                );
            }
            _ => reader.refuse(&place, wrong_type(value, "a mapping of flags")),
        }
    }
    all
}

fn of_component(
    reader: &mut Reader,
    component: &str,
    place: &str,
    flags: &Map<String, Value>,
    cluster: Option<&Cluster>,
) -> Arguments {
    let mut arguments = Arguments::new();
    for (flag, value) in flags {
        let place = guard::child(place, flag);
        let problem = flag_problem(component, flag);
        match problem.or_else(|| flags::problem(component, flag, flags, cluster)) {
            Some(problem) => reader.refuse(&place, problem),
            None => {
                let values = values(reader, &place, value);
                arguments.extend(values.map(|values| (flag.clone(), values)));
            }
        }
    }
    arguments
}

fn flag_problem(component: &str, flag: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    if !flag.bytes().all(plain) || flag.starts_with('-') || flag.is_empty() {
        let guess = flag.trim_start_matches('-').replace('_', "-");
        let guess = guess.split('=').next().unwrap_or_default();
        return Some(format!(
            "{} is no flag's name; write it without leading dashes and without a value, e.g. {guess}",
            quote(flag)
        ));
    }
    let instead = protected(component, flag)?;
    Some(format!("cannot be set here; {instead}"))
}

/// What to use instead of a component's flag, if the flag is not for the document to set or to patch.
pub fn protected(component: &str, flag: &str) -> Option<&'static str> {
    let of = |name: &str| name == component || name == "*" && CONTROL_PLANE.contains(&component);
    let is = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => flag.starts_with(start),
        None => flag == pattern,
    };
    let flags = PROTECTED.iter().filter(|(name, _)| of(name));
    let mut flags = flags.flat_map(|(_, flags)| *flags);
    flags
        .find(|(pattern, _)| is(pattern))
        .map(|(_, instead)| *instead)
}

/// One value, several, or `None` to take the flag away.
fn values(reader: &mut Reader, place: &str, value: &Value) -> Option<Option<Vec<String>>> {
    let own = |text: &str| Ok(text.to_owned());
    match value {
        Value::Null => Some(None),
        Value::Array(items) if items.is_empty() => {
            reader.refuse(place, "is an empty list; give null to take the flag away");
            None
        }
        Value::Array(items) => reader.texts_of(place, items, |text, _| own(text)).map(Some),
        value => reader
            .check(place, text(value, own))
            .map(|only| Some(vec![only])),
    }
}
