//! From a component's argument to the bytes of the file that it names, which lie in a Secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::ENCRYPTION;
use crate::checkpoint::workload::text;
use crate::recover::component;
use crate::recover::objects::Objects;
use crate::secret::Secret;
use crate::start::plane::argument;

/// The file that a component's argument names, from the Secret in which it lies.
pub fn read(objects: &Objects, name: &str, flag: &str) -> Option<Secret> {
    let template = &component::find(objects, name)?["spec"]["template"];
    let (secret, key) = place(template, argument(template, flag)?)?;
    let data = text(&objects.get("Secret", &secret)?["data"][&key]).to_owned();
    STANDARD
        .decode(data)
        .ok()
        .filter(|bytes| !bytes.is_empty())
        .map(Secret::new)
}

/// The Secret and the key in it that a pod sees at a path.
fn place(template: &Value, path: &str) -> Option<(String, String)> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let containers = list(&template["spec"]["containers"]);
    let mounts = containers
        .iter()
        .flat_map(|container| list(&container["volumeMounts"]));
    for mount in mounts {
        let below = path.strip_prefix(text(&mount["mountPath"]).trim_end_matches('/'));
        let Some(file) = below.and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        let volumes = list(&template["spec"]["volumes"]);
        let volume = volumes
            .iter()
            .find(|volume| volume["name"] == mount["name"])?;
        let own = (&volume["secret"]["secretName"], &volume["secret"]["items"]);
        let sources = list(&volume["projected"]["sources"]);
        let projected = sources
            .iter()
            .map(|source| (&source["secret"]["name"], &source["secret"]["items"]));
        for (name, items) in std::iter::once(own).chain(projected) {
            let items = list(items);
            let item = items.iter().find(|item| item["path"] == file);
            let key = match (items.is_empty(), item) {
                (true, _) => file.to_owned(),
                (false, Some(item)) => text(&item["key"]).to_owned(),
                (false, None) => continue,
            };
            if !text(name).is_empty() {
                return Some((text(name).to_owned(), key));
            }
        }
    }
    None
}

/// The API server's encryption configuration, from its Secret.
pub fn encryption(objects: &Objects) -> Option<Secret> {
    read(objects, "kube-apiserver", ENCRYPTION)
}

/// What every API server publishes of those who sign its clients' certificates.
pub fn published(objects: &Objects) -> Option<String> {
    let map = objects.get("ConfigMap", "extension-apiserver-authentication")?;
    map["data"]["client-ca-file"].as_str().map(str::to_owned)
}

/// Bytes as text, if they are.
pub fn utf8(bytes: &Secret) -> Option<String> {
    String::from_utf8(bytes.expose().to_vec()).ok()
}
