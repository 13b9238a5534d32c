//! From a kind to the path of its objects.
//!
//! The server is asked once per group and version, and again when a kind is missing from what it
//! said: a CRD may have been established since. There is no table of well-known kinds, because the
//! server's own word costs one request and is never out of date.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::client::Client;
use super::encode;
use super::error::Error;

/// How the server serves one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// E.g. `apps/v1`, or `v1` of the core group.
    pub api_version: String,
    /// E.g. `Deployment`.
    pub kind: String,
    /// E.g. `deployments`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// What the server said, by `apiVersion`.
#[derive(Debug, Default)]
pub(super) struct Discovery(Mutex<BTreeMap<String, Vec<Resource>>>);

impl Discovery {
    fn known(&self, api_version: &str, kind: &str) -> Option<Resource> {
        let served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        served
            .get(api_version)?
            .iter()
            .find(|resource| resource.kind == kind)
            .cloned()
    }

    fn learn(&self, api_version: &str, resources: Vec<Resource>) {
        let mut served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        served.insert(api_version.to_owned(), resources);
    }
}

impl Client {
    /// How the server serves `kind` of `api_version`.
    ///
    /// # Errors
    /// [`Error::UnknownKind`] if it does not, even when asked anew.
    pub fn resource(&self, api_version: &str, kind: &str) -> Result<Resource, Error> {
        let cache = self.discovery();
        if let Some(resource) = cache.known(api_version, kind) {
            return Ok(resource);
        }
        let unknown = || Error::UnknownKind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        };
        let answer = match self.get(&group_path(api_version)) {
            Err(error) if error.is_not_found() => return Err(unknown()),
            answer => answer?,
        };
        cache.learn(api_version, resources(api_version, &answer));
        cache.known(api_version, kind).ok_or_else(unknown)
    }

    /// The path of `object`, which needs `apiVersion`, `kind` and `metadata.name`.
    pub fn path_of(&self, object: &Value) -> Result<String, Error> {
        let (collection, name) = self.collection_of(object)?;
        Ok(format!("{collection}/{}", encode(&name)))
    }

    /// The path of the collection that `object` belongs to, and its name.
    pub(super) fn collection_of(&self, object: &Value) -> Result<(String, String), Error> {
        let field = |value: &Value, what: &str| match value.as_str() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(Error::Request(format!(
                "the object {} has no {what}",
                name_of(object)
            ))),
        };
        let api_version = field(&object["apiVersion"], "apiVersion")?;
        let kind = field(&object["kind"], "kind")?;
        let name = field(&object["metadata"]["name"], "metadata.name")?;
        let resource = self.resource(&api_version, &kind)?;
        Ok((
            resource.path(object["metadata"]["namespace"].as_str()),
            name,
        ))
    }
}

impl Resource {
    /// The path of the collection. As with kubectl, a namespaced kind without a namespace means
    /// `default`, and a namespace given to a cluster-wide kind means nothing.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let group = group_path(&self.api_version);
        if !self.namespaced {
            return format!("{group}/{}", self.plural);
        }
        let namespace = namespace
            .filter(|name| !name.is_empty())
            .unwrap_or("default");
        format!("{group}/namespaces/{}/{}", encode(namespace), self.plural)
    }

    /// The path of the objects of all namespaces.
    pub fn path_everywhere(&self) -> String {
        format!("{}/{}", group_path(&self.api_version), self.plural)
    }
}

/// `Kind namespace/name` of an object, for messages.
pub fn name_of(object: &Value) -> String {
    let metadata = &object["metadata"];
    let kind = object["kind"].as_str().unwrap_or("of no kind");
    let name = metadata["name"].as_str().unwrap_or("without a name");
    match metadata["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn group_path(api_version: &str) -> String {
    let root = if api_version.contains('/') {
        "apis"
    } else {
        "api"
    };
    format!("/{root}/{api_version}")
}

/// The kinds of an APIResourceList; names with a slash are subresources.
fn resources(api_version: &str, list: &Value) -> Vec<Resource> {
    let entries = list["resources"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| {
            let plural = entry["name"].as_str().filter(|name| !name.contains('/'))?;
            Some(Resource {
                api_version: api_version.to_owned(),
                kind: entry["kind"].as_str()?.to_owned(),
                plural: plural.to_owned(),
                namespaced: entry["namespaced"] == true,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_are_those_of_kubectl() {
        let list = json!({"resources": [
            {"name": "deployments", "kind": "Deployment", "namespaced": true},
            {"name": "deployments/status", "kind": "Deployment", "namespaced": true},
            {"name": "things", "kind": "Thing", "namespaced": false},
        ]});
        let found = resources("apps/v1", &list);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0].path(Some("a")),
            "/apis/apps/v1/namespaces/a/deployments"
        );
        assert_eq!(
            found[0].path(None),
            "/apis/apps/v1/namespaces/default/deployments"
        );
        assert_eq!(found[0].path_everywhere(), "/apis/apps/v1/deployments");
        assert_eq!(found[1].path(Some("ignored")), "/apis/apps/v1/things");
        assert_eq!(group_path("v1"), "/api/v1");
    }

    #[test]
    fn objects_are_named_for_people() {
        let object = json!({"kind": "Pod", "metadata": {"namespace": "a", "name": "b"}});
        assert_eq!(name_of(&object), "Pod a/b");
        assert_eq!(
            name_of(&json!({"kind": "Node", "metadata": {"name": "b"}})),
            "Node b"
        );
        assert_eq!(name_of(&json!({})), "of no kind without a name");
    }
}
