//! The API server's configuration files: who may ask without credentials, and what the document
//! asks for beside that. They lie in `tls/`, the one folder that the API server is given.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::emit;
use crate::config::Machine;
use crate::config::machine::{Encryption, PodSecurity};
use crate::pki::Secrets;

const GROUP: &str = "apiserver.config.k8s.io/v1";

/// A configuration file.
struct File {
    name: &'static str,
    flag: &'static str,
    comment: &'static str,
    is_wanted: fn(&Machine) -> bool,
    value: fn(&Machine, &Secrets) -> Result<Value>,
}

/// The one that holds a secret.
const ENCRYPTION: &str = "encryption.yaml";
/// What the encryption key is called.
pub const KEY_NAME: &str = "slipway";

const FILES: [File; 4] = [
    File {
        name: "authentication.yaml",
        flag: "authentication-config",
        comment: "Who may ask without credentials (probes and load balancers, for health only), and who else\n\
                  proves people (authentication.jwt).",
        is_wanted: |_| true,
        value: |machine, _| Ok(authentication(machine)),
    },
    File {
        name: "admission.yaml",
        flag: "admission-control-config-file",
        comment: "Pod Security of namespaces that have no labels of their own.",
        is_wanted: |machine| machine.pod_security.is_some(),
        value: |machine, _| Ok(machine.pod_security.as_ref().map(admission).into()),
    },
    File {
        name: "audit-policy.yaml",
        flag: "audit-policy-file",
        comment: "What goes into the audit log, which is the API server's own log.",
        is_wanted: is_audited,
        value: |machine, _| Ok(machine.audit_policy.clone().into()),
    },
    File {
        name: ENCRYPTION,
        flag: "encryption-provider-config",
        comment: "Secrets are encrypted in etcd; those from before it are still read, and encrypted when\n\
                  they are next written.",
        is_wanted: |machine| machine.encryption != Encryption::None,
        value: |_, secrets| encryption(secrets),
    },
];

/// A rendered configuration file of `tls/`.
pub struct Rendered {
    /// Its name there.
    pub name: &'static str,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The files that this machine's API servers read.
pub fn files(machine: &Machine, secrets: &Secrets) -> Result<Vec<Rendered>> {
    wanted(machine)
        .map(|file| {
            let value = (file.value)(machine, secrets)?;
            let bytes = emit::text(file.comment, &value);
            Ok(Rendered {
                name: file.name,
                bytes,
            })
        })
        .collect()
}

/// The flags that name them, and the files' names.
pub fn flags(machine: &Machine) -> impl Iterator<Item = (&'static str, &'static str)> {
    wanted(machine).map(|file| (file.flag, file.name))
}

/// Whether a file holds a secret.
pub fn is_private(name: &str) -> bool {
    name == ENCRYPTION
}

/// Whether there is an audit log.
pub fn is_audited(machine: &Machine) -> bool {
    machine.audit_policy.is_some()
}

fn wanted(machine: &Machine) -> impl Iterator<Item = &'static File> {
    FILES.iter().filter(|file| (file.is_wanted)(machine))
}

fn authentication(machine: &Machine) -> Value {
    let path = |path| json!({ "path": path });
    let mut value = json!({
        "apiVersion": GROUP,
        "kind": "AuthenticationConfiguration",
        "anonymous": {
            "enabled": true,
            "conditions": [path("/livez"), path("/readyz"), path("/healthz")],
        },
    });
    if !machine.jwt.is_empty() {
        value["jwt"] = machine.jwt.as_slice().into();
    }
    value
}

/// kube-system is exempt, or the control plane could not start again.
fn admission(pods: &PodSecurity) -> Value {
    let system = std::iter::once(super::objects::NAMESPACE);
    let exempt: Vec<_> = system
        .chain(pods.exempt.iter().map(String::as_str))
        .collect();
    let configuration = json!({
        "apiVersion": "pod-security.admission.config.k8s.io/v1",
        "kind": "PodSecurityConfiguration",
        "defaults": {
            "enforce": pods.enforce, "enforce-version": "latest",
            "audit": pods.audit, "audit-version": "latest",
            "warn": pods.warn, "warn-version": "latest",
        },
        "exemptions": { "namespaces": exempt, "runtimeClasses": [], "usernames": [] },
    });
    json!({
        "apiVersion": GROUP,
        "kind": "AdmissionConfiguration",
        "plugins": [{ "name": "PodSecurity", "configuration": configuration }],
    })
}

/// `identity` reads what was written before there was a key; the first provider writes.
fn encryption(secrets: &Secrets) -> Result<Value> {
    let key = secrets
        .encryption_key()
        .context("there is no key to encrypt Secrets with")?;
    let key = std::str::from_utf8(key.expose()).context("the encryption key is no text")?;
    let secretbox = json!({ "keys": [{ "name": KEY_NAME, "secret": key }] });
    Ok(json!({
        "apiVersion": GROUP,
        "kind": "EncryptionConfiguration",
        "resources": [{
            "resources": ["secrets"],
            "providers": [{ "secretbox": secretbox }, { "identity": {} }],
        }],
    }))
}
