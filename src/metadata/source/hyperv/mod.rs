//! Hyper-V: key-value pairs that the host gives the guest ("Data Exchange").
//!
//! Where Linux's daemon runs (hv_kvp_daemon), it keeps them in a file; in the initrd nobody does, so the
//! kernel is asked, in the daemon's place, as Ignition does. A value holds about 1 KiB of text, so that a
//! document comes in numbered parts. The host gives pairs once a boot; what it gave for others while
//! the initrd listened, the daemon hears of again when the host changes it, or on the next boot.

mod channel;
pub mod pool;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use nix::libc::O_NONBLOCK;

use super::{Answer, Context, MAX_BYTES, file};
use crate::config::duration;
use crate::exit::{Exit, WithExit, fail};
use crate::metadata::deadline::poll;
use crate::metadata::settings::CREDENTIAL;
use crate::node::files::{self, PRIVATE, below};

/// What the daemon keeps of the pairs that a person sets on the host.
const POOL: &str = "/var/lib/hyperv/.kvp_pool_0";
/// Where the kernel passes them on, to one process at a time.
const DEVICE: &str = "/dev/vmbus/hv_kvp";

/// Reads the document from the daemon's file, else from the kernel as soon as the host has given it.
pub fn read(context: &Context<'_>) -> Result<Answer> {
    let path = below(context.root, POOL);
    if let Some(bytes) = pool_file(&path)?
        && let Some(document) = pool::document(&bytes).exit(Exit::Invalid)?
    {
        return Ok(Answer::document(document, "Hyper-V pool file"));
    }
    // udev loads hv_utils, perhaps only now; who cannot have it has no such device ever.
    let device = below(context.root, DEVICE);
    let mut told = context.deadline.left().is_zero();
    poll(context.deadline, || {
        let there = device.exists().then_some(());
        if there.is_none() && !told {
            log::warn!("waiting for {DEVICE}");
            told = true;
        }
        there
    });
    let Some(mut device) = open(&device)? else {
        return Ok(none("hv_kvp_daemon runs and was given no such pair"));
    };
    let pairs = channel::listen(&mut device, context.deadline, channel::QUIET)
        .with_context(|| format!("cannot read pairs from {DEVICE}"))
        .exit(Exit::NotFound)?;
    match pool::document(&pairs).exit(Exit::Invalid)? {
        Some(document) => Ok(Answer::document(document, "Hyper-V key-value pair")),
        None => {
            let waited = duration::show(context.deadline.limit());
            Ok(none(&format!("the host gave no such pair within {waited}")))
        }
    }
}

/// Takes our pairs out of the daemon's file. Without one, an empty file is left, because the daemon
/// keeps the mode of a file that is there: what the host gives it again is then for root alone.
pub fn wipe(root: &Path, target: &Path) -> Result<()> {
    for root in BTreeSet::from([root, target]) {
        let path = below(root, POOL);
        let there = pool_file(&path)?;
        // No daemon runs in the initrd.
        if there.is_some() || root == target {
            let rest = pool::without_ours(&there.unwrap_or_default());
            files::write(&path, &rest, PRIVATE)?;
        }
    }
    Ok(())
}

fn none(why: &str) -> Answer {
    let next = "set it on the host, in numbered parts if it is long";
    Answer::Nothing(format!("Hyper-V has no pair {CREDENTIAL}: {why}; {next}"))
}

fn pool_file(path: &Path) -> Result<Option<Vec<u8>>> {
    match File::open(path) {
        Ok(opened) => file::read_at_most(opened, MAX_BYTES, &path.display().to_string()).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error)
            .with_context(|| format!("cannot open {}", path.display()))
            .exit(Exit::NotFound),
    }
}

/// The kernel's device, or `None` if the daemon has it.
fn open(path: &Path) -> Result<Option<File>> {
    let mut how = OpenOptions::new();
    how.read(true).write(true).custom_flags(O_NONBLOCK);
    let error = match how.open(path) {
        Ok(device) => return Ok(Some(device)),
        Err(error) if error.kind() == ErrorKind::ResourceBusy => return Ok(None),
        Err(error) => error,
    };
    let path = path.display();
    let error = match error.kind() {
        ErrorKind::NotFound => {
            anyhow!(
                "{path} is missing: kernel module hv_utils not loaded, or not a Hyper-V machine?"
            )
        }
        _ => anyhow!("cannot open {path}: {error}"),
    };
    Err(fail(Exit::NotFound, error))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Machine;
    use super::*;
    use crate::exit::exit_of;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;
    use std::time::Duration;

    fn machine() -> Machine {
        Machine::new("quiet", Duration::ZERO)
    }

    #[test]
    fn the_daemons_file_is_enough() {
        let machine = machine();
        let parts = [
            ("slipway.machine.1", "lo"),
            ("other", "x"),
            ("slipway.machine.0", "hel"),
        ];
        machine.put(POOL, pool::file(&parts));
        let want = Answer::document(b"hello".to_vec(), "Hyper-V pool file");
        assert_eq!(read(&machine.context()).unwrap(), want);
    }

    #[test]
    fn without_file_and_device_there_is_no_source() {
        let error = read(&machine().context()).unwrap_err();
        assert_eq!(exit_of(&error), Exit::NotFound);
        assert!(error.to_string().contains("hv_utils not loaded"), "{error}");
    }

    #[test]
    fn a_device_that_comes_late_is_waited_for() {
        let machine = Machine::new("quiet", Duration::from_secs(60));
        let error = thread::scope(|scope| {
            scope.spawn(|| machine.put(DEVICE, ""));
            read(&machine.context()).unwrap_err()
        });
        // It is no Hyper-V behind it, so the talk ends after the first word.
        let asked = fs::read(below(machine.root(), DEVICE)).unwrap();
        assert!(!asked.is_empty());
        assert!(error.to_string().contains("cannot read pairs"), "{error}");
    }

    #[test]
    fn ours_are_wiped_and_the_rest_stays() {
        let machine = machine();
        let path = machine.put(
            POOL,
            pool::file(&[("a", "1"), ("slipway.machine", "x"), ("b", "2")]),
        );
        wipe(machine.root(), machine.root()).unwrap();
        assert_eq!(
            fs::read(&path).unwrap(),
            pool::file(&[("a", "1"), ("b", "2")])
        );
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o600
        );

        fs::remove_file(&path).unwrap();
        wipe(machine.root(), machine.root()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o600
        );
    }
}
