//! When a checkpoint gives way to another pod's.

use serde_json::json;

use super::super::workload::testing::workload;
use super::*;
use crate::start::ready::GATE;

#[test]
fn a_new_pod_replaces_a_checkpoint_once_it_has_proved_itself() {
    let kept = Checkpoint {
        path: PathBuf::new(),
        workload: workload("DaemonSet", "a"),
        parent: "a-1".into(),
        manifest: json!({}),
    };
    let pod = |name: &str| {
        let ready = json!({ "type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:01:00Z" });
        json!({ "metadata": { "name": name }, "status": { "conditions": [ready] } })
    };
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    assert!(
        !is_too_young(&kept, &pod("a-1"), at(61)),
        "its own pod, whose Secrets may change"
    );
    assert!(is_too_young(&kept, &pod("a-2"), at(104)));
    assert!(!is_too_young(&kept, &pod("a-2"), at(105)));
    let mut gated = pod("a-2");
    gated["spec"] = json!({ "readinessGates": [{ "conditionType": GATE }] });
    assert!(is_too_young(&kept, &gated, at(69)));
    assert!(!is_too_young(&kept, &gated, at(70)));
    assert!(is_too_young(
        &kept,
        &json!({ "metadata": { "name": "a-2" } }),
        at(999)
    ));
}
