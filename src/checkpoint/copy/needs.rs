//! Which objects a pod's data comes from.

use std::collections::BTreeMap;

use serde_json::Value;

use super::objects::{ObjectKind, ObjectRef};
use super::{containers, is_optional, list, tokens};
use crate::checkpoint::workload::text;

/// The Secrets and ConfigMaps of a pod that its checkpoint is made of, each once; it is optional if everybody who names
/// it says so.
pub fn needs(pod: &Value) -> Vec<ObjectRef> {
    let mut found = Found::default();
    for volume in list(&pod["spec"]["volumes"]) {
        found.volume(volume);
    }
    for container in containers(pod) {
        found.environment(container);
    }
    let objects = found.0.into_iter();
    objects
        .map(|((kind, name), optional)| ObjectRef {
            kind,
            name,
            optional,
        })
        .collect()
}

#[derive(Default)]
struct Found(BTreeMap<(ObjectKind, String), bool>);

impl Found {
    fn add(&mut self, kind: ObjectKind, name: &Value, source: &Value) {
        let Some(name) = name.as_str() else { return };
        let optional = is_optional(source);
        self.0
            .entry((kind, name.to_owned()))
            .and_modify(|all| *all &= optional)
            .or_insert(optional);
    }

    fn volume(&mut self, volume: &Value) {
        let (secret, config_map) = (&volume["secret"], &volume["configMap"]);
        self.add(ObjectKind::Secret, &secret["secretName"], secret);
        self.add(ObjectKind::ConfigMap, &config_map["name"], config_map);
        for source in list(&volume["projected"]["sources"]) {
            // In a token's volume the node's own authority stands for it.
            let is_authority = text(&source["configMap"]["name"]) == tokens::AUTHORITY;
            if !(is_authority && tokens::is_volume(volume)) {
                self.named(source, "secret", "configMap");
            }
        }
    }

    fn environment(&mut self, container: &Value) {
        for source in list(&container["envFrom"]) {
            self.named(source, "secretRef", "configMapRef");
        }
        for variable in list(&container["env"]) {
            self.named(&variable["valueFrom"], "secretKeyRef", "configMapKeyRef");
        }
    }

    /// What names a Secret in one field, or a ConfigMap in the other, by `name`.
    fn named(&mut self, source: &Value, secret: &str, config_map: &str) {
        for (kind, field) in [
            (ObjectKind::Secret, secret),
            (ObjectKind::ConfigMap, config_map),
        ] {
            self.add(kind, &source[field]["name"], &source[field]);
        }
    }
}
