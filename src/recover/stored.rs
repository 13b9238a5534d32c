//! Which keys of etcd a recovery reads, and from their bytes to objects.

use anyhow::{Context, Result};

use super::decode;
use super::encryption::Providers;
use super::missing::Missing;
use super::objects::Objects;
use super::resources::{RESOURCES, Resource};
use crate::etcd::Stored;
use crate::exit::{Exit, fail};

/// What only counts where somebody names it.
const DATA: [&str; 2] = ["configmaps", "secrets"];
/// Where kube-apiserver keeps its objects unless `--etcd-prefix` says otherwise.
pub const PREFIX: &str = "/registry";

/// The keys below which everything lies that is read.
pub fn prefixes(prefix: &str) -> Vec<Vec<u8>> {
    let root = prefix.trim_end_matches('/');
    let all = RESOURCES.iter().map(Resource::prefix);
    all.map(|place| format!("{root}/{place}").into_bytes())
        .collect()
}

/// What was understood of stored keys.
#[derive(Debug, Default)]
pub struct Understood {
    /// The objects.
    pub objects: Objects,
    /// What nothing can be read without.
    pub missing: Vec<Missing>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Decrypts and decodes. What is encrypted with a key that is not there is counted, not refused: everything that is
/// missing is told at once.
///
/// # Errors
/// [`Exit::Refused`] if something cannot be decoded that says what a cluster is.
pub fn understand(
    prefix: &str,
    stored: &[Stored],
    providers: Option<&Providers>,
) -> Result<Understood> {
    let root = format!("{}/", prefix.trim_end_matches('/'));
    let mut all = Understood::default();
    let mut sealed: Vec<String> = Vec::new();
    for one in stored {
        let name = String::from_utf8_lossy(&one.key).into_owned();
        let resource = name
            .strip_prefix(&root)
            .and_then(|rest| rest.split('/').next());
        let resource = resource.with_context(|| format!("{name} is not below {root}"))?;
        let value = match (is_sealed(one.value.expose()), providers) {
            (false, _) => one.value.clone(),
            (true, None) => {
                sealed.push(name);
                continue;
            }
            (true, Some(providers)) => {
                match providers.decrypt(resource, &one.key, one.value.expose()) {
                    Ok(value) => value,
                    Err(error) => {
                        // Whether it is needed, the components say.
                        all.notes.push(format!("{name} cannot be read: {error:#}"));
                        continue;
                    }
                }
            }
        };
        let decoded = match decode::object(&name, value.expose()) {
            Ok(decoded) => decoded,
            // Whether anybody needs it, the components say.
            Err(error) if DATA.contains(&resource) => {
                all.notes.push(format!("{error:#}; it is left out"));
                continue;
            }
            Err(error) => {
                let next = "a recovery from what is half understood would be a guess: take another snapshot, or recover \
                            from the API server with --kubeconfig FILE";
                return Err(fail(Exit::Refused, error.context(next)));
            }
        };
        let mut object = decoded.object;
        object["metadata"]["resourceVersion"] = one.mod_revision.to_string().into();
        all.notes.extend(decoded.unknown.iter().map(|field| {
            format!(
                "{name}: {field} is of a newer Kubernetes than this slipway knows, and is left out"
            )
        }));
        all.objects.add(object);
    }
    if let Some(first) = sealed.first() {
        all.missing.push(Missing::new(
            "the key that Secrets are encrypted with",
            format!("{} of them cannot be read; the first is {first}", sealed.len()),
            "--encryption-config FILE (what the API server's --encryption-provider-config names), or a backup's bundle: \
             --identity FILE opens the one that lies beside a snapshot, --bundle FILE names another",
        ));
    }
    Ok(all)
}

/// Whether an encryption provider wrote it.
fn is_sealed(value: &[u8]) -> bool {
    value.starts_with(b"k8s:enc:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn stored(key: &str, value: &str) -> Stored {
        Stored {
            key: key.into(),
            value: Secret::new(value),
            create_revision: 1,
            mod_revision: 7,
            version: 1,
            lease: 0,
        }
    }

    #[test]
    fn what_cannot_be_decrypted_is_told_once() {
        let config = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"kube-system","name":"a"}}"#;
        let all = [
            stored("/registry/configmaps/kube-system/a", config),
            stored(
                "/registry/secrets/kube-system/a",
                "k8s:enc:secretbox:v1:k:x",
            ),
            stored(
                "/registry/secrets/kube-system/b",
                "k8s:enc:secretbox:v1:k:x",
            ),
        ];
        let understood = understand(PREFIX, &all, None).unwrap();
        let config = understood.objects.get("ConfigMap", "a").unwrap();
        assert_eq!(config["metadata"]["resourceVersion"], "7");
        assert_eq!(understood.missing.len(), 1);
        let text = understood.missing[0].to_string();
        assert!(
            text.contains("2 of them") && text.contains("--encryption-config"),
            "{text}"
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let broken = [stored("/registry/deployments/kube-system/a", "{")];
        let error = format!("{:#}", understand(PREFIX, &broken, None).unwrap_err());
        assert!(
            error.contains("/registry/deployments/kube-system/a"),
            "{error}"
        );
        for odd in [
            "{",
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":"a"}"#,
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{},"data":"a"}"#,
        ] {
            let broken = [stored("/registry/configmaps/kube-system/a", odd)];
            let understood = understand(PREFIX, &broken, None).unwrap();
            assert!(understood.objects.is_empty(), "{odd}");
            assert!(understood.notes[0].contains("/registry/configmaps/kube-system/a"));
        }
        let foreign = [stored("/other/configmaps/a/b", "{}")];
        assert!(understand(PREFIX, &foreign, None).is_err());
    }
}
