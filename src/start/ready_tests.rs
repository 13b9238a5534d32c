//! The judgement over statuses that tell the truth, lie, or are old.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::json;

use super::ready::*;
use serde_json::Value;
use std::time::SystemTime;

const HERE: Here = Here {
    address: std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 2, 15)),
    // SystemTime has no other constant; the tests' boot is at 2026-11-23T06:00:00Z.
    since: SystemTime::UNIX_EPOCH,
    heard: None,
    recovers: false,
};
const BOOT: u64 = 1_795_413_600;

fn here() -> Here {
    Here {
        since: SystemTime::UNIX_EPOCH + Duration::from_secs(BOOT),
        ..HERE
    }
}

fn pod(owner: &str, hash: &str, ready: &str, started: &str) -> Value {
    json!({
        "metadata": {"name": "p", "labels": {"controller-revision-hash": hash}, "ownerReferences": [{"uid": owner}]},
        "spec": {"nodeName": "a"},
        "status": {
            "hostIP": "10.0.2.15",
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}],
            "containerStatuses": [{"restartCount": 0, "state": {"running": {"startedAt": started}}}],
        },
    })
}

fn lists(pods: Vec<Value>) -> Lists {
    Lists {
        daemonsets: vec![json!({
            "metadata": {"name": "w", "uid": "d", "generation": 2},
            "status": {"observedGeneration": 2, "desiredNumberScheduled": 1},
        })],
        revisions: vec![
            json!({"metadata": {"labels": {"controller-revision-hash": "old"}, "ownerReferences": [{"uid": "d"}]}, "revision": 1}),
            json!({"metadata": {"labels": {"controller-revision-hash": "new"}, "ownerReferences": [{"uid": "d"}]}, "revision": 2}),
        ],
        pods,
        ..Lists::default()
    }
}

fn verdict(lists: &Lists) -> Verdict {
    judge(&"kube-system/w".parse().unwrap(), lists, here())
}

#[test]
fn the_current_pod_is_ready() {
    let verdict = verdict(&lists(vec![pod(
        "d",
        "new",
        "True",
        "2026-11-23T06:00:30Z",
    )]));
    assert!(verdict.is_ready(), "{verdict:?}");
    assert_eq!(verdict.since, Some(BOOT as i64 + 30));
}

#[test]
fn pods_that_do_not_count() {
    let mut deleted = pod("d", "new", "True", "2026-11-23T06:00:30Z");
    deleted["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:00:31Z");
    let mut unscheduled = pod("d", "new", "False", "2026-11-23T06:00:30Z");
    unscheduled["status"] = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]});
    let mut crashing = pod("d", "new", "False", "2026-11-23T06:00:30Z");
    crashing["status"]["containerStatuses"] = json!([{"restartCount": 2, "state":
        {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}]);
    for (pod, why) in [
        (
            pod("d", "old", "True", "2026-11-23T06:00:30Z"),
            "not made yet",
        ),
        (
            pod("other", "new", "True", "2026-11-23T06:00:30Z"),
            "not made yet",
        ),
        (
            pod("d", "new", "False", "2026-11-23T06:00:30Z"),
            "not Ready yet",
        ),
        (
            pod("d", "new", "True", "2026-11-23T05:59:30Z"),
            "before this boot",
        ),
        (deleted, "being deleted"),
        (unscheduled, "0/1 nodes"),
        (crashing, "CrashLoopBackOff after 2 restarts: back-off"),
    ] {
        let verdict = verdict(&lists(vec![pod]));
        assert!(
            !verdict.is_ready() && verdict.why.contains(why),
            "{why}: {verdict:?}"
        );
    }
}

#[test]
fn a_clock_that_was_set_forward_makes_no_container_stale_that_has_a_process() {
    let mut before = pod("d", "new", "True", "2026-11-23T05:59:30Z");
    before["status"]["containerStatuses"][0]["containerID"] = json!("containerd://9f");
    let mut lists = lists(vec![before]);
    for (running, ready) in [("a0", false), ("9f", true)] {
        lists.running = [running.to_owned()].into();
        let verdict = verdict(&lists);
        assert_eq!(verdict.is_ready(), ready, "{running}: {verdict:?}");
    }
}

#[test]
fn a_controller_that_has_not_looked_yet() {
    let mut stale = lists(vec![pod("d", "new", "True", "2026-11-23T06:00:30Z")]);
    stale.daemonsets[0]["metadata"]["generation"] = json!(3);
    assert!(!verdict(&stale).is_ready());
    assert!(
        verdict(&Lists::default())
            .why
            .contains("no DaemonSet or Deployment")
    );
}

#[test]
fn a_deployment_counts_pods_of_its_current_replicaset() {
    let deployment = |revision: &str| {
        let mut lists = lists(vec![pod("r1", "", "True", "2026-11-23T06:00:30Z")]);
        lists.daemonsets.clear();
        lists.deployments = vec![json!({
            "metadata": {"name": "w", "uid": "p", "generation": 1, "annotations": {"deployment.kubernetes.io/revision": revision}},
            "spec": {"replicas": 1}, "status": {"observedGeneration": 1},
        })];
        lists.replicasets = ["1", "2"]
            .map(|n| {
                json!({
                    "metadata": {"uid": format!("r{n}"), "ownerReferences": [{"uid": "p"}],
                        "annotations": {"deployment.kubernetes.io/revision": n}},
                })
            })
            .to_vec();
        verdict(&lists)
    };
    assert!(deployment("1").is_ready());
    assert!(!deployment("2").is_ready());
}

#[test]
fn names() {
    for bad in ["kube-apiserver", "a/b/c", "/a", "a/", ""] {
        assert!(bad.parse::<Workload>().is_err(), "{bad}");
    }
}

#[test]
fn a_gate_says_what_it_waits_for() {
    let mut waits = pod("d", "new", "False", "2026-11-23T06:00:30Z");
    waits["spec"]["readinessGates"] = json!([{"conditionType": GATE}]);
    let mut conditions = vec![
        json!({"type": "PodScheduled", "status": "True"}),
        json!({"type": "ContainersReady", "status": "True"}),
        json!({"type": "Ready", "status": "False"}),
    ];
    let mut why = |gate: Option<Value>| {
        conditions.truncate(3);
        conditions.extend(gate);
        waits["status"]["conditions"] = json!(conditions);
        verdict(&lists(vec![waits.clone()])).why
    };
    let nobody = "nobody has opened its gate slipway.dev/serving; does slipway-checkpoint.service run on its node?";
    assert_eq!(why(None), nobody);
    let shut =
        json!({"type": GATE, "status": "False", "message": "no process of it listens (port 6443)"});
    let said = "its gate slipway.dev/serving is shut: no process of it listens (port 6443)";
    assert_eq!(why(Some(shut)), said);
    let open = json!({"type": GATE, "status": "True"});
    assert_eq!(why(Some(open)), "its pod runs but is not Ready yet");
}
