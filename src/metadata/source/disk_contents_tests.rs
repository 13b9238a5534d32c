//! Disks with what people and platforms put on them, and what slipway makes of that:
//! `tests/disks/NN-name/{disk/..., kind, expected}`.
//!
//! `disk` holds the files of the case, none if it is missing; `kind` is the platform that reads it and,
//! where that is what it is known by, its label. A file `large` names what is made larger than any
//! source may give, so that nobody has to store it. `expected` is as in tests/sources, and rewritten as
//! there. All is done but the mount, because tests may not; a folder in place of a disk is what only
//! this crate's own tests can have, so that the runner is here and not beside its cases.

#[path = "../../../tests/cases/mod.rs"]
mod cases;

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::disk::Files;
use super::testing::Machine;
use super::{Answer, Context, MAX_BYTES, azure, configdrive, nocloud};
use crate::exit::exit_of;
use crate::metadata::envelope::Offline;
use crate::metadata::platform::choose;
use crate::metadata::reading::{Reading, settle};
use crate::metadata::{Fetched, Outcome};

/// How a kind of disk is found and read.
type Kind = (fn(&Context<'_>) -> bool, fn(&Files) -> Result<Answer>);

fn kind(platform: &str) -> Kind {
    match platform {
        "nocloud" => (nocloud::is_present, nocloud::user_data),
        "configdrive" => (configdrive::is_present, configdrive::user_data),
        // It is known by its drive, which has tests of its own.
        "azure" => (|_| true, azure::custom_data),
        other => panic!("platform {other} reads no disk"),
    }
}

fn look(case: &Path, platform: &str, machine: &Machine) -> Result<Outcome<Fetched>> {
    let (is_present, read) = kind(platform);
    let context = machine.context();
    if !is_present(&context) {
        return Ok(Outcome::Nothing("no disk has a label that counts".into()));
    }
    let disk = machine.root().join("disk");
    cases::copy(&case.join("disk"), &disk);
    if let Ok(path) = fs::read_to_string(case.join("large")) {
        let file = File::create(disk.join(path.trim())).unwrap();
        file.set_len(MAX_BYTES + 1).unwrap();
    }
    let answer = read(&Files::of(&disk))?;
    settle(choose(Some(platform), None)?, &context, answer)?.and_then(|found| {
        let reading = Reading::open(&found.origin, &found.bytes, &Offline)?;
        reading.judge().map(Outcome::Found)
    })
}

fn outcome(case: &Path) -> String {
    let kind = fs::read_to_string(case.join("kind")).unwrap();
    let mut words = kind.split_whitespace();
    let platform = words.next().unwrap();
    let machine = Machine::new("quiet", Duration::ZERO);
    for label in words {
        machine.put(&format!("/dev/disk/by-label/{label}"), "");
    }
    match look(case, platform, &machine) {
        Ok(Outcome::Found(fetched)) => {
            format!("{}\n{}\n", fetched.origin, fetched.machine.node.name)
        }
        Ok(Outcome::Nothing(why)) => format!("nothing\n{why}\n"),
        Ok(Outcome::NeedsNetwork(what)) => panic!("{what} is a disk"),
        Err(error) => format!("{:?}\n{error:#}\n", exit_of(&error)),
    }
}

#[test]
fn every_disk_has_its_outcome() {
    cases::judge("tests/disks", outcome);
}
