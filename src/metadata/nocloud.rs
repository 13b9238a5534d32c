//! NoCloud: a disk with the file-system label `cidata`, and the document in its file `user-data`.
//!
//! cloud-init's format (its documentation, "NoCloud"), as Proxmox, libvirt and KubeVirt make it:
//! iso9660 or FAT, whose labels are upper case. The platform was named, so the disk is waited for
//! until the deadline; that it is missing can be told by nothing else. udev's links are enough to find
//! it; no file-system probing of our own.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::file::{self, MAX_BYTES};
use crate::config::duration;
use crate::exit::{Exit, WithExit, fail};
use crate::node::files::{below, make_folder};

const LABELS: [&str; 2] = ["cidata", "CIDATA"];
const FILE_SYSTEMS: [&str; 2] = ["iso9660", "vfat"];
const USER_DATA: &str = "user-data";
/// Where the disk is mounted while it is read.
const MOUNT_POINT: &str = "/run/slipway/nocloud";
/// How often udev's links are looked at; a look is two system calls.
const POLL: Duration = Duration::from_millis(50);

/// Reads the disk's `user-data`.
pub fn read(root: &Path, deadline: Duration) -> Result<Vec<u8>> {
    let device = wait_for_device(root, deadline).exit(Exit::NotFound)?;
    let mounted = Mounted::new(&device, below(root, MOUNT_POINT)).exit(Exit::NotFound)?;
    user_data(&mounted.folder, &device)
}

fn wait_for_device(root: &Path, deadline: Duration) -> Result<PathBuf> {
    let begin = Instant::now();
    loop {
        if let Some(device) = device(root) {
            return Ok(device);
        }
        let left = deadline.saturating_sub(begin.elapsed());
        if left.is_zero() {
            let waited = duration::show(deadline);
            let next = "attach a disk with that label, or change slipway.platform=";
            return Err(anyhow!(
                "no disk labelled cidata appeared within {waited}; {next}"
            ));
        }
        thread::sleep(POLL.min(left));
    }
}

/// The disk, if udev has seen it.
fn device(root: &Path) -> Option<PathBuf> {
    let links = below(root, "/dev/disk/by-label");
    LABELS
        .iter()
        .map(|label| links.join(label))
        .find(|link| link.exists())
}

/// The file on the mounted disk. Only a plain file will do: a link or a pipe made by somebody else
/// must not lead into this system.
fn user_data(folder: &Path, device: &Path) -> Result<Vec<u8>> {
    let (path, name) = (
        folder.join(USER_DATA),
        format!("{USER_DATA} on {}", device.display()),
    );
    let kind = match fs::symlink_metadata(&path) {
        Ok(meta) if meta.is_file() => return open(&path, &name),
        Ok(_) => anyhow!("{name} is not a plain file"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            anyhow!(
                "there is no {name}; put the machine document there (found: {})",
                names(folder)
            )
        }
        Err(error) => anyhow!(error).context(format!("cannot read {name}")),
    };
    Err(fail(Exit::NotFound, kind))
}

fn open(path: &Path, name: &str) -> Result<Vec<u8>> {
    let opened = File::open(path).with_context(|| format!("cannot open {name}"));
    file::read_at_most(opened.exit(Exit::NotFound)?, MAX_BYTES, name)
}

fn names(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

/// A disk mounted read-only for as long as this value lives.
struct Mounted {
    folder: PathBuf,
}

impl Mounted {
    fn new(device: &Path, folder: PathBuf) -> Result<Self> {
        make_folder(&folder, 0o700)?;
        let flags =
            MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let mut refusals = Vec::new();
        for kind in FILE_SYSTEMS {
            match mount(Some(device), &folder, Some(kind), flags, None::<&str>) {
                Ok(()) => return Ok(Self { folder }),
                Err(error) => refusals.push(format!("as {kind}: {error}")),
            }
        }
        let next = "make it iso9660 or FAT; the kernel needs the module isofs or vfat";
        Err(anyhow!(
            "cannot mount {} ({}); {next}",
            device.display(),
            refusals.join(", ")
        ))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let folder = self.folder.display();
        if let Err(error) = umount2(&self.folder, MntFlags::MNT_DETACH) {
            log::warn!("cannot unmount {folder}: {error}");
        } else if let Err(error) = fs::remove_dir(&self.folder) {
            log::warn!("cannot remove {folder}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_of;
    use std::os::unix::fs::symlink;

    fn links(root: &Path) -> PathBuf {
        let links = root.join("dev/disk/by-label");
        fs::create_dir_all(&links).unwrap();
        links
    }

    #[test]
    fn either_label_is_found_and_a_dangling_link_is_not() {
        let root = tempfile::tempdir().unwrap();
        let links = links(root.path());
        symlink("../../vdb", links.join("cidata")).unwrap();
        assert_eq!(device(root.path()), None);
        fs::write(links.join("CIDATA"), "").unwrap();
        assert_eq!(device(root.path()), Some(links.join("CIDATA")));
    }

    #[test]
    fn a_disk_that_appears_late_is_found() {
        let root = tempfile::tempdir().unwrap();
        let links = links(root.path());
        let late = thread::spawn(move || fs::write(links.join("cidata"), ""));
        assert!(wait_for_device(root.path(), Duration::from_secs(60)).is_ok());
        late.join().unwrap().unwrap();
    }

    #[test]
    fn no_disk_ends_with_the_deadline() {
        let root = tempfile::tempdir().unwrap();
        let error = read(root.path(), Duration::from_millis(60)).unwrap_err();
        assert_eq!(exit_of(&error), Exit::NotFound);
        assert!(
            format!("{error:#}").contains("within 60ms; attach a disk"),
            "{error:#}"
        );
    }

    #[test]
    fn what_is_no_block_device_is_not_mounted() {
        let root = tempfile::tempdir().unwrap();
        fs::write(links(root.path()).join("cidata"), "").unwrap();
        let error = read(root.path(), Duration::ZERO).unwrap_err();
        assert_eq!(exit_of(&error), Exit::NotFound);
        assert!(format!("{error:#}").contains("cannot mount"), "{error:#}");
    }

    #[test]
    fn user_data_is_a_plain_file_or_named_as_missing() {
        let disk = tempfile::tempdir().unwrap();
        let text = || user_data(disk.path(), Path::new("/dev/vdb"));
        fs::write(disk.path().join("meta-data"), "").unwrap();
        let error = format!("{:#}", text().unwrap_err());
        assert!(
            error.contains("no user-data on /dev/vdb") && error.contains("found: meta-data"),
            "{error}"
        );
        symlink("/etc/passwd", disk.path().join(USER_DATA)).unwrap();
        assert!(format!("{:#}", text().unwrap_err()).contains("not a plain file"));
        fs::remove_file(disk.path().join(USER_DATA)).unwrap();
        fs::write(disk.path().join(USER_DATA), "kind: Machine").unwrap();
        assert_eq!(text().unwrap(), b"kind: Machine");
    }
}
