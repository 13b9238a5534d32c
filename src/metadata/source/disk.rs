//! Disks that carry metadata: found by the label of their file system, mounted read-only, and left.
//!
//! udev's links are enough to find one; no file-system probing of our own. Whoever made the disk is
//! trusted with the document and with nothing else: links on it are not followed.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{Answer, Context, MAX_BYTES, file};
use crate::config::duration;
use crate::exit::{Exit, WithExit};
use crate::metadata::deadline::poll;
use crate::node::files::{below, make_folder};

/// Where a disk is mounted while it is read.
const MOUNT_POINT: &str = "/run/slipway/disk";
/// There as long as udev has something to do (systemd's `udev_queue_is_empty`).
pub const QUEUE: &str = "/run/udev/queue";
/// More names of a folder are not looked at.
const MAX_NAMES: usize = 256;

/// Waits until udev has seen what the machine came with, as `udevadm settle` does: afterwards a disk
/// that is not there is late, or does not exist.
pub fn settle(context: &Context<'_>) {
    let queue = below(context.root, QUEUE);
    poll(context.deadline, || (!queue.exists()).then_some(()));
}

/// A kind of disk.
#[derive(Clone, Copy, Debug)]
pub struct Disk {
    /// Its file system's label, in the cases that programs write it in.
    pub labels: &'static [&'static str],
    /// File systems to try.
    pub file_systems: &'static [&'static str],
}

impl Disk {
    /// The disk, if udev has seen it.
    pub fn present(&self, root: &Path) -> Option<PathBuf> {
        let links = below(root, "/dev/disk/by-label");
        let mut links = self.labels.iter().map(|label| links.join(label));
        links.find(|link| link.exists())
    }

    /// Waits for the disk until the deadline; that it is missing can be told by nothing else.
    pub fn wait(&self, context: &Context<'_>) -> Option<PathBuf> {
        let mut told = context.deadline.left().is_zero();
        poll(context.deadline, || {
            let device = self.present(context.root);
            if device.is_none() && !told {
                log::warn!("waiting for a disk labelled {}", self.labels[0]);
                told = true;
            }
            device
        })
    }

    /// Waits for the disk, and mounts it for as long as `look` takes.
    ///
    /// # Errors
    /// As [`Disk::mount`], and those of `look`.
    pub fn ask(&self, context: &Context<'_>, look: fn(&Files) -> Result<Answer>) -> Result<Answer> {
        if let Some(device) = self.wait(context) {
            return look(&self.mount(context.root, &device)?.files);
        }
        let waited = duration::show(context.deadline.limit());
        let label = self.labels[0];
        let next = "attach a disk with that label, or change slipway.platform=";
        let why = format!("no disk labelled {label} appeared within {waited}; {next}");
        Ok(Answer::Nothing(why))
    }

    /// As [`Disk::ask`], but without waiting; `None` if there is no such disk.
    ///
    /// # Errors
    /// As [`Disk::ask`].
    pub fn ask_if_present(
        &self,
        context: &Context<'_>,
        look: fn(&Files) -> Result<Answer>,
    ) -> Result<Option<Answer>> {
        self.present(context.root)
            .map(|device| look(&self.mount(context.root, &device)?.files))
            .transpose()
    }

    /// Mounts it for as long as the result lives.
    ///
    /// # Errors
    /// [`Exit::NotFound`] with what the kernel says to each of its file systems.
    pub fn mount(&self, root: &Path, device: &Path) -> Result<Mounted> {
        Mounted::new(device, below(root, MOUNT_POINT), self.file_systems).exit(Exit::NotFound)
    }
}

/// A disk mounted read-only for as long as this value lives.
#[derive(Debug)]
pub struct Mounted {
    /// What is on it.
    pub files: Files,
}

/// The files of a disk.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    device: PathBuf,
}

impl Mounted {
    fn new(device: &Path, folder: PathBuf, file_systems: &[&str]) -> Result<Self> {
        make_folder(&folder, 0o700)?;
        let flags =
            MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let mut refusals = Vec::new();
        for kind in file_systems {
            match mount(Some(device), &folder, Some(*kind), flags, None::<&str>) {
                Ok(()) => {
                    let device = device.to_owned();
                    let files = Files { folder, device };
                    return Ok(Self { files });
                }
                Err(error) => refusals.push(format!("as {kind}: {error}")),
            }
        }
        let (device, refusals) = (device.display(), refusals.join(", "));
        let next = "the kernel needs the module of its file system";
        Err(anyhow!("cannot mount {device} ({refusals}); {next}"))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let path = &self.files.folder;
        let folder = path.display();
        if let Err(error) = umount2(path, MntFlags::MNT_DETACH) {
            log::warn!("cannot unmount {folder}: {error}");
        } else if let Err(error) = fs::remove_dir(path) {
            log::warn!("cannot remove {folder}: {error}");
        }
    }
}

impl Files {
    /// Those in a folder that stands for a disk.
    #[cfg(test)]
    pub fn of(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            device: "/dev/vdb".into(),
        }
    }

    /// A file of the disk, or `None` if it has none of that name.
    ///
    /// # Errors
    /// As [`read_beneath`].
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let name = format!("{path} on {}", self.device.display());
        read_beneath(&self.folder, path, &name)
    }

    /// What stands in its topmost folder, for a message.
    pub fn names(&self) -> String {
        match &*names(&self.folder) {
            [] => "nothing".to_owned(),
            names => names.join(", "),
        }
    }

    /// The names in one of its folders, sorted; none if there is no such folder.
    ///
    /// # Errors
    /// [`Exit::NotFound`] if it cannot be opened.
    pub fn names_in(&self, path: &str) -> Result<Vec<String>> {
        let opened = open_beneath(&self.folder, path, OFlag::O_DIRECTORY)
            .with_context(|| format!("cannot open {path} on {}", self.device.display()))
            .exit(Exit::NotFound)?;
        Ok(opened.map_or_else(Vec::new, |folder| {
            names(Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())))
        }))
    }

    /// Where it is, for a message.
    pub fn device(&self) -> &Path {
        &self.device
    }
}

/// The file at `path` below `folder`, without following a link anywhere on the way; `None` if there
/// is nothing. `name` is what messages call it.
///
/// # Errors
/// [`Exit::NotFound`] for what is no plain file, [`Exit::Invalid`] if it is too large.
pub fn read_beneath(folder: &Path, path: &str, name: &str) -> Result<Option<Vec<u8>>> {
    // Non-blocking, because opening a pipe would wait for somebody to write.
    let opened = open_beneath(folder, path, OFlag::O_NONBLOCK)
        .with_context(|| format!("cannot open {name}"))
        .exit(Exit::NotFound)?;
    let Some(opened) = opened else {
        return Ok(None);
    };
    let meta = opened
        .metadata()
        .with_context(|| format!("cannot look at {name}"))?;
    if !meta.is_file() {
        return Err(anyhow!("{name} is not a plain file")).exit(Exit::NotFound);
    }
    file::read_at_most(opened, MAX_BYTES, name).map(Some)
}

fn open_beneath(folder: &Path, path: &str, more: OFlag) -> Result<Option<File>> {
    let folder = File::open(folder)?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | more)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    match openat2(&folder, path, how) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::ENOENT) => Ok(None),
        Err(Errno::ELOOP | Errno::EXDEV) => Err(anyhow!("it is not a plain file")),
        Err(error) => Err(error.into()),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .take(MAX_NAMES)
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests;
