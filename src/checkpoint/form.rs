//! What a pod's own manifest tells of its part in the cluster.

use serde_json::Value;

use super::copy;
use super::decide::{Active, Role};
use super::shelf::Checkpoint;
use super::workload::BESIDE;
use crate::start::lease::LEASES;
use crate::start::plane::argument;
use crate::start::ready::seconds;

/// What a workload does, from the arguments of its pod and what that says of its checkpoint.
pub fn role(pod: &Value) -> Role {
    if argument(pod, "--etcd-servers").is_some() {
        return Role::Apiserver;
    }
    if lease(pod).is_some() {
        return Role::Leader;
    }
    match pod["metadata"]["annotations"][BESIDE] == "true" {
        true => Role::Agent,
        false => Role::Other,
    }
}

/// The Lease in kube-system that its processes compete for. By default it has the program's name, and
/// these programs compete unless they are told not to.
pub fn lease(pod: &Value) -> Option<String> {
    let program = pod["spec"]["containers"][0]["command"][0].as_str();
    let program = program.and_then(|path| path.rsplit('/').next());
    let by_default = program.is_some_and(|program| LEASES.contains(&program));
    let elects = argument(pod, "--leader-elect").map_or(by_default, |value| value != "false");
    let name = argument(pod, "--leader-elect-resource-name").or(program)?;
    elects.then(|| name.to_owned())
}

/// The name of the container that is the pod's program: the first, which others take for it, too (`kubectl logs`). The rest are sidecars.
pub fn program(pod: &Value) -> Option<&str> {
    pod["spec"]["containers"][0]["name"].as_str()
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
        (true, true) => Active::Either,
        (true, false) => Active::Open,
        (false, true) => Active::Closed,
        (false, false) => Active::Earlier,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(arguments: &[&str]) -> Value {
        json!({ "spec": { "containers": [{ "command": ["/usr/local/bin/kube-scheduler"], "args": arguments }] } })
    }

    #[test]
    fn which_container_is_the_program() {
        let spec = json!({ "initContainers": [{ "name": "i" }], "containers": [{ "name": "a" }, { "name": "b" }] });
        assert_eq!(program(&json!({ "spec": spec })), Some("a"));
        assert_eq!(program(&json!({})), None);
    }

    #[test]
    fn who_competes_for_what() {
        let of = |arguments: &[&str]| lease(&pod(arguments));
        assert_eq!(of(&[]).as_deref(), Some("kube-scheduler"));
        let alone = ["--leader-elect=false"];
        assert_eq!((of(&alone), role(&pod(&alone))), (None, Role::Other));
        let named = ["--leader-elect=true", "--leader-elect-resource-name=mine"];
        assert_eq!(of(&named).as_deref(), Some("mine"));
        let other = json!({ "spec": { "containers": [{ "command": ["/opt/kube-proxy"] }] } });
        assert_eq!((lease(&other), role(&other)), (None, Role::Other));
        let mut agent = other.clone();
        agent["metadata"] = json!({ "annotations": { BESIDE: "true" } });
        assert_eq!(role(&agent), Role::Agent);
        assert_eq!(role(&pod(&[])), Role::Leader);
        assert_eq!(role(&pod(&["--etcd-servers=x"])), Role::Apiserver);
    }
}
