//! What has to be restarted when certificates change, and whether it was: pure.

use std::time::SystemTime;

use anyhow::Result;
use serde_json::Value;

use crate::assets::Assets;
use crate::pki;
use crate::start::plane::{self, Manifest};
use crate::start::ready::{Here, Lists, Workload, judge, owned};

/// On a pod template: changes whenever the Secrets do that its pods read. `render` writes it.
pub const SECRETS: &str = "slipway.dev/secrets";

/// A workload and the Secrets that its pods read.
#[derive(Debug)]
pub struct Part {
    /// The Secrets, as the asset directory has them.
    pub secrets: Vec<Manifest>,
    /// The DaemonSet or Deployment, as the asset directory has it.
    pub workload: Manifest,
    /// What its pod template's annotation [`SECRETS`] should say.
    pub mark: String,
}

impl Part {
    /// Whether it is the API server, which everything else needs.
    pub fn serves(&self) -> bool {
        plane::argument(&self.workload.object["spec"]["template"], "--etcd-servers").is_some()
    }
}

/// A workload's name, for the judgement of its pods.
pub fn name(workload: &Manifest) -> Workload {
    Workload {
        namespace: plane::namespace(&workload.object),
        name: plane::name(&workload.object),
    }
}

/// Every workload of the asset directory that says which Secrets it was started with, the API server
/// first: whatever comes after it may talk to the new one only.
pub fn parts(assets: &Assets) -> Result<Vec<Part>> {
    let manifests = plane::manifests(assets)?;
    let mut parts: Vec<_> = (manifests
        .iter()
        .filter_map(|manifest| part(manifest, &manifests)))
    .collect();
    parts.sort_by_key(|part| !part.serves());
    Ok(parts)
}

/// What is renewed with certificates and read by no pod: the rights of the API server's user at kubelets, before
/// its certificate, and the token that lets nodes in, unless it has ended. The cluster has deleted that.
pub fn beside(assets: &Assets, now: SystemTime) -> Result<Vec<Manifest>> {
    let mut files = vec!["manifests/kubelet-api-role-binding.yaml"];
    if pki::lets_in(assets, now)? {
        files.push("manifests/kubelet-bootstrap-token.yaml");
    }
    let mut found = plane::manifests(assets)?;
    found.retain(|one| files.contains(&one.file.as_str()));
    Ok(found)
}

fn part(workload: &Manifest, all: &[Manifest]) -> Option<Part> {
    let template = &workload.object["spec"]["template"];
    let mark = template["metadata"]["annotations"][SECRETS].as_str()?;
    let namespace = plane::namespace(&workload.object);
    let volumes = template["spec"]["volumes"].as_array();
    let names: Vec<_> = (volumes.into_iter().flatten())
        .filter_map(|volume| volume["secret"]["secretName"].as_str())
        .collect();
    let secrets = all.iter().filter(|one| {
        one.object["kind"] == "Secret"
            && plane::namespace(&one.object) == namespace
            && names.contains(&plane::name(&one.object).as_str())
    });
    Some(Part {
        secrets: secrets.cloned().collect(),
        workload: workload.clone(),
        mark: mark.to_owned(),
    })
}

/// When the first container was started of a workload that runs as its object says now, with nothing of a
/// former version left; otherwise what is missing. A former pod has to be gone and not only told to stop: on
/// the host network it shares the port, so as long as it lives nobody knows whom an answer is from.
pub fn is_rolled(workload: &Workload, lists: &Lists, here: Here) -> Result<Option<i64>, String> {
    let verdict = judge(workload, lists, here);
    if !verdict.is_ready() {
        return Err(format!("{workload}: {}", verdict.why));
    }
    let alive = pods(workload, lists);
    if alive.len() <= verdict.desired {
        return Ok(verdict.since);
    }
    let going = alive
        .iter()
        .find(|pod| !pod["metadata"]["deletionTimestamp"].is_null());
    Err(match going {
        Some(pod) => format!("{workload}: the former pod {} still ends", plane::name(pod)),
        None => format!("{workload}: a pod of its former version is still there"),
    })
}

