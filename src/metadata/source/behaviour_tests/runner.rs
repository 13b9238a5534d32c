//! One source asked of one service, and what came of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::SECRET;
use super::clouds::{DOCUMENT, cloud};
use super::table::Behaviour;
use super::table::Outcome::{self, GaveUp, Nothing, Refused};
use crate::exit::{Exit, exit_of};
use crate::metadata;
use crate::metadata::platform::Platform;
use crate::metadata::reading::ask;

pub fn check(platform: &'static Platform, behaviour: &Behaviour) {
    let cloud = cloud(platform);
    let mut except = behaviour.except.iter();
    let except = except.find(|(name, _)| *name == platform.name);
    let want = except.map_or(behaviour.outcome, |(_, outcome)| *outcome);
    let limit = match want {
        GaveUp => Duration::from_millis(150),
        _ => Duration::from_secs(60),
    };
    let (server, asked) = cloud.server(behaviour.act);
    let machine = cloud.machine(&server, limit);
    let got = match ask(platform, &machine.context()) {
        Ok(metadata::Outcome::Found(found)) => {
            assert_eq!(found.bytes, DOCUMENT);
            Outcome::Document
        }
        Ok(metadata::Outcome::Nothing(_)) => Nothing,
        Ok(metadata::Outcome::NeedsNetwork(what)) => panic!("{what} has it"),
        Err(error) => outcome(&error),
    };
    let what = format!("{}, {}", platform.name, behaviour.name);
    assert_eq!(got, want, "{what}: {:?}", server.seen());
    if got == Refused {
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{what}");
    }
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
