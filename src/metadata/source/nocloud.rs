//! NoCloud: a disk with the file-system label `cidata`, and the document in its file `user-data`; or
//! a URL in place of the disk, which the kernel command line or the machine's serial number names.
//!
//! cloud-init's format (its documentation, "NoCloud"), as Proxmox, libvirt and KubeVirt make it:
//! iso9660 or FAT, whose labels are upper case. Proxmox fills `user-data` with a cloud-config of its own,
//! so that people give theirs as `vendor-data`; Ignition looks there too (its provider proxmoxve).

use anyhow::Result;

use super::disk::{Disk, Files};
use super::{Answer, Context, MAX_BYTES, seed, smbios};
use crate::exit::{Exit, WithExit};
use crate::metadata::cmdline;
use crate::metadata::envelope::Glance::{Nothing, Others, Ours};
use crate::metadata::envelope::glance;
use crate::metadata::http::shown;
use crate::metadata::remote::Remote;

const DISK: Disk = Disk {
    labels: &["cidata", "CIDATA"],
    file_systems: &["iso9660", "vfat"],
};
const USER_DATA: &str = "user-data";
const VENDOR_DATA: &str = "vendor-data";

/// Asks the URL if a seed names one; else waits for the disk and reads its `user-data`.
pub fn read(context: &Context<'_>) -> Result<Answer> {
    match url(context).exit(Exit::Invalid)? {
        None => DISK.ask(context, user_data),
        Some(_) if !context.online => Ok(Answer::Online),
        Some(url) => fetch(context, &url),
    }
}

/// The seed in the machine's serial number, without `ds=`.
pub fn serial_seed(serial: &str) -> Option<String> {
    cmdline::value(serial, "ds").filter(|seed| seed.starts_with("nocloud"))
}

/// What the command line names wins, because it is nearer to the person at the console.
fn url(context: &Context<'_>) -> Result<Option<String>> {
    let serial = serial_seed(&smbios::field(context.root, "product_serial"));
    for seed in [context.settings.seed.clone(), serial]
        .into_iter()
        .flatten()
    {
        if let Some(url) = seed::user_data(&seed)? {
            return Ok(Some(url));
        }
    }
    Ok(None)
}

fn fetch(context: &Context<'_>, url: &str) -> Result<Answer> {
    let shown = shown(url);
    Ok(match Remote::new(context).find(url, MAX_BYTES)? {
        Some(bytes) => Answer::document(bytes, format!("NoCloud seed {shown}")),
        None => Answer::Nothing(format!(
            "the NoCloud seed has no {USER_DATA} at {shown}; put the machine document there"
        )),
    })
}

/// Whether the disk is there now.
pub fn is_present(context: &Context<'_>) -> bool {
    DISK.present(context.root).is_some()
}

pub(super) fn user_data(disk: &Files) -> Result<Answer> {
    let bytes = disk.read(USER_DATA)?;
    if matches!(
        glance(bytes.as_deref().unwrap_or_default()),
        Nothing | Others
    ) && let Some(bytes) = disk.read(VENDOR_DATA)?
        && glance(&bytes) == Ours
    {
        return Ok(Answer::document(bytes, "NoCloud disk (vendor-data)"));
    }
    Ok(match bytes {
        Some(bytes) => Answer::document(bytes, "NoCloud disk"),
        None => {
            let (device, found) = (disk.device().display(), disk.names());
            Answer::Nothing(format!(
                "there is no {USER_DATA} on {device}; put the machine document there (found: {found})"
            ))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Machine;
    use super::*;
    use crate::exit::exit_of;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    const SERIAL: &str = "/sys/class/dmi/id/product_serial";

    fn machine(cmdline: &str) -> Machine {
        Machine::new(cmdline, Duration::from_secs(5))
    }

    /// A server that gives this answer once; its address, and the first line of what it was asked.
    fn server(answer: &'static str) -> (String, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let len = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            let text = String::from_utf8_lossy(&request[..len]).into_owned();
            text.lines().next().unwrap_or_default().to_owned()
        });
        (address, asked)
    }

    #[test]
    fn no_disk_ends_with_the_deadline() {
        let machine = Machine::new("quiet", Duration::from_millis(60));
        let Answer::Nothing(why) = read(&machine.context()).unwrap() else {
            panic!()
        };
        assert!(why.contains("within 60ms; attach a disk"), "{why}");
    }

    #[test]
    fn a_seed_is_asked_over_http() {
        let (address, asked) = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        let machine = machine(&format!("ds=nocloud;s=http://{address}/a/"));
        let want = format!("NoCloud seed http://{address}/a/user-data");
        let answer = read(&machine.context()).unwrap();
        assert_eq!(answer, Answer::document(b"hello".to_vec(), want));
        assert_eq!(asked.join().unwrap(), "GET /a/user-data HTTP/1.1");

        let (address, asked) = server("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let machine = self::machine("quiet");
        machine.put(
            SERIAL,
            format!("ds=nocloud;s=http://{address}/?key=hunter2&f=\n"),
        );
        let Answer::Nothing(why) = read(&machine.context()).unwrap() else {
            panic!()
        };
        assert!(
            why.contains("no user-data at http") && !why.contains("hunter2"),
            "{why}"
        );
        assert_eq!(
            asked.join().unwrap(),
            "GET /?key=hunter2&f=user-data HTTP/1.1"
        );
    }

    #[test]
    fn the_command_line_wins_and_the_network_is_waited_for() {
        let mut machine = machine("ds=nocloud;s=https://a/");
        machine.put(SERIAL, "ds=nocloud;s=https://b/\n");
        let url = |machine: &Machine| url(&machine.context()).unwrap();
        assert_eq!(url(&machine).as_deref(), Some("https://a/user-data"));
        machine.online = false;
        assert_eq!(read(&machine.context()).unwrap(), Answer::Online);

        let machine = self::machine("ds=nocloud;h=x");
        assert_eq!(url(&machine), None);
        machine.put(SERIAL, "ds=nocloud-net;s=https://b/\n");
        assert_eq!(url(&machine).as_deref(), Some("https://b/user-data"));
        machine.put(SERIAL, "VMware-56 4d\n");
        assert_eq!(url(&machine), None);
    }

    #[test]
    fn a_seed_that_may_not_be_asked_is_refused() {
        let error = read(&machine("ds=nocloud;s=http://example.org/").context()).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Invalid);
    }
}
