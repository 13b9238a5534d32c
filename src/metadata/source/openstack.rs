//! OpenStack: the config drive if there is one, else the metadata service.
//!
//! A cloud offers either or both, with the same user data, and nothing says which. The drive needs no
//! network and cannot be imitated by a neighbour, so it goes first, once udev has seen all that is there; but
//! disks appear when they like, so it is looked for again whenever the service is asked. Ignition asks
//! both at once, and takes what comes first.

use anyhow::Result;
use ureq::http::Method;

use super::service::{Service, usual};
use super::{Answer, Context, configdrive, disk};
use crate::metadata::deadline::Failed;

/// Nova's metadata API ("Metadata service" of its user guide).
const USER_DATA: &str = "/openstack/latest/user_data";

/// Reads the drive, or asks the service.
///
/// # Errors
/// As [`configdrive::read`] and [`Service::until`].
pub fn read(context: &Context<'_>) -> Result<Answer> {
    if !context.online {
        disk::settle(context);
        let drive = configdrive::read_if_present(context)?;
        return Ok(drive.unwrap_or(Answer::Online));
    }
    let service = Service::new("OpenStack", context);
    service.until(|| {
        let drive = configdrive::read_if_present(context).map_err(Failed::Finally)?;
        if let Some(answer) = drive {
            return Ok(answer);
        }
        let reply = service.ask(Method::GET, USER_DATA, &[])?;
        let meaning = usual(&reply);
        let found = service.judge(reply, "user data", meaning)?;
        Ok(service.answer(found))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Machine;
    use super::super::testing::server::{Server, answer};
    use super::*;
    use std::fs;
    use std::thread;
    use std::time::Duration;

    const DRIVE: &str = "/dev/disk/by-label/config-2";

    fn machine(server: &Server) -> Machine {
        let mut machine = Machine::new("", Duration::from_secs(60));
        machine.link_local = server.url("");
        machine
    }

    /// A drive made of a file cannot be mounted, which shows that it was tried.
    fn assert_drive_was_tried(machine: &Machine) {
        let error = read(&machine.context()).unwrap_err();
        assert!(format!("{error:#}").contains("cannot mount"), "{error:#}");
    }

    #[test]
    fn the_drive_goes_first_with_network_and_without() {
        let server = Server::start(|_| answer(200, &[], "kind: Machine"));
        for online in [true, false] {
            let mut machine = machine(&server);
            machine.online = online;
            machine.put(DRIVE, "");
            assert_drive_was_tried(&machine);
            assert_eq!(server.requests(), []);
        }
    }

    #[test]
    fn a_drive_that_udev_is_about_to_show_needs_no_network() {
        let server = Server::start(|_| answer(200, &[], "kind: Machine"));
        let mut machine = machine(&server);
        machine.online = false;
        let queue = machine.put(disk::QUEUE, "");
        thread::scope(|scope| {
            scope.spawn(|| {
                machine.put(DRIVE, "");
                fs::remove_file(&queue).unwrap();
            });
            assert_drive_was_tried(&machine);
        });
        assert_eq!(server.requests(), []);
    }

    #[test]
    fn without_drive_the_service_is_asked_once_the_network_is_there() {
        let server = Server::start(|_| answer(200, &[], "kind: Machine"));
        let mut machine = machine(&server);
        let want = Answer::document("kind: Machine", "OpenStack user data");
        assert_eq!(read(&machine.context()).unwrap(), want);
        machine.online = false;
        assert_eq!(read(&machine.context()).unwrap(), Answer::Online);
        assert_eq!(server.requests().len(), 1);
    }

    #[test]
    fn a_drive_that_appears_while_the_service_is_busy_is_read() {
        let root = tempfile::tempdir().unwrap();
        let drive = root.path().join("config-2");
        let late = drive.clone();
        let server = Server::start(move |_| {
            fs::write(&late, "").unwrap();
            answer(503, &[], "")
        });
        let machine = machine(&server);
        let link = machine.put(DRIVE, "");
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&drive, &link).unwrap();
        assert_drive_was_tried(&machine);
        assert_eq!(server.requests().len(), 1);
    }
}
