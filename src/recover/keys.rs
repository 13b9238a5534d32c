//! The keys that a cluster hangs on, from wherever one is left.
//!
//! The components' own arguments say which file is which key, and their volumes in which Secret it lies; so a hand-made
//! control plane is understood as well as a rendered one. What a person supplies counts most, then a backup's bundle, then
//! the cluster's Secrets. Pure: everything was read before.

mod lookup;
mod text;

use super::component;
use super::missing::Missing;
use super::objects::Objects;
use crate::assets::Assets;
use crate::pki::{Pair, Saved};
use crate::secret::Secret;
use crate::start::plane::argument;

pub use lookup::encryption;
use lookup::{published, read, utf8};
use text::{certificates, first};
pub use text::{is_rendered, pair, secretbox};

/// The API server's flag.
const ENCRYPTION: &str = "--encryption-provider-config";

/// Keys that do not come from the cluster's Secrets.
#[derive(Clone, Debug, Default)]
pub struct Supplied {
    /// The cluster's authority: what is trusted (what signs first), and the key.
    pub ca: Option<Pair>,
    /// Etcd's authority.
    pub etcd_ca: Option<Pair>,
    /// The front proxy's.
    pub front_proxy_ca: Option<Pair>,
    /// The key that signs ServiceAccounts' tokens, PEM.
    pub service_account_key: Option<Secret>,
    /// The key that Secrets are encrypted with, in base64.
    pub encryption_key: Option<Secret>,
}

/// What is to be known before keys are saved.
pub struct Look<'a> {
    /// What was read.
    pub objects: &'a Objects,
    /// What was supplied.
    pub supplied: &'a Supplied,
    /// What a backup's bundle holds of an asset directory.
    pub bundle: Option<&'a Assets>,
    /// Whether the machine document gives the authority.
    pub is_given: bool,
}

/// The keys, or everything that is missing.
pub fn save(look: &Look<'_>) -> Result<Saved, Vec<Missing>> {
    let mut missing = Vec::new();
    let authority = authority(look, &mut missing);
    let service_account_key = service_account_key(look);
    if service_account_key.is_none() {
        missing.push(Missing::new(
            "the key that signs ServiceAccounts' tokens",
            "no readable Secret of kube-apiserver holds what its --service-account-signing-key-file names",
            "--service-account-key FILE (PEM), or --bundle FILE",
        ));
    }
    let supplied = look.supplied;
    let encrypts = component::find(look.objects, "kube-apiserver")
        .is_some_and(|one| argument(&one["spec"]["template"], ENCRYPTION).is_some());
    if encrypts && supplied.encryption_key.is_none() && own_key(look.objects).is_none() {
        missing.push(Missing::new(
            "the key that Secrets are encrypted with",
            format!("no readable Secret of kube-apiserver holds what its {ENCRYPTION} names"),
            "--encryption-config FILE, or --bundle FILE",
        ));
    }
    match (authority, service_account_key) {
        (Some(authority), Some(service_account_key)) if missing.is_empty() => Ok(Saved {
            trusted: authority.trusted,
            signer: authority.signer,
            key: authority.key,
            etcd: supplied.etcd_ca.clone(),
            front_proxy: supplied.front_proxy_ca.clone(),
            service_account_key,
            encryption_key: supplied
                .encryption_key
                .clone()
                .or_else(|| own_key(look.objects)),
        }),
        _ => Err(missing),
    }
}

struct Authority {
    trusted: String,
    signer: String,
    key: Option<Secret>,
}

fn authority(look: &Look<'_>, missing: &mut Vec<Missing>) -> Option<Authority> {
    let found = from_secrets(look.objects);
    let (trusted, signer, mut key) = match &look.supplied.ca {
        Some(pair) => (
            Some(pair.cert.clone()),
            first(&pair.cert),
            Some(pair.key.clone()),
        ),
        None => found,
    };
    if look.is_given {
        key = None;
    } else if key.is_none() {
        missing.push(Missing::new(
            "the key of the cluster's authority",
            "no readable Secret of kube-controller-manager holds what its --cluster-signing-key-file names",
            "--ca FILE (certificate and key, PEM), or --bundle FILE",
        ));
    }
    let (Some(trusted), Some(signer)) = (trusted, signer) else {
        missing.push(Missing::new(
            "the certificate of the cluster's authority",
            "no readable Secret of kube-apiserver holds what its --client-ca-file names",
            "--ca FILE (certificate and key, PEM), or --bundle FILE",
        ));
        return None;
    };
    Some(Authority {
        trusted,
        signer,
        key,
    })
}

fn from_secrets(objects: &Objects) -> (Option<String>, Option<String>, Option<Secret>) {
    let apiserver = |flag| read(objects, "kube-apiserver", flag);
    let manager = |flag| read(objects, "kube-controller-manager", flag);
    let trusted = apiserver("--client-ca-file").or_else(|| manager("--root-ca-file"));
    let trusted = trusted
        .as_ref()
        .and_then(utf8)
        .or_else(|| published(objects));
    let signer = manager("--cluster-signing-cert-file")
        .as_ref()
        .and_then(utf8);
    let signer = signer.as_deref().or(trusted.as_deref()).and_then(first);
    (trusted, signer, manager("--cluster-signing-key-file"))
}

fn service_account_key(look: &Look<'_>) -> Option<Secret> {
    let read = |name, flag| read(look.objects, name, flag);
    let supplied = look.supplied.service_account_key.clone();
    supplied
        .or_else(|| read("kube-apiserver", "--service-account-signing-key-file"))
        .or_else(|| {
            read(
                "kube-controller-manager",
                "--service-account-private-key-file",
            )
        })
}

