//! A control plane of static pods (`controlPlane: static`): their files, one pod after the other.
//!
//! A manifest holds a fingerprint of all that its pod reads, so the kubelet starts the pod anew when that has
//! changed, with or without an API. Whether it has is asked of the kubelet, by the mirror pod: it carries the
//! manifest's annotations, is made anew for every version of it once the version before is gone, and takes no
//! status but that version's (pkg/kubelet: podWorkers, tryReconcileMirrorPods, status manager). So a run that
//! comes after one that was killed needs no memory of what was there before. What a pod does is asked as well:
//! an API server answers, a controller holds its Lease. The road not taken is to compare processes before and
//! after: a killed run takes its "before" with it, and an API server that is down has none.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use serde_json::Value;

use super::cluster::{Cluster, NEXT_STEP};
use super::kubelet;
use crate::assets::{Assets, STATIC_MANIFESTS};
use crate::node::files::{self, below};
use crate::node::static_pods;
use crate::render::install::MANIFESTS;
use crate::report::Reporter;
use crate::start::converge::running;
use crate::start::nodes::SILENT;
use crate::start::plane::{Plane, StaticPod};
use crate::start::ready::{is_stale, seconds};
use crate::start::wait::{Look, Wait, until};
use crate::start::{is_serving, lease};

/// Brings every static pod up to date, the API server first, and waits until each runs what its manifest says.
pub fn update(cluster: &Cluster<'_>, reporter: &mut Reporter) -> Result<()> {
    let assets = cluster.assets();
    if !assets.is_static() {
        return Ok(());
    }
    let plane = Plane::new(assets)?;
    let root = &cluster.options().root;
    for pod in pods(&plane) {
        let changed = static_pods::install_one(assets, &pod.file, root, &below(root, MANIFESTS))?;
        if !changed.is_empty() {
            reporter.line(format!("static pod {} restarts", pod.name));
        }
        await_running(cluster, pod, reporter)?;
        if pod.file == plane.apiserver.file {
            cluster.await_new_certificate(reporter)?;
        }
    }
    Ok(())
}

/// The API server first: whatever comes after it may talk to the new one only.
fn pods(plane: &Plane) -> impl Iterator<Item = &StaticPod> {
    std::iter::once(&plane.apiserver).chain(&plane.controllers)
}

/// The static pods whose manifest in the kubelet's folder is another, or that do not run what it says.
pub fn outdated(cluster: &Cluster<'_>) -> Result<Vec<String>> {
    let assets = cluster.assets();
    if !assets.is_static() {
        return Ok(Vec::new());
    }
    let mut outdated = not_installed(assets, &cluster.options().root)?;
    for pod in pods(&Plane::new(assets)?) {
        let why = works(cluster, pod).err();
        outdated.extend(why.map(|why| format!("static pod {}: {why}", pod.name)));
    }
    Ok(outdated)
}

fn not_installed(assets: &Assets, root: &Path) -> Result<Vec<String>> {
    let mut outdated = Vec::new();
    for (file, pod) in assets.below(STATIC_MANIFESTS) {
        let there = files::read_if_there(&below(root, MANIFESTS).join(file))?;
        if there.is_none_or(|there| there != pod.bytes.expose()) {
            let name = file.trim_end_matches(".yaml");
            outdated.push(format!("static pod {name} was not restarted"));
        }
    }
    Ok(outdated)
}

/// Waits until a pod runs what its manifest says, and works.
fn await_running(cluster: &Cluster<'_>, pod: &StaticPod, reporter: &mut Reporter) -> Result<()> {
    let what = format!("{} runs what its manifest says", pod.name);
    let wait = Wait {
        what: &what,
        deadline: Instant::now() + cluster.options().machine.timeouts.pods,
        every: Duration::from_millis(500),
        changes: None,
        next_step: NEXT_STEP,
    };
    let mut answers = None;
    until(reporter, wait, |reporter| {
        let worked = begun(cluster, pod).and_then(|since| {
            leads(cluster, pod, since).inspect_err(|_| release(cluster, pod, since))
        });
        let Err(why) = worked else {
            return Ok(Look::There(()));
        };
        if is_serving(&cluster.client).is_err() {
            answers = None;
            return Ok(Look::NotYet(why));
        }
        // A kubelet that has lost the API server, as one whose certificate expired, tells nobody what it runs.
        let begun = *answers.get_or_insert_with(Instant::now);
        if begun.elapsed() >= SILENT
            && kubelet::is_lost(cluster.options(), &cluster.client).unwrap_or(false)
        {
            answers = None;
            kubelet::restart(cluster.options(), &cluster.client, false, reporter)?;
        }
        Ok(Look::NotYet(why))
    })
}

