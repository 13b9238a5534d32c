//! What becomes of a gate, and what is said of it.
use super::*;

const PAGE: &str = include_str!("../../../docs/checkpoints.md");

/// The rows of the gates' table: what the gate, the processes and the age must be, and what is done.
fn rows() -> Vec<[&'static str; 4]> {
    let (_, section) = PAGE
        .split_once("One line is done for each container of a gated pod")
        .unwrap();
    let table = section.lines().skip_while(|line| !line.starts_with("|---"));
    let lines = table.skip(1).take_while(|line| line.starts_with('|'));
    let cells = |line: &'static str| {
        let cells = line
            .strip_prefix('|')
            .unwrap()
            .strip_suffix('|')
            .unwrap()
            .split('|');
        let cells: Vec<_> = cells.map(str::trim).collect();
        cells.try_into().unwrap()
    };
    lines.map(cells).collect()
}

/// What is done, in the words of the page; after a colon it says why.
fn done(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Wait => "nothing",
        Verdict::Settled => "nothing; the kernel's program is attached",
        Verdict::Open => "opens it, likewise",
        Verdict::Shut(..) => "shuts it, with the reason",
    }
}

#[test]
fn every_gate_is_as_the_table_says() {
    let gate = |status, reason| json!({ "status": status, "reason": reason });
    let starts = || Heard::Word(Word::NotReady("x".into()));
    let unknown = || Heard::Word(Word::Unknown("x".into()));
    let heard = [
        ("one says that it is ready", "", Heard::Word(Word::Ready)),
        ("one listens, but none is met or answers", "", unknown()),
        ("none listens", NOT_LISTENING, Heard::Nothing),
        ("one says that it is not ready", NOT_READY, starts()),
    ];
    let gates = [
        None,
        Some(gate("True", SERVING)),
        Some(gate("False", NOT_LISTENING)),
        Some(gate("False", NOT_READY)),
    ];
    let rows = rows();
    let mut used = vec![false; rows.len()];
    for gate in &gates {
        for (word, reason, heard) in &heard {
            for (age, seconds) in [("< 10 s", 9), ("≥ 10 s", 10)] {
                let is = gate.as_ref().map(|gate| (&gate["status"], &gate["reason"]));
                let gate_words = match is {
                    Some((status, _)) if status == "True" => vec!["open"],
                    Some((_, said)) if said == reason => {
                        vec!["not open", "shut for the same reason"]
                    }
                    _ => vec!["not open"],
                };
                let fits = |row: &[&str; 4]| {
                    (row[0].is_empty() || gate_words.contains(&row[0]))
                        && row[1].contains(word)
                        && (row[2].is_empty() || row[2] == age)
                };
                let at = rows.iter().position(fits);
                let at = at.unwrap_or_else(|| panic!("no row for {gate_words:?}, {word}, {age}"));
                used[at] = true;
                let verdict = judge(gate.as_ref(), Duration::from_secs(seconds), heard.clone());
                let says = rows[at][3].split(':').next().unwrap();
                assert_eq!(done(&verdict), says, "{gate_words:?}, {word}, {age}");
                if let Verdict::Shut(said, _) = verdict {
                    assert_eq!(said, *reason);
                }
            }
        }
    }
    assert!(
        used.iter().all(|used| *used),
        "rows that never count: {used:?}"
    );
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
