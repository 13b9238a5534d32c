//! Machines as their sources show them, and what slipway makes of them:
//! `sources/NN-name/{root/..., expected}`.
//!
//! Below `root` are the /proc, /sys, /run and /var of the case. A file `offline` beside it means that
//! the network is not up, and a file `config` holds the arguments of a person: a path below the root
//! to read. `expected` is the outcome: where the document came from and the node it names, why there is
//! none, the files that a fetch leaves behind for the one that has the network, or the exit code and the
//! error. With UPDATE_GOLDEN=1 it is rewritten; the difference is then for a person to judge. Disks
//! cannot be mounted here: `disks` has what is on them, and the machines of qemu-tests have some.

#![allow(clippy::unwrap_used)]

mod cases;

use std::fs;
use std::path::Path;

use slipway::exit::exit_of;
use slipway::metadata::platform::PLATFORMS;
use slipway::metadata::{Outcome, Request, fetch, look};

/// The unit without which a fetch that needs the network fails.
const NETWORK_UNIT: &str = "usr/lib/systemd/system/slipway-network.service";

fn request(case: &Path, root: &Path) -> Request {
    let mut request = Request::new(root, root);
    request.offline = case.join("offline").exists();
    request.link_local = "http://127.0.0.1:1".to_owned();
    if let Ok(path) = fs::read_to_string(case.join("config")) {
        request.config = Some(root.join(path.trim()));
    }
    request
}

fn outcome(case: &Path) -> String {
    let root = case.join("root");
    let text = match look(&request(case, &root)) {
        Ok(Outcome::Found(fetched)) => {
            format!("{}\n{}\n", fetched.origin, fetched.machine.node.name)
        }
        Ok(Outcome::Nothing(why)) => format!("nothing\n{why}\n"),
        Ok(Outcome::NeedsNetwork(what)) => {
            let left = left_behind(case, &root).join(", ");
            format!("needs the network\n{what}\nleft behind: {left}\n")
        }
        Err(error) => format!("{:?}\n{error:#}\n", exit_of(&error)),
    };
    let names: Vec<_> = PLATFORMS.iter().map(|platform| platform.name).collect();
    text.replace(&names.join(", "), "NAMES")
        .replace(root.to_str().unwrap(), "")
}

/// The files that a fetch on such a machine writes, the network being still to come.
fn left_behind(case: &Path, root: &Path) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    cases::copy(root, dir.path());
    let unit = dir.path().join(NETWORK_UNIT);
    fs::create_dir_all(unit.parent().unwrap()).unwrap();
    fs::write(unit, "").unwrap();
    let before = cases::files(dir.path());
    let outcome = fetch(&request(case, dir.path())).unwrap();
    assert!(matches!(outcome, Outcome::NeedsNetwork(_)), "{outcome:?}");
    let mut after = cases::files(dir.path());
    after.retain(|file| !before.contains(file));
    after
}

#[test]
fn every_machine_has_its_outcome() {
    cases::judge("tests/sources", outcome);
}