/// Whether a pod runs what its manifest says, and does what it is for; otherwise what is missing.
fn works(cluster: &Cluster<'_>, pod: &StaticPod) -> Result<(), String> {
    leads(cluster, pod, begun(cluster, pod)?)
}

/// Since when a pod runs what its manifest says, in seconds since 1970; otherwise what is missing.
fn begun(cluster: &Cluster<'_>, pod: &StaticPod) -> Result<i64, String> {
    is_serving(&cluster.client)?;
    let node = cluster.options().machine.node.name.to_lowercase();
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}-{node}",
        pod.namespace, pod.name
    );
    let mirror = cluster.client.find(&path);
    let mirror = mirror
        .map_err(|error| error.to_string())?
        .ok_or("the kubelet has not told the API of its pod yet")?;
    let since = runs(&pod.pod, &mirror)?;
    let here = cluster.here;
    if is_stale(&mirror, here, &running(std::slice::from_ref(&mirror), here)) {
        return Err("its status is from before this boot".to_owned());
    }
    Ok(since)
}

/// Whether a controller that began at `since` leads; whoever has no Lease does.
fn leads(cluster: &Cluster<'_>, pod: &StaticPod, since: i64) -> Result<(), String> {
    if !lease::LEASES.contains(&pod.name.as_str()) {
        return Ok(());
    }
    let found = cluster.client.find(&lease::path(&pod.name));
    let found = found
        .map_err(|error| error.to_string())?
        .unwrap_or_default();
    // The former process is gone since before the new one began, which is known to the second only.
    let since = Duration::from_secs(u64::try_from(since + 1).unwrap_or_default());
    match lease::is_live(&found, SystemTime::UNIX_EPOCH + since, SystemTime::now()) {
        true => Ok(()),
        false => Err("its Lease is not its own yet".to_owned()),
    }
}

/// Releases the Lease of the process that was here before `since`. Otherwise nobody leads for the minute in which
/// it ends; so it does if this fails. A holder on another host is not known to be gone.
fn release(cluster: &Cluster<'_>, pod: &StaticPod, since: i64) {
    let node = &cluster.options().machine.node.name;
    let released = lease::former_holder(&cluster.client, &pod.name, Some(since)).and_then(
        |holder| match holder.filter(|holder| is_of(node, holder)) {
            Some(holder) => lease::release(&cluster.client, &pod.name, &holder),
            None => Ok(()),
        },
    );
    if let Err(error) = released {
        log::debug!("the Lease of {} is not released: {error}", pod.name);
    }
}

/// Whether a holder is a process of this node: they call themselves by their host (`HOST_UUID`).
fn is_of(node: &str, holder: &str) -> bool {
    let parts = holder.rsplit_once('_');
    parts.is_some_and(|(host, _)| host.eq_ignore_ascii_case(node))
}

/// Whether a mirror pod is of the pod that the manifest asks for, and all of that runs and is ready; since when
/// then, in seconds since 1970. What is compared is what the kubelet takes over letter
/// by letter: annotations, among them the fingerprint of what the pod reads, images, commands and arguments.
fn runs(manifest: &Value, mirror: &Value) -> Result<i64, String> {
    let former = match mirror["metadata"]["deletionTimestamp"].is_null() {
        true => differs(manifest, mirror),
        false => Some("it is on its way out".to_owned()),
    };
    if let Some(why) = former {
        return Err(format!("the API still has the former pod: {why}"));
    }
    let mut since = 0;
    for container in containers(manifest) {
        let name = container["name"].as_str().unwrap_or_default();
        let statuses = mirror["status"]["containerStatuses"].as_array();
        let status = (statuses.into_iter().flatten()).find(|one| one["name"] == name);
        let begun = status.and_then(|one| seconds(&one["state"]["running"]["startedAt"]));
        match (begun, status) {
            (Some(begun), Some(status)) => {
                if status["ready"] != true {
                    return Err(format!("the new container {name} is not ready"));
                }
                since = since.max(begun);
            }
            _ => return Err(format!("the new container {name} does not run")),
        }
    }
    Ok(since)
}

