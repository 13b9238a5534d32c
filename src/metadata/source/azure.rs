//! Azure: user data of the metadata service, else custom data on the provisioning CD.
//!
//! Azure has two properties for the same purpose. User data is newer, can be changed, and is given by
//! the service (Azure documentation, "Azure Instance Metadata Service"); custom data is written once,
//! to a CD in UDF, whose label differs with the host's version: the drive itself is looked for, as
//! Ignition and cloud-init do. A service that fails is never passed over for the CD, because then the
//! same machine would be another one on a bad day.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Result;
use nix::errno::Errno;
use ureq::http::Method;

use super::disk::{Disk, Files};
use super::service::{Meaning, Service, decoded, usual};
use super::{Answer, Context, ovf};
use crate::metadata::deadline::poll;
use crate::metadata::http::Reply;
use crate::node::files::below;

const USER_DATA: &str = "/metadata/instance/compute/userData?api-version=2021-01-01&format=text";
/// Proves that the service was not asked through a proxy.
const METADATA: (&str, &str) = ("Metadata", "true");

/// The drive's names: the ATA one of machines of generation 1, and the first of any kind.
const DRIVES: [&str; 2] = ["/dev/disk/by-id/ata-Virtual_CD", "/dev/sr0"];
/// Found by its drive, never by a label.
const CD: Disk = Disk {
    labels: &[],
    file_systems: &["udf"],
};
const ENVIRONMENT: &str = "ovf-env.xml";
const CUSTOM_DATA: &str = "CustomData.bin";

/// What is in a drive.
#[derive(Debug, PartialEq, Eq)]
enum Drive {
    Missing,
    Empty,
    Holds(PathBuf),
}

/// Asks the service, and looks at the CD if that has no user data.
///
/// # Errors
/// [`Exit::Invalid`](crate::exit::Exit::Invalid) for what is not base64; else as [`Service::until`]
/// and [`Disk::mount`].
pub fn read(context: &Context<'_>) -> Result<Answer> {
    let service = Service::new("Azure", context);
    let text = service.until(|| {
        let reply = service.ask(Method::GET, USER_DATA, &[METADATA])?;
        let meaning = meaning(&reply);
        service.judge(reply, "user data", meaning)
    })?;
    let text = text.unwrap_or_default();
    if !text.trim_ascii().is_empty() {
        let bytes = decoded(&text, "Azure user data")?;
        return Ok(service.answer(Some(bytes)));
    }
    match wait(context) {
        Drive::Holds(device) => custom_data(&CD.mount(context.root, &device)?.files),
        Drive::Missing | Drive::Empty => Ok(service.answer(None)),
    }
}

/// The service says that it has nothing (yet) while it learns of a new machine.
fn meaning(reply: &Reply) -> Meaning {
    match reply.code {
        404 | 410 => Meaning::Busy,
        _ => usual(reply),
    }
}

/// Waits for the drive, which every machine has: one that is missing has no driver yet.
fn wait(context: &Context<'_>) -> Drive {
    let there = || Some(drive(context.root)).filter(|drive| *drive != Drive::Missing);
    poll(context.deadline, there).unwrap_or(Drive::Missing)
}

fn drive(root: &Path) -> Drive {
    let mut drives = DRIVES.iter().map(|drive| below(root, drive));
    let Some(device) = drives.find(|device| device.exists()) else {
        return Drive::Missing;
    };
    let errno = File::open(&device)
        .err()
        .and_then(|error| error.raw_os_error());
    // After provisioning, Azure takes the CD out. Whatever else is wrong is said by the mount.
    match errno.map(Errno::from_raw) {
        Some(Errno::ENOMEDIUM) => Drive::Empty,
        _ => Drive::Holds(device),
    }
}

pub(super) fn custom_data(cd: &Files) -> Result<Answer> {
    let environment = cd.read(ENVIRONMENT)?;
    let inside = match environment {
        Some(xml) => ovf::custom_data(&xml)?,
        None => None,
    };
    let bytes = match inside {
        Some(bytes) => Some(bytes),
        None => cd.read(CUSTOM_DATA)?,
    };
    Ok(match bytes {
        Some(bytes) => Answer::document(bytes, "Azure custom data"),
        None => Answer::Nothing(format!(
            "this machine has neither user data nor custom data on Azure; give it the machine \
             document as one of them (the CD in {} holds: {})",
            cd.device().display(),
            cd.names()
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Machine;
    use super::super::testing::server::{Server, answer};
    use super::*;
    use crate::exit::{Exit, exit_of};
    use std::fs;
    use std::time::Duration;

    fn ask(limit: Duration, replies: &'static [(u16, &str)], drive: bool) -> Result<Answer> {
        let mut replies = replies.iter();
        let server = Server::start(move |_| {
            let (code, body) = replies.next().unwrap_or(&(500, ""));
            answer(*code, &[], body)
        });
        let mut machine = Machine::new("", limit);
        machine.link_local = server.url("");
        if drive {
            machine.put(DRIVES[1], "");
        }
        read(&machine.context())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_service_may_learn_late_of_the_machine() {
        let got = ask(LONG, &[(404, ""), (410, ""), (200, "a2luZDogTQ==")], true);
        assert_eq!(got.unwrap(), Answer::document("kind: M", "Azure user data"));
        let error = ask(LONG, &[(200, "kind: hunter2!")], true).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Invalid);
        let text = format!("{error:#}");
        assert!(text.contains("not base64") && !text.contains("hunter2"));
    }

    #[test]
    fn without_user_data_the_cd_is_mounted_and_without_a_drive_there_is_nothing() {
        let error = ask(LONG, &[(200, "\n")], true).unwrap_err();
        assert!(format!("{error:#}").contains("as udf:"), "{error:#}");
        assert_eq!(exit_of(&error), Exit::NotFound);
        let nothing = ask(Duration::from_secs(1), &[(200, "")], false);
        assert!(matches!(nothing.unwrap(), Answer::Nothing(_)));
    }

    #[test]
    fn a_service_that_fails_is_not_passed_over_for_the_cd() {
        let error = ask(Duration::from_millis(20), &[], true).unwrap_err();
        assert!(error.to_string().contains("gave up"), "{error}");
    }

    #[test]
    fn drives_are_found_by_either_name() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(drive(root.path()), Drive::Missing);
        for name in DRIVES.iter().rev() {
            let path = below(root.path(), name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            assert_eq!(drive(root.path()), Drive::Holds(path));
        }
    }
}
