//! What a pod's own manifest tells of its part in the cluster.

use serde_json::Value;

use super::copy;
use super::decide::{Active, Role};
use super::shelf::Checkpoint;
use crate::start::plane::argument;
use crate::start::ready::seconds;

/// What a workload does, from the arguments of its pod.
pub fn role(pod: &Value) -> Role {
    if argument(pod, "--etcd-servers").is_some() {
        return Role::Apiserver;
    }
    match lease(pod) {
        Some(_) => Role::Leader,
        None => Role::Other,
    }
}

/// The Lease in kube-system that its processes compete for: by default it has the program's name.
pub fn lease(pod: &Value) -> Option<String> {
    if argument(pod, "--leader-elect")? != "true" {
        return None;
    }
    if let Some(name) = argument(pod, "--leader-elect-resource-name") {
        return Some(name.to_owned());
    }
    let program = pod["spec"]["containers"][0]["command"][0].as_str()?;
    program.rsplit('/').next().map(str::to_owned)
}

/// When the first container of a pod of the API began, in seconds since the epoch.
pub fn started(pod: &Value) -> Option<i64> {
    let statuses = pod["status"]["containerStatuses"].as_array()?;
    let began = |status: &Value| seconds(&status["state"]["running"]["startedAt"]);
    statuses.iter().filter_map(began).min()
}

/// Which form of a kept checkpoint is active.
pub fn active(kept: Option<&Checkpoint>, active: Option<&Checkpoint>) -> Active {
    let Some(active) = active else {
        return Active::No;
    };
    let is_form = |closed: bool| {
        let form = kept.and_then(|kept| copy::activate(&kept.manifest, closed).ok());
        form.is_some_and(|(_, pod)| pod["metadata"]["name"] == active.name())
    };
    match (is_form(false), is_form(true)) {
        (true, _) => Active::Open,
        (false, true) => Active::Closed,
        (false, false) => Active::Earlier,
    }
}
