//! Every source behind the network against every way a service may behave, over real sockets.

mod clouds;
mod runner;
mod table;

use std::collections::BTreeSet;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::testing::server::{Server, answer};
use crate::metadata;
use crate::metadata::reading::ask;
use clouds::{CLOUDS, cloud, columns, networked};
use runner::{check, outcome};
use table::Outcome::GaveUp;
use table::{BEHAVIOURS, ELSEWHERE};

/// Stands for what no message may repeat.
const SECRET: &str = "hunter2";

#[test]
fn every_column_with_every_behaviour() {
    thread::scope(|scope| {
        for column in columns() {
            for behaviour in &BEHAVIOURS {
                scope.spawn(move || check(&column, behaviour));
            }
        }
    });
    assert_eq!(ELSEWHERE.requests(), [], "a redirect was followed");
}

#[test]
fn the_table_names_columns_that_there_are() {
    let names: BTreeSet<_> = columns().map(|column| column.name).collect();
    let rows = CLOUDS.iter().map(|cloud| cloud.platform);
    let excepted = BEHAVIOURS.iter().flat_map(|behaviour| behaviour.except);
    for name in rows.chain(excepted.map(|(name, _)| *name)) {
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn nobody_there_is_waited_for() {
    for platform in networked() {
        let cloud = cloud(platform);
        let server = cloud.server(|_| None);
        let mut machine = cloud.machine(&server, Duration::from_millis(20));
        machine.link_local = "http://127.0.0.1:1".to_owned();
        // The others are told an address of their own.
        if !["url", "nocloud"].contains(&platform.name) {
            let error = ask(platform, &machine.context()).err().unwrap();
            assert_eq!(outcome(&error), GaveUp, "{}", platform.name);
            assert_eq!(server.seen().len(), 0, "only the link is asked");
        }
    }
}

#[test]
fn without_network_nobody_is_asked() {
    for platform in networked() {
        let cloud = cloud(platform);
        let server = cloud.server(|_| None);
        let mut machine = cloud.machine(&server, Duration::from_secs(60));
        machine.online = false;
        let got = ask(platform, &machine.context()).unwrap();
        assert!(
            matches!(got, metadata::Outcome::NeedsNetwork(_)),
            "{}",
            platform.name
        );
        assert_eq!(server.requests(), []);
    }
}

#[test]
fn requests_say_who_asks_and_take_bytes_as_they_are() {
    for platform in networked() {
        let cloud = cloud(platform);
        let server = cloud.server(|_| None);
        ask(
            platform,
            &cloud.machine(&server, Duration::from_secs(60)).context(),
        )
        .unwrap();
        let requests = server.requests();
        let data = requests.iter().find(|request| request.path == cloud.path);
        let data = data.unwrap();
        assert!(data.header("user-agent").unwrap().starts_with("slipway/"));
        assert_eq!(data.header("accept-encoding"), Some("identity"));
    }
}

/// The environment of this process is shared by all tests; a process of its own is not.
#[test]
fn proxies_of_the_environment_are_not_asked() {
    let test =
        "metadata::source::behaviour_tests::requests_say_who_asks_and_take_bytes_as_they_are";
    let proxy = Server::start(|_| answer(200, &[], SECRET));
    let mut command = Command::new(std::env::current_exe().unwrap());
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env(name, proxy.url(""));
        command.env(name.to_uppercase(), proxy.url(""));
    }
    let run = command.args(["--exact", test]).output().unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(proxy.requests(), []);
}
