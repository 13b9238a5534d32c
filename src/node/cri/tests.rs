//! What is read of the runtime's answers, and what of those that do not come.

use std::io::Read;
use std::os::unix::net::UnixListener;
use std::thread;

use prost::Message;

use super::*;
use messages::{ListContainersResponse, ListPodResourcesResponse, ListPodSandboxResponse};

/// As containerd sends it: a sandbox with its state left out, which is READY, with labels (5) and a
/// runtime handler (7) that nobody here reads; then one with state 1 and nothing else.
const SANDBOXES: &[u8] = b"\
    \x0a\x32\
      \x0a\x02s1\
      \x12\x1c\x0a\x06etcd-a\x12\x03u-1\x1a\x0bkube-system\x20\x02\
      \x20\x95\x9a\xef\x3a\
      \x2a\x06\x0a\x01k\x12\x01v\
      \x3a\x01r\
    \x0a\x06\x0a\x02s2\x18\x01";
/// One that runs, one that has ended (2), one whose state is unknown (3), one only made, and one whose
/// sandbox was removed meanwhile.
const CONTAINERS: &[u8] = b"\
    \x0a\x16\x0a\x02c2\x12\x02s1\x1a\x08\x0a\x04etcd\x10\x01\x30\x01\x38\x07\
    \x0a\x14\x0a\x02c1\x12\x02s1\x1a\x06\x0a\x04etcd\x30\x02\x38\x05\
    \x0a\x0a\x0a\x02c3\x12\x02s2\x30\x03\
    \x0a\x08\x0a\x02c4\x12\x02s2\
    \x0a\x0a\x0a\x02c5\x12\x02s9\x30\x01";

fn container(id: &str, name: &str, running: bool, attempt: u32, created_at: i64) -> Container {
    Container {
        id: id.into(),
        name: name.into(),
        running,
        attempt,
        created_at,
    }
}

#[test]
fn decodes_and_joins_what_the_runtime_lists() {
    let sandboxes = ListPodSandboxResponse::decode(SANDBOXES).unwrap().items;
    assert_eq!(sandboxes[0].created_at, 123_456_789);
    let containers = ListContainersResponse::decode(CONTAINERS).unwrap();
    let joined = join(sandboxes, containers.containers);
    let first = Sandbox {
        annotations: BTreeMap::new(),
        id: "s1".into(),
        namespace: "kube-system".into(),
        name: "etcd-a".into(),
        uid: "u-1".into(),
        ready: true,
        containers: vec![
            container("c1", "etcd", false, 0, 5),
            container("c2", "etcd", true, 1, 7),
        ],
    };
    let second = Sandbox {
        annotations: BTreeMap::new(),
        id: "s2".into(),
        namespace: String::new(),
        name: String::new(),
        uid: String::new(),
        ready: false,
        containers: vec![
            container("c3", "", true, 0, 0),
            container("c4", "", false, 0, 0),
        ],
    };
    assert_eq!(joined, [first, second]);
    let names = |name: &str| BTreeSet::from([name.to_owned()]);
    assert!(joined[0].runs() && joined[0].runs_one_of(&names("etcd")));
    assert!(!joined[0].runs_one_of(&names("other")));
    // One that is up, and whose only container has crashed.
    let mut crashed = joined[0].clone();
    crashed.containers.truncate(1);
    assert!(crashed.ready && !crashed.runs() && !crashed.runs_one_of(&names("etcd")));
    // One that is not, and one of whose containers the runtime has lost track of.
    assert!(!joined[1].ready && joined[1].runs());
}

#[test]
fn stops_what_may_run_with_its_grace_in_whole_seconds() {
    let listed = ListContainersResponse::decode(CONTAINERS).unwrap();
    let of_s2 = listed.containers.into_iter().skip(1).take(3).collect();
    let orders = orders_to_stop(of_s2, Duration::from_millis(1500));
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].encode_to_vec(), b"\x0a\x02c3\x10\x02");
    let all = ContainerFilter {
        pod_sandbox_id: "s1".into(),
    };
    assert_eq!(all.encode_to_vec(), b"\x1a\x02s1");
}

#[test]
fn decodes_the_pods_that_the_kubelet_knows() {
    let bytes = b"\x0a\x17\x0a\x03dns\x12\x0bkube-system\x1a\x03\x0a\x01c";
    let known = ListPodResourcesResponse::decode(&bytes[..]).unwrap();
    assert_eq!(known.pod_resources[0].name, "dns");
    assert_eq!(known.pod_resources[0].namespace, "kube-system");
}

#[test]
fn nobody_there_is_an_error_that_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none.sock");
    let error = Runtime::new(&socket).sandboxes().unwrap_err().to_string();
    let expected = format!(
        "cannot connect to the container runtime at {}: No such file or directory (os error 2); does \
         containerd run? see `journalctl -u containerd`",
        socket.display()
    );
    assert_eq!(error, expected);
    let error = kubelet_pods(&socket).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot connect to the kubelet at "),
        "{error}"
    );
}

#[test]
fn a_server_that_is_silent_or_goes_away_has_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("some.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = thread::spawn(move || {
        let (silent, _) = listener.accept().unwrap();
        let (mut leaving, _) = listener.accept().unwrap();
        // The client's first words are there; what comes after them meets nobody.
        leaving.read_exact(&mut [0; 24]).unwrap();
        drop(leaving);
        drop(silent);
    });
    let mut caller = Caller::new(&RUNTIME, &socket);
    let mut list = |limit| {
        let answer = caller.call(ListPodSandboxRequest {}, limit);
        answer.unwrap_err().to_string()
    };
    let late = list(Duration::from_millis(200));
    assert!(
        late.contains("did not answer ListPodSandbox within 0.2 s; does"),
        "{late}"
    );
    let lost = list(LIST);
    assert!(lost.contains("broke off ListPodSandbox: "), "{lost}");
    server.join().unwrap();
}
