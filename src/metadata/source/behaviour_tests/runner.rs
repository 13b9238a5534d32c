//! One source asked of one service, and what came of it.

use std::time::Duration;

use super::super::testing::server::Server;
use super::SECRET;
use super::clouds::{Cloud, Column, DOCUMENT, EC2_TOKEN, TOKEN, cloud};
use super::table::Behaviour;
use super::table::Outcome::{self, Document, GaveUp, Nothing, Refused};
use crate::exit::{Exit, exit_of};
use crate::metadata;
use crate::metadata::reading::ask;

pub fn check(column: &Column, behaviour: &Behaviour) {
    let want = behaviour.outcome_of(column.name);
    let limit = match want {
        GaveUp => Duration::from_millis(150),
        _ => Duration::from_secs(60),
    };
    let cloud = cloud(column.platform);
    let server = server(column.path, *behaviour, cloud);
    let got = match ask(column.platform, &cloud.machine(&server, limit).context()) {
        Ok(metadata::Outcome::Found(found)) => {
            assert_eq!(found.bytes, DOCUMENT);
            Document
        }
        Ok(metadata::Outcome::Nothing(_)) => Nothing,
        Ok(metadata::Outcome::NeedsNetwork(what)) => panic!("{what} has it"),
        Err(error) => outcome(&error),
    };
    let (seen, requests) = (server.seen(), server.requests());
    let what = format!("{}, {}: {seen:?}", column.name, behaviour.name);
    let asked = |path| requests.iter().filter(|r| r.path == path).count();
    assert_eq!(got, want, "{what}");
    if got == Refused {
        assert_eq!(asked(column.path), 1, "{what}");
    }
    match column.name {
        "ec2" if got != GaveUp => assert_eq!(asked(TOKEN), behaviour.tokens, "{what}"),
        EC2_TOKEN if got != Document => assert_eq!(asked(cloud.path), 0, "{what}"),
        _ => {}
    }
}

/// A service that behaves so when it is asked for what is at `path`.
fn server(path: &'static str, behaviour: Behaviour, cloud: &'static Cloud) -> Server {
    let mut times = 0..;
    cloud.server(move |request| match request.path == path {
        true if (behaviour.to)(request) => (behaviour.act)(times.next()?),
        _ => None,
    })
}

pub fn outcome(error: &anyhow::Error) -> Outcome {
    let text = format!("{error:#}");
    assert!(!text.contains(SECRET), "{text}");
    assert!(
        matches!(exit_of(error), Exit::NotFound | Exit::Refused),
        "{text}"
    );
    match text.contains("gave up waiting for") {
        true => GaveUp,
        false => Refused,
    }
}
