//! Kubeconfigs of tokens, which a checkpoint has none of.
//!
//! A program that finds the API by a kubeconfig takes whatever credentials stand there: so the file is all that
//! changes, and neither the program's arguments nor its mounts do. On the host network it is also sent to this node's own
//! door: the cluster's may lead to API servers that are not there, or to this very node's address, which is
//! closed while only checkpoints run.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Map, Value};

use super::tokens::{self, Seen};
use super::{Files, Given, is_on_host_network, list};
use crate::checkpoint::workload::text;
use crate::config::yaml;
use crate::render::emit;
use crate::secret::Secret;

const COMMENT: &str =
    "In a checkpoint: a client certificate in place of the ServiceAccount's token.";

/// The kubeconfigs of one pod.
pub(super) struct Kubeconfigs<'a> {
    given: &'a Given<'a>,
    seen: Vec<Seen>,
    /// The volumes whose token some kubeconfig uses.
    used: BTreeSet<String>,
}

impl<'a> Kubeconfigs<'a> {
    pub fn new(given: &'a Given<'a>) -> Result<Self> {
        Ok(Self {
            given,
            seen: tokens::seen(given.pod)?,
            used: BTreeSet::new(),
        })
    }

    /// Mends the kubeconfigs among a volume's files.
    pub fn mend(&mut self, files: &mut Files, notes: &mut Vec<String>) -> Result<()> {
        for (path, file) in files.iter_mut() {
            let bytes = &mut file.bytes;
            if !self.names_a_token(bytes) {
                continue;
            }
            match kubeconfig(bytes) {
                Some(mut config) => {
                    if self.mend_one(&mut config) {
                        *bytes = Secret::new(emit::text(COMMENT, &config));
                    }
                }
                None => notes.push(format!(
                    "{path} names a token's file, but is no kubeconfig; in a checkpoint that file is not there"
                )),
            }
        }
        Ok(())
    }

    /// What to say of tokens that no kubeconfig uses.
    pub fn unused(&self) -> Vec<String> {
        let volumes = list(&self.given.pod["spec"]["volumes"]).iter();
        volumes
            .filter(|volume| tokens::is_volume(volume))
            .map(|volume| text(&volume["name"]))
            .filter(|name| !self.used.contains(*name))
            .map(|name| {
                format!(
                    "volume {name}: no kubeconfig of the pod uses its token; the in-cluster configuration cannot use the \
                     certificate in its place, so give the program a kubeconfig if its checkpoint needs the API"
                )
            })
            .collect()
    }

    fn names_a_token(&self, bytes: &Secret) -> bool {
        let text = std::str::from_utf8(bytes.expose()).unwrap_or_default();
        self.seen.iter().any(|seen| text.contains(&seen.token))
    }

    /// Whether there was anything to mend.
    fn mend_one(&mut self, config: &mut Value) -> bool {
        let mut users = BTreeSet::new();
        for user in items(config, "users") {
            let name = user["name"].clone();
            let Some(user) = user.get_mut("user").and_then(Value::as_object_mut) else {
                continue;
            };
            let at = user.get("tokenFile").map(text);
            let Some(seen) = self.seen.iter().find(|seen| at == Some(&seen.token)) else {
                continue;
            };
            certify(user, seen);
            self.used.insert(seen.volume.clone());
            users.insert(text(&name).to_owned());
        }
        if is_on_host_network(self.given.pod) {
            self.go_home(config, &users);
        }
        !users.is_empty()
    }

    /// Sends these users' requests to the node's own door.
    fn go_home(&self, config: &mut Value, users: &BTreeSet<String>) {
        let contexts = list(&config["contexts"]).iter();
        let clusters: BTreeSet<_> = contexts
            .map(|context| &context["context"])
            .filter(|context| users.contains(text(&context["user"])))
            .map(|context| text(&context["cluster"]).to_owned())
            .collect();
        for cluster in items(config, "clusters") {
            let is_used = clusters.contains(text(&cluster["name"]));
            let cluster = cluster.get_mut("cluster").and_then(Value::as_object_mut);
            if let Some(cluster) = cluster.filter(|_| is_used) {
                cluster.insert("server".into(), self.given.loopback.into());
            }
        }
    }
}

fn certify(user: &mut Map<String, Value>, seen: &Seen) {
    user.remove("tokenFile");
    user.remove("token");
    user.insert("client-certificate".into(), seen.certificate().into());
    user.insert("client-key".into(), seen.key().into());
}

fn items<'a>(config: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    let items = config.get_mut(field).and_then(Value::as_array_mut);
    items.into_iter().flatten()
}

/// The file as a kubeconfig, if it is one.
fn kubeconfig(bytes: &Secret) -> Option<Value> {
    let text = std::str::from_utf8(bytes.expose()).ok()?;
    let mut documents = yaml::documents(text).ok()?.into_iter();
    let config = documents.find(|document| !document.is_null())?;
    (config["kind"] == "Config" && documents.all(|rest| rest.is_null())).then_some(config)
}
