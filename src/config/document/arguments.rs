//! `arguments:`: what components are told beside what slipway tells them.
//!
//! Which flags a component knows is its own affair: it says so when it starts, and a list here would be
//! wrong with the next patch release. Refused is what would break the launch or contradict another
//! field, where the answer is that field.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::COMPONENTS;
use crate::config::guard;
use crate::config::machine::Arguments;
use crate::config::problem::quote;
use crate::config::reader::{Reader, text, wrong_type};

const ARGUMENTS: &str = "arguments";
const OWN: &str = "slipway sets it, and a launch depends on it";
/// Flags that are not for the document, by component (`*`: the three that are control plane), and what
/// to use instead. A `*` at a flag's end stands for any rest.
const PROTECTED: &[(&str, &str, &str)] = &[
    ("*", "authentication-kubeconfig", OWN),
    ("*", "authorization-kubeconfig", OWN),
    ("*", "bind-address", OWN),
    ("*", "cert-dir", OWN),
    ("*", "client-ca-file", "use certificates.authority"),
    ("*", "kubeconfig", OWN),
    ("*", "leader-elect*", OWN),
    ("*", "permit-address-sharing", OWN),
    ("*", "permit-port-sharing", OWN),
    ("*", "requestheader-*", OWN),
    ("*", "tls-cert-file", "use certificates.authority"),
    ("*", "tls-private-key-file", "use certificates.authority"),
    (
        "kube-apiserver",
        "admission-control-config-file",
        "use podSecurity",
    ),
    ("kube-apiserver", "advertise-address", "use node.address"),
    ("kube-apiserver", "anonymous-auth", OWN),
    ("kube-apiserver", "audit-policy-file", "use audit.policy"),
    ("kube-apiserver", "authentication-config", OWN),
    (
        "kube-apiserver",
        "enable-bootstrap-token-auth",
        "use join.token",
    ),
    (
        "kube-apiserver",
        "encryption-provider-config*",
        "use encryption",
    ),
    ("kube-apiserver", "endpoint-reconciler-type", OWN),
    (
        "kube-apiserver",
        "etcd-cafile",
        "use etcd.external.authority",
    ),
    (
        "kube-apiserver",
        "etcd-certfile",
        "use etcd.external.certificate",
    ),
    ("kube-apiserver", "etcd-keyfile", "use etcd.external.key"),
    ("kube-apiserver", "etcd-prefix", OWN),
    (
        "kube-apiserver",
        "etcd-servers",
        "use etcd.external.endpoints",
    ),
    ("kube-apiserver", "kubelet-certificate-authority", OWN),
    ("kube-apiserver", "kubelet-client-*", OWN),
    ("kube-apiserver", "proxy-client-*", OWN),
    ("kube-apiserver", "secure-port", "use api.port"),
    (
        "kube-apiserver",
        "service-account-*",
        "use cluster.serviceAccountKey",
    ),
    (
        "kube-apiserver",
        "service-cluster-ip-range",
        "use cluster.serviceCIDR",
    ),
    ("kube-apiserver", "shutdown-*", OWN),
    (
        "kube-controller-manager",
        "allocate-node-cidrs",
        "use network.provider",
    ),
    (
        "kube-controller-manager",
        "cluster-cidr",
        "use cluster.podCIDR",
    ),
    (
        "kube-controller-manager",
        "cluster-signing-*",
        "use certificates",
    ),
    (
        "kube-controller-manager",
        "root-ca-file",
        "use certificates.authority",
    ),
    ("kube-controller-manager", "secure-port", OWN),
    (
        "kube-controller-manager",
        "service-account-*",
        "use cluster.serviceAccountKey",
    ),
    (
        "kube-controller-manager",
        "service-cluster-ip-range",
        "use cluster.serviceCIDR",
    ),
    (
        "kube-controller-manager",
        "use-service-account-credentials",
        OWN,
    ),
    ("kube-scheduler", "config", OWN),
    ("kube-scheduler", "secure-port", OWN),
    ("kube-proxy", "cluster-cidr", "use cluster.podCIDR"),
    ("kube-proxy", "config", OWN),
    ("kube-proxy", "hostname-override", "use node.name"),
    ("kube-proxy", "kubeconfig", OWN),
    ("etcd", "advertise-client-urls", OWN),
    ("etcd", "cert-file", OWN),
    ("etcd", "client-cert-auth", OWN),
    ("etcd", "config-file", OWN),
    ("etcd", "data-dir", OWN),
    ("etcd", "initial-*", OWN),
    ("etcd", "key-file", OWN),
    ("etcd", "listen-*", OWN),
    ("etcd", "name", "use node.name"),
    ("etcd", "peer-*", OWN),
    ("etcd", "trusted-ca-file", OWN),
    ("coredns", "conf", "patch coredns-config"),
    ("flannel", "healthz-*", OWN),
    ("flannel", "kube-subnet-mgr", OWN),
];
const CONTROL_PLANE: [&str; 3] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
];

pub fn arguments(reader: &mut Reader) -> BTreeMap<String, Arguments> {
    let mut all = BTreeMap::new();
    for (component, value) in reader.entries(ARGUMENTS, &COMPONENTS) {
        let place = guard::child(ARGUMENTS, component);
        match value {
            Value::Object(flags) => {
                all.insert(
                    component.clone(),
                    of_component(reader, component, &place, flags),
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
) -> Arguments {
    let mut arguments = Arguments::new();
    for (flag, value) in flags {
        let place = guard::child(place, flag);
        match flag_problem(component, flag) {
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

fn protected(component: &str, flag: &str) -> Option<&'static str> {
    let of = |name: &str| name == component || name == "*" && CONTROL_PLANE.contains(&component);
    let is = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => flag.starts_with(start),
        None => flag == pattern,
    };
    let mut all = PROTECTED.iter();
    all.find(|(name, pattern, _)| of(name) && is(pattern))
        .map(|(.., instead)| *instead)
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