/// What a mirror pod has that is not the manifest's.
fn differs(manifest: &Value, mirror: &Value) -> Option<String> {
    let wanted = manifest["metadata"]["annotations"].as_object();
    let mut annotations = wanted.into_iter().flatten();
    let found = &mirror["metadata"]["annotations"];
    if let Some((key, _)) = annotations.find(|(key, value)| found[key] != **value) {
        return Some(format!("annotation {key} is another"));
    }
    for wanted in containers(manifest) {
        let found = containers(mirror).find(|one| one["name"] == wanted["name"]);
        let found = found.unwrap_or(&Value::Null);
        let mut fields = ["name", "image", "command", "args"].into_iter();
        if let Some(field) = fields.find(|field| found[field] != wanted[field]) {
            return Some(format!("its container's {field} is another"));
        }
    }
    None
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["spec"]["containers"].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest() -> Value {
        json!({
            "metadata": {"name": "kube-scheduler", "annotations": {"slipway.dev/secrets": "new"}},
            "spec": {"containers": [{"name": "main", "image": "i:1", "args": ["--a"]}]},
        })
    }

    /// As the kubelet tells of it, with one value changed.
    fn mirror(place: &str, value: Value) -> Value {
        let mut mirror = manifest();
        mirror["metadata"]["annotations"]["kubernetes.io/config.hash"] = json!("of all");
        mirror["spec"]["containers"][0]["imagePullPolicy"] = json!("IfNotPresent");
        mirror["status"] = json!({"containerStatuses": [{
            "name": "main", "ready": true,
            "state": {"running": {"startedAt": "2026-11-29T09:00:00Z"}},
        }]});
        if let Some(found) = mirror.pointer_mut(place) {
            *found = value;
        }
        mirror
    }

    #[test]
    fn a_pod_runs_what_its_manifest_says() {
        let begun = seconds(&json!("2026-11-29T09:00:00Z")).unwrap();
        let look = |mirror: &Value| runs(&manifest(), mirror);
        assert_eq!(look(&mirror("/nothing", json!(0))), Ok(begun));
        let secrets = "/metadata/annotations/slipway.dev~1secrets";
        let status = "/status/containerStatuses/0";
        let table = [
            (secrets.to_owned(), json!("old"), "former pod"),
            (
                "/spec/containers/0/image".to_owned(),
                json!("i:0"),
                "former pod",
            ),
            (
                "/spec/containers/0/args".to_owned(),
                json!([]),
                "former pod",
            ),
            ("/status".to_owned(), json!({}), "does not run"),
            (
                format!("{status}/state"),
                json!({"terminated": {}}),
                "does not run",
            ),
            (format!("{status}/ready"), json!(false), "not ready"),
        ];
        for (place, value, expected) in table {
            let why = look(&mirror(&place, value)).unwrap_err();
            assert!(why.contains(expected), "{place}: {why}");
        }
        let mut going = mirror("/nothing", json!(0));
        going["metadata"]["deletionTimestamp"] = json!("2026-11-29T09:00:00Z");
        assert!(look(&going).unwrap_err().contains("former pod"));
    }

    #[test]
    fn only_a_former_process_of_this_node_loses_its_lease() {
        let lease =
            json!({"spec": {"holderIdentity": "node_a_9f", "acquireTime": "2026-11-29T09:00:00Z"}});
        let taken = seconds(&lease["spec"]["acquireTime"]).unwrap();
        let gone = |node: &str, since| {
            lease::to_release(&lease, Some(since)).filter(|holder| is_of(node, holder))
        };
        assert_eq!(gone("node_a", taken + 1), Some("node_a_9f".to_owned()));
        assert_eq!(gone("node_a", taken), None);
        assert_eq!(gone("node", taken + 1), None);
    }

    #[test]
    fn a_pod_whose_manifest_is_another_is_outdated() {
        let mut assets = Assets::default();
        for file in ["a", "b", "c"] {
            assets.add(format!("{STATIC_MANIFESTS}{file}.yaml"), "new");
        }
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [("a", "new"), ("b", "old")] {
            let path = below(dir.path(), MANIFESTS).join(format!("{file}.yaml"));
            files::write(&path, text.as_bytes(), files::PUBLIC).unwrap();
        }
        let expected = ["b", "c"].map(|pod| format!("static pod {pod} was not restarted"));
        assert_eq!(not_installed(&assets, dir.path()).unwrap(), expected);
    }
}