/// The pods of a workload, of whatever version, that are not over.
pub fn pods<'a>(workload: &Workload, lists: &'a Lists) -> Vec<&'a Value> {
    let named = |object: &&Value| plane::name(object) == workload.name;
    let owners: Vec<_> = lists.daemonsets.iter().find(named).into_iter().collect();
    let deployments = lists.deployments.iter().filter(named);
    let sets = deployments.flat_map(|deployment| owned(&lists.replicasets, deployment));
    let all = owners
        .into_iter()
        .chain(sets)
        .flat_map(|owner| owned(&lists.pods, owner));
    let is_over = |pod: &Value| {
        let phase = &pod["status"]["phase"];
        phase == "Failed" || phase == "Succeeded"
    };
    all.filter(|pod| !is_over(pod)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn assets() -> Assets {
        let mut assets = Assets::default();
        let workload = |kind: &str, name: &str, secret: &str, argument: &str| {
            json!({
                "apiVersion": "apps/v1", "kind": kind,
                "metadata": {"name": name, "namespace": "kube-system"},
                "spec": {"template": {
                    "metadata": {"annotations": {SECRETS: format!("of-{name}")}},
                    "spec": {
                        "containers": [{"args": [argument]}],
                        "volumes": [{"name": "s", "secret": {"secretName": secret}}],
                    },
                }},
            })
        };
        let secret = |name: &str, namespace: &str| {
            json!({"apiVersion": "v1", "kind": "Secret",
                   "metadata": {"name": name, "namespace": namespace}})
        };
        let mut coredns = workload("Deployment", "coredns", "x", "");
        coredns["spec"]["template"]["metadata"] = json!({});
        for (file, object) in [
            (
                "a",
                workload("Deployment", "kube-controller-manager", "keys", "--x"),
            ),
            (
                "b",
                workload(
                    "DaemonSet",
                    "kube-apiserver",
                    "kube-apiserver",
                    "--etcd-servers=x",
                ),
            ),
            ("c", secret("kube-apiserver", "kube-system")),
            ("d", secret("keys", "kube-system")),
            ("e", secret("keys", "default")),
            ("f", coredns),
        ] {
            assets.add(format!("manifests/{file}.yaml"), object.to_string());
        }
        assets
    }

    #[test]
    fn the_api_server_comes_first_and_each_with_its_own_secrets() {
        let parts = parts(&assets()).unwrap();
        let found: Vec<_> = parts
            .iter()
            .map(|part| {
                let secrets: Vec<_> = part.secrets.iter().map(|one| one.file.as_str()).collect();
                (name(&part.workload).name, part.mark.clone(), secrets)
            })
            .collect();
        assert_eq!(
            found,
            [
                (
                    "kube-apiserver".to_owned(),
                    "of-kube-apiserver".to_owned(),
                    vec!["manifests/c.yaml"]
                ),
                (
                    "kube-controller-manager".to_owned(),
                    "of-kube-controller-manager".to_owned(),
                    vec!["manifests/d.yaml"]
                ),
            ]
        );
    }

    #[test]
    fn a_token_is_brought_along_while_it_is_good() {
        let text = b"apiVersion: slipway.dev/v1alpha1\nkind: Machine\nnode: {name: a, address: 192.0.2.1}\n\
                     cluster: {name: harbour}\n";
        let machine = crate::config::parse(text).unwrap();
        let now = SystemTime::now();
        let (secrets, _) =
            pki::ensure(&machine, &pki::Given::default(), &Assets::default(), now).unwrap();
        let assets = crate::render::render(&machine, &secrets).unwrap();
        let token = format!("bootstrap-token-{}", secrets.bootstrap_token().id);
        for (hours, expected) in [(23, vec!["kubelet-api", &token]), (24, vec!["kubelet-api"])] {
            let later = now + Duration::from_secs(hours * 60 * 60);
            let found = beside(&assets, later).unwrap();
            let names: Vec<_> = found.iter().map(|one| plane::name(&one.object)).collect();
            assert_eq!(names, expected, "{hours}");
        }
    }

    fn pod(uid: &str, owner: &str, hash: &str, ready: bool) -> Value {
        json!({
            "metadata": {"name": uid, "uid": uid, "labels": {"controller-revision-hash": hash},
                         "ownerReferences": [{"uid": owner}]},
            "spec": {"nodeName": "n"},
            "status": {"phase": "Running", "conditions": [
                {"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        })
    }

    fn rolled(pods: Vec<Value>) -> Result<Option<i64>, String> {
        let owner = json!([{"uid": "set"}]);
        let lists = Lists {
            daemonsets: vec![json!({
                "metadata": {"name": "a", "uid": "set", "generation": 2},
                "status": {"observedGeneration": 2, "desiredNumberScheduled": 1},
            })],
            revisions: ["old", "new"]
                .iter()
                .enumerate()
                .map(|(number, hash)| {
                    json!({"revision": number, "metadata": {
                        "labels": {"controller-revision-hash": hash}, "ownerReferences": owner}})
                })
                .collect(),
            pods,
            ..Lists::default()
        };
        let here = Here {
            address: "10.0.0.1".parse().unwrap(),
            since: SystemTime::UNIX_EPOCH,
            heard: None,
            recovers: false,
        };
        is_rolled(&"kube-system/a".parse().unwrap(), &lists, here)
    }

    #[test]
    fn a_roll_is_over_when_the_former_pod_is_gone() {
        let mut going = pod("p1", "set", "old", true);
        assert!(rolled(vec![going.clone()]).is_err());
        let new = pod("p2", "set", "new", true);
        assert!(rolled(vec![going.clone(), pod("p2", "set", "new", false)]).is_err());
        assert!(
            rolled(vec![going.clone(), new.clone()])
                .unwrap_err()
                .contains("former version")
        );
        going["metadata"]["deletionTimestamp"] = json!("2026-11-25T00:00:00Z");
        assert!(
            rolled(vec![going.clone(), new.clone()])
                .unwrap_err()
                .contains("p1 still ends")
        );
        going["status"]["phase"] = json!("Failed");
        assert_eq!(rolled(vec![going, new.clone()]), Ok(None));
        assert_eq!(rolled(vec![new]), Ok(None));
    }
}