fn own_key(objects: &Objects) -> Option<Secret> {
    secretbox(encryption(objects)?.expose())
}

/// Whether the cluster that was read and an asset directory trust each other's authority: in a rotation one may be ahead.
pub fn is_same_cluster(look: &Look<'_>, assets: &Assets) -> bool {
    let supplied = look.supplied.ca.as_ref().map(|pair| pair.cert.clone());
    let (trusted, signer, _) = from_secrets(look.objects);
    let theirs = supplied.or(trusted).unwrap_or_default() + &signer.unwrap_or_default();
    let files = ["tls/ca.crt", "tls/ca-next.crt", "tls/ca-previous.crt"];
    let ours = files.iter().filter_map(|path| assets.get(path));
    let ours: String = ours.filter_map(|asset| utf8(&asset.bytes)).collect();
    let theirs = certificates(&theirs);
    theirs.is_empty() || certificates(&ours).iter().any(|own| theirs.contains(own))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

    fn workload(name: &str, arguments: &[&str], volume: &Value) -> Value {
        json!({
            "kind": "Deployment",
            "metadata": { "namespace": "kube-system", "name": name, "labels": { "k8s-app": name } },
            "spec": { "template": { "spec": {
                "containers": [{ "args": arguments, "volumeMounts": [{ "name": "s", "mountPath": "/s/" }] }],
                "volumes": [volume],
            } } },
        })
    }

    fn secret(name: &str, data: &[(&str, &str)]) -> Value {
        let data = data
            .iter()
            .map(|(key, text)| ((*key).to_owned(), STANDARD.encode(text).into()));
        let data: serde_json::Map<String, Value> = data.collect();
        json!({ "kind": "Secret", "metadata": { "namespace": "kube-system", "name": name }, "data": data })
    }

    fn objects() -> Objects {
        let mut objects = Objects::default();
        objects.add(workload(
            "kube-apiserver",
            &[
                "--client-ca-file=/s/ca.crt",
                "--service-account-signing-key-file=/s/sa/key",
            ],
            &json!({ "name": "s", "projected": { "sources": [
                { "secret": { "name": "own", "items": [{ "key": "ca", "path": "ca.crt" }] } },
                { "secret": { "name": "accounts", "items": [{ "key": "k", "path": "sa/key" }] } },
            ] } }),
        ));
        objects.add(workload(
            "kube-controller-manager",
            &["--cluster-signing-key-file=/s/ca.key"],
            &json!({ "name": "s", "secret": { "secretName": "signer" } }),
        ));
        objects.add(secret(
            "own",
            &[("ca", &format!("{CERTIFICATE}{CERTIFICATE}"))],
        ));
        objects.add(secret("accounts", &[("k", "account key")]));
        objects
    }

    fn saved(
        objects: &Objects,
        supplied: &Supplied,
        is_given: bool,
    ) -> Result<Saved, Vec<Missing>> {
        save(&Look {
            objects,
            supplied,
            bundle: None,
            is_given,
        })
    }

    #[test]
    fn arguments_and_volumes_lead_to_the_keys() {
        let mut objects = objects();
        objects.add(secret("signer", &[("ca.key", "its key")]));
        let saved = saved(&objects, &Supplied::default(), false).unwrap();
        assert_eq!(saved.signer, CERTIFICATE);
        assert_eq!(saved.trusted, format!("{CERTIFICATE}{CERTIFICATE}"));
        assert_eq!(saved.key.unwrap().expose(), b"its key");
        assert_eq!(saved.service_account_key.expose(), b"account key");
    }

    #[test]
    fn a_pair_in_one_file_in_any_order() {
        let key = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";
        for text in [format!("{CERTIFICATE}{key}"), format!("{key}{CERTIFICATE}")] {
            let pair = pair(text.as_bytes()).unwrap();
            assert_eq!(
                (pair.cert.as_str(), pair.key.expose()),
                (CERTIFICATE, key.as_bytes())
            );
        }
        for half in [CERTIFICATE, key, "", "x"] {
            assert!(pair(half.as_bytes()).is_err(), "{half}");
        }
    }

    #[test]
    fn everything_that_is_missing_is_told_at_once() {
        let all = saved(&Objects::default(), &Supplied::default(), false).unwrap_err();
        let flags: Vec<_> = all
            .iter()
            .map(|one| one.supply.split(' ').next().unwrap())
            .collect();
        assert_eq!(flags, ["--ca", "--ca", "--service-account-key"]);
        let one = saved(&objects(), &Supplied::default(), false).unwrap_err();
        assert_eq!(one.len(), 1);
        assert!(
            one[0].to_string().contains("--cluster-signing-key-file"),
            "{}",
            one[0]
        );
    }

    #[test]
    fn what_is_supplied_counts_most_and_a_given_authority_needs_no_key() {
        let pair = Pair {
            cert: CERTIFICATE.into(),
            key: Secret::new("supplied"),
        };
        let supplied = Supplied {
            ca: Some(pair),
            service_account_key: Some(Secret::new("mine")),
            ..Supplied::default()
        };
        let all = saved(&objects(), &supplied, false).unwrap();
        assert_eq!(all.key.unwrap().expose(), b"supplied");
        assert_eq!(all.service_account_key.expose(), b"mine");
        let given = saved(&objects(), &Supplied::default(), true).unwrap();
        assert!(given.key.is_none());
    }
}
