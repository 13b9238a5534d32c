//! All that the API holds: every object of every kind that discovery leads to.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway::hash::sha256;
use slipway::kube::Client;

use super::Size;
use super::objects::LABEL;

/// Kinds of which there is nothing to keep: what is said of others, and what is no object.
const LEFT_OUT: [&str; 3] = ["events", "events.events.k8s.io", "componentstatuses"];
/// Of these the lists count, and what they hold comes and goes: pods with their nodes, requests after an hour.
const COME_AND_GO: [&str; 2] = ["pods", "certificatesigningrequests.certificates.k8s.io"];
const LEASES: &str = "leases.coordination.k8s.io";

/// The API at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// By kind, `PLURAL` or `PLURAL.GROUP`: the list's resourceVersion, and its objects by `NAMESPACE/NAME`.
    kinds: BTreeMap<String, Kind>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kind {
    version: u64,
    objects: BTreeMap<String, Object>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Object {
    uid: String,
    version: u64,
    /// Of what was seeded: a hash over all that nobody but its owner changes.
    data: Option<String>,
}

impl Seen {
    /// Lists everything.
    pub fn of(client: &Client) -> Result<Self> {
        let mut kinds = BTreeMap::new();
        for (name, path) in collections(client)? {
            let list = client.list(&path)?;
            let kind = kind(&list.resource_version, &list.items);
            kinds.insert(name.clone(), kind.with_context(|| name)?);
        }
        Ok(Self { kinds })
    }

    /// The greatest resourceVersion in it.
    pub fn revision(&self) -> u64 {
        let kinds = self.kinds.values();
        let all = kinds.flat_map(|kind| {
            let objects = kind.objects.values().map(|object| object.version);
            objects.chain([kind.version])
        });
        all.max().unwrap_or_default()
    }

    /// Everything that was seeded is in it, and what every cluster has.
    pub fn holds(&self, size: Size) -> Result<()> {
        for (name, least) in [
            ("configmaps", size.maps),
            ("secrets", size.secrets),
            ("buoys.harbour.example.com", size.custom),
            ("deployments.apps", size.deployments),
            ("clusterroles.rbac.authorization.k8s.io", 1),
            ("nodes", 1),
        ] {
            let kind = self.kinds.get(name).context(name)?;
            let seeded = kind.objects.values().filter(|one| one.data.is_some());
            let there = match name {
                "nodes" | "clusterroles.rbac.authorization.k8s.io" => kind.objects.len(),
                _ => seeded.count(),
            };
            ensure!(there >= least, "{there} {name} of {least}");
        }
        Ok(())
    }

    /// What is worse than `before`, one thing a line. `latest` is the greatest resourceVersion that anybody had seen.
    pub fn differs_from(&self, before: &Self, latest: u64, forgotten: Option<&str>) -> Vec<String> {
        let mut differs = Vec::new();
        for (name, was) in &before.kinds {
            let Some(is) = self.kinds.get(name) else {
                differs.push(format!("{name} are not served"));
                continue;
            };
            if is.version < latest {
                differs.push(format!(
                    "the list of {name} is at {}, and {latest} was seen",
                    is.version
                ));
            }
            for (object, was) in &was.objects {
                let is = is.objects.get(object);
                let may_go = may_go(name, object, forgotten);
                if let Some(why) = worse(was, is, may_go) {
                    differs.push(format!("{name} {object} {why}"));
                }
            }
        }
        differs
    }
}

/// How an object is worse than it was.
fn worse(was: &Object, is: Option<&Object>, may_go: bool) -> Option<String> {
    let Some(is) = is else {
        return (!may_go).then(|| "is gone".to_owned());
    };
    if is.uid != was.uid {
        return (!may_go).then(|| format!("was {} and is {}", was.uid, is.uid));
    }
    if is.version < was.version {
        return Some(format!("was at {} and is at {}", was.version, is.version));
    }
    (is.data != was.data).then(|| "holds something else".to_owned())
}

/// Whether an object may be gone, or be another of that name.
fn may_go(kind: &str, object: &str, forgotten: Option<&str>) -> bool {
    let is_of_node = forgotten.is_some_and(|node| match kind {
        "nodes" | "csinodes.storage.k8s.io" => object == format!("/{node}"),
        LEASES => object == format!("kube-node-lease/{node}"),
        _ => false,
    });
    // An API server's own Lease has a name of its process, and goes when that has been away for an hour.
    let is_of_process = kind == LEASES && object.starts_with("kube-system/apiserver-");
    COME_AND_GO.contains(&kind) || is_of_node || is_of_process
}

/// The collections of all namespaces: names as kubectl has them, and paths.
fn collections(client: &Client) -> Result<Vec<(String, String)>> {
    let groups = client.get("/apis")?;
    let groups = groups["groups"].as_array().context("no groups")?.clone();
    let mut versions = vec![(String::new(), "/api/v1".to_owned())];
    for group in groups {
        let name = group["name"].as_str().unwrap_or_default();
        let version = group["preferredVersion"]["groupVersion"].as_str();
        let version = version.context("a group without version")?;
        versions.push((format!(".{name}"), format!("/apis/{version}")));
    }
    let mut all = Vec::new();
    for (group, path) in versions {
        let answer = client.get(&path)?;
        let resources = answer["resources"].as_array().context("no resources")?;
        for resource in resources {
            let plural = resource["name"].as_str().unwrap_or_default();
            let verbs = resource["verbs"].as_array().into_iter().flatten();
            let name = format!("{plural}{group}");
            let is_list = verbs.into_iter().any(|verb| verb == "list");
            if is_list && !plural.contains('/') && !LEFT_OUT.contains(&&*name) {
                all.push((name, format!("{path}/{plural}")));
            }
        }
    }
    Ok(all)
}

fn kind(version: &str, items: &[Value]) -> Result<Kind> {
    let objects = items.iter().map(|item| {
        let metadata = &item["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default();
        let name = format!("{}/{}", text("namespace"), text("name"));
        let object = Object {
            uid: text("uid").to_owned(),
            version: number(text("resourceVersion")).with_context(|| name.clone())?,
            data: is_seeded(item).then(|| data(item)),
        };
        Ok((name, object))
    });
    Ok(Kind {
        version: number(version)?,
        objects: objects.collect::<Result<_>>()?,
    })
}

fn number(version: &str) -> Result<u64> {
    let number = version.parse();
    number.with_context(|| format!("{version:?} is no resourceVersion"))
}

fn is_seeded(object: &Value) -> bool {
    !object["metadata"]["labels"][LABEL].is_null()
}

/// A hash over an object without what others note in it.
fn data(object: &Value) -> String {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|name, _| !["managedFields", "resourceVersion"].contains(&&**name));
    }
    sha256(object.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MAP: &str = "configmaps";

    fn map(name: &str, uid: &str, version: u64, text: &str) -> Value {
        json!({
            "metadata": {
                "namespace": "seeded", "name": name, "uid": uid, "labels": { LABEL: "true" },
                "resourceVersion": version.to_string(), "managedFields": [version],
            },
            "data": { "text": text },
            "status": version,
        })
    }

    fn seen(name: &str, version: u64, items: &[Value]) -> Seen {
        let kind = kind(&version.to_string(), items).unwrap();
        Seen {
            kinds: BTreeMap::from([(name.to_owned(), kind)]),
        }
    }

    fn before() -> Seen {
        let maps = [map("a", "1", 10, "x"), map("b", "2", 11, "y")];
        seen(MAP, 12, &maps)
    }

    fn differs(version: u64, items: &[Value]) -> Vec<String> {
        seen(MAP, version, items).differs_from(&before(), 14, None)
    }

    #[test]
    fn what_is_as_it_was_does_not_differ() {
        let maps = [map("a", "1", 10, "x"), map("b", "2", 15, "y")];
        assert!(differs(15, &maps).is_empty());
        let more = [&maps[..], &[map("c", "3", 16, "z")]].concat();
        assert!(differs(16, &more).is_empty());
        assert_eq!(before().revision(), 12);
    }

    #[test]
    fn whatever_is_worse_has_its_line() {
        let (a, b) = (map("a", "1", 10, "x"), map("b", "2", 11, "y"));
        let cases = [
            (14, vec![a.clone()], "configmaps seeded/b is gone"),
            (
                14,
                vec![a.clone(), map("b", "3", 14, "y")],
                "configmaps seeded/b was 2 and is 3",
            ),
            (
                14,
                vec![a.clone(), map("b", "2", 9, "y")],
                "configmaps seeded/b was at 11 and is at 9",
            ),
            (
                14,
                vec![a.clone(), map("b", "2", 14, "z")],
                "configmaps seeded/b holds something else",
            ),
            (
                13,
                vec![a, b],
                "the list of configmaps is at 13, and 14 was seen",
            ),
        ];
        for (version, items, line) in cases {
            assert_eq!(differs(version, &items), [line]);
        }
        let nothing = Seen::default().differs_from(&before(), 14, None);
        assert_eq!(nothing, ["configmaps are not served"]);
    }

    #[test]
    fn what_may_go_is_named() {
        let gone = |kind: &str, namespace: &str, name: &str, forgotten| {
            let object = json!({ "metadata": {
                "namespace": namespace, "name": name, "uid": "1", "resourceVersion": "1",
            } });
            let before = seen(kind, 1, &[object]);
            seen(kind, 1, &[])
                .differs_from(&before, 1, forgotten)
                .is_empty()
        };
        assert!(gone("pods", "seeded", "a", None));
        assert!(gone(LEASES, "kube-system", "apiserver-a", None));
        assert!(!gone(LEASES, "kube-system", "kube-scheduler", None));
        assert!(!gone("nodes", "", "node-a", None));
        assert!(!gone("nodes", "", "node-b", Some("node-a")));
        assert!(gone("nodes", "", "node-a", Some("node-a")));
        assert!(gone(LEASES, "kube-node-lease", "node-a", Some("node-a")));
    }
}
