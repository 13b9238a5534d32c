//! What becomes of a gate, and what is said of it.
use super::*;

#[test]
fn what_becomes_of_a_gate() {
    let (open, shut) = (
        json!({ "status": "True", "reason": SERVING }),
        json!({ "status": "False", "reason": NOT_LISTENING }),
    );
    let (new, old) = (Duration::from_secs(9), Duration::from_secs(10));
    let ready = || Heard::Word(Word::Ready);
    let starts = || Heard::Word(Word::NotReady("x".into()));
    let unknown = || Heard::Word(Word::Unknown("x".into()));
    for (gate, age, heard, expected) in [
        (None, new, ready(), "Open"),
        (Some(&shut), old, ready(), "Open"),
        (Some(&open), new, ready(), "Settled"),
        // A process that starts is given its time.
        (None, new, Heard::Nothing, "Wait"),
        (None, new, starts(), "Wait"),
        (None, old, Heard::Nothing, "Shut(\"NotListening\""),
        (None, old, starts(), "Shut(\"NotReady\""),
        // It is said once.
        (Some(&shut), old, Heard::Nothing, "Wait"),
        (Some(&shut), old, starts(), "Shut(\"NotReady\""),
        // Another container than the one for which it was opened.
        (Some(&open), new, Heard::Nothing, "Wait"),
        (Some(&open), old, Heard::Nothing, "Shut(\"NotListening\""),
        // Nobody knows.
        (None, old, unknown(), "Wait"),
        (Some(&open), old, unknown(), "Wait"),
        (Some(&shut), old, unknown(), "Wait"),
    ] {
        let verdict = format!("{:?}", judge(gate, age, heard.clone()));
        assert!(
            verdict.starts_with(expected),
            "{gate:?} {age:?} {heard:?}: {verdict}"
        );
    }
}

#[test]
fn which_pods_are_looked_at() {
    let pod = |metadata: Value, state: Value| {
        let status = json!({ "containerID": "containerd://c", "state": state });
        json!({
            "metadata": metadata,
            "spec": { "readinessGates": [{ "conditionType": "other" }, { "conditionType": GATE }] },
            "status": { "containerStatuses": [status] },
        })
    };
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(70);
    let runs = || json!({ "running": { "startedAt": "1970-01-01T00:01:00Z" } });
    let one = pod(json!({}), runs());
    let (id, age) = running(&one, at).unwrap();
    assert_eq!((id, age), ("containerd://c", Duration::from_secs(10)));
    assert!(is_gated(&one) && !is_gated(&json!({ "spec": {} })));
    let ending = pod(
        json!({ "deletionTimestamp": "1970-01-01T00:01:05Z" }),
        runs(),
    );
    assert!(running(&ending, at).is_none());
    assert!(running(&pod(json!({}), json!({ "waiting": {} })), at).is_none());
}

#[test]
fn a_status_that_stays_keeps_its_time() {
    let gate = json!({ "status": "False" });
    let says = ("False", NOT_READY, "x");
    let first = patch("u", None, says, "now");
    assert_eq!(
        first["status"]["conditions"][0]["lastTransitionTime"],
        "now"
    );
    let again = patch("u", Some(&gate), says, "now");
    assert!(again["status"]["conditions"][0]["lastTransitionTime"].is_null());
    assert_eq!(again["metadata"]["uid"], "u");
}

#[test]
fn the_listener_is_a_process_of_the_pod() {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let gates = Gates {
        root: "/".into(),
        kubeconfig: PathBuf::new(),
        address: ([127, 0, 0, 1], listener.local_addr().unwrap().port()).into(),
        settled: BTreeMap::new(),
        failing: BTreeMap::new(),
    };
    let here = i32::try_from(std::process::id()).unwrap();
    let (pid, number) = gates.listener(&[i32::MAX, here]).unwrap().unwrap();
    assert_eq!(pid, here);
    assert_eq!(number, std::os::fd::AsRawFd::as_raw_fd(&listener));
    assert_eq!(gates.listener(&[]).unwrap(), None);
}
