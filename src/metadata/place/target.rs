//! The folders below the target, opened so that no link leads out of it.

use std::fs::{self, File, Metadata};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, mkdirat};

use crate::exit::{Exit, fail};
use crate::metadata::room;

/// Folders that are missing are made with this.
const MODE: Mode = Mode::from_bits_truncate(0o755);

/// The target's topmost folder.
pub struct Target(File);

impl Target {
    /// Opens it.
    pub fn open(target: &Path) -> Result<Self> {
        let file = File::open(target);
        file.with_context(|| format!("cannot open the target {}", target.display()))
            .map(Self)
    }

    /// Holds the folder of an absolute plain path, making it if need be. `forbidden` says why nothing may
    /// be written at a path, if so; it is asked about the one without links that `path` leads to.
    ///
    /// # Errors
    /// [`Exit::Refused`] if a link leads out of the target, or to where it is forbidden.
    pub fn hold(&self, path: &str, forbidden: impl Fn(&str) -> Option<String>) -> Result<Held> {
        self.walk(path, forbidden, true)?
            .context("the folder is gone again")
    }

    /// As [`Target::hold`], but makes nothing: `None` if a folder is missing.
    ///
    /// # Errors
    /// As [`Target::hold`], as far as there are folders.
    pub fn find(
        &self,
        path: &str,
        forbidden: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Held>> {
        self.walk(path, forbidden, false)
    }

    fn walk(
        &self,
        path: &str,
        forbidden: impl Fn(&str) -> Option<String>,
        make: bool,
    ) -> Result<Option<Held>> {
        let (folder, name) = path.rsplit_once('/').context("the path has no folder")?;
        let folder = folder.trim_start_matches('/');
        let judge = |held: &OwnedFd, rest: &str| {
            let real = format!("{}/{rest}", self.place(held)?);
            match forbidden(&real) {
                None => Ok(()),
                Some(why) => Err(fail(Exit::Refused, anyhow!("it leads to {real:?}: {why}"))),
            }
        };
        let mut held = self.folder(".")?.context("the target is gone")?;
        for (end, _) in folder.match_indices('/').chain([(folder.len(), "")]) {
            let (part, _) = folder.split_at(end);
            held = match self.folder(part)? {
                Some(next) => next,
                None => {
                    let above = part.rfind('/').map_or(0, |slash| slash + 1);
                    let (_, rest) = path.trim_start_matches('/').split_at(above);
                    judge(&held, rest)?;
                    // openat2 says the same of a link to nothing, which nobody can make a folder.
                    if fs::symlink_metadata(in_proc(held.as_raw_fd()).join(last(part))).is_ok() {
                        let next = "name the folder that it should lead to";
                        return Err(anyhow!("/{part} is a link to nothing; {next}"));
                    }
                    if !make {
                        return Ok(None);
                    }
                    self.make(&held, part)?
                }
            };
        }
        judge(&held, name)?;
        Ok(Some(Held {
            folder: held,
            name: name.to_owned(),
        }))
    }

    /// The path of a folder below the target, free of links; empty for the target itself.
    fn place(&self, folder: &impl AsRawFd) -> Result<String> {
        let path = |fd| fs::read_link(in_proc(fd)).context("cannot tell where a folder is");
        let (target, folder) = (path(self.0.as_raw_fd())?, path(folder.as_raw_fd())?);
        let inside = folder.strip_prefix(&target).with_context(|| {
            let (folder, target) = (folder.display(), target.display());
            format!("{folder} is not below {target}; was it moved?")
        })?;
        let inside = inside.to_str().context("a folder's name is not UTF-8")?;
        Ok(match inside {
            "" => String::new(),
            inside => format!("/{inside}"),
        })
    }

    fn make(&self, parent: &OwnedFd, folder: &str) -> Result<OwnedFd> {
        match mkdirat(parent, last(folder), MODE) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => {
                let error = std::io::Error::from(error);
                return Err(error).with_context(|| format!("cannot make the folder /{folder}"));
            }
        }
        self.folder(folder)?
            .with_context(|| format!("the folder /{folder} is gone again"))
    }

    fn folder(&self, path: &str) -> Result<Option<OwnedFd>> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        match openat2(&self.0, path, how) {
            Ok(folder) => Ok(Some(folder)),
            Err(Errno::ENOENT) => Ok(None),
            Err(Errno::EXDEV) => {
                let error = anyhow!("a link on the way to /{path} leads out of the root");
                Err(fail(Exit::Refused, error))
            }
            Err(error) => {
                let error = std::io::Error::from(error);
                Err(error).with_context(|| format!("cannot open the folder /{path}"))
            }
        }
    }
}

/// A name in a folder that is held open.
pub struct Held {
    folder: OwnedFd,
    name: String,
}

impl Held {
    /// A path that leads through the held folder, whatever becomes of the folder's name.
    pub fn path(&self) -> PathBuf {
        self.folder_path().join(&self.name)
    }

    /// What is there, links not followed.
    pub fn look(&self) -> Result<Option<Metadata>> {
        match fs::symlink_metadata(self.path()) {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("cannot look at what is there"),
        }
    }

    /// The bytes of a file of at most `max` bytes; `None` if something else is there. No link is followed,
    /// and no pipe or device opened: who waits for a pipe's other end waits for ever.
    pub fn read(&self, max: u64) -> Result<Option<Vec<u8>>> {
        let fits = |meta: &Metadata| meta.is_file() && meta.len() <= max;
        if !self.look()?.is_some_and(|there| fits(&there)) {
            return Ok(None);
        }
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = File::options()
            .read(true)
            .custom_flags(flags.bits())
            .open(self.path())
            .context("cannot read what is there")?;
        let mut bytes = Vec::new();
        let all = room::read(file, &mut bytes, max).context("cannot read what is there")?;
        Ok(all.then_some(bytes))
    }

    /// Whether a file is there that holds these bytes.
    pub fn holds(&self, bytes: &[u8]) -> Result<bool> {
        let len = bytes.len() as u64;
        Ok(match self.look()? {
            Some(there) if there.len() == len => self.read(len)?.is_some_and(|old| old == bytes),
            _ => false,
        })
    }

    /// Makes the folder's entries durable.
    pub fn sync(&self) -> Result<()> {
        crate::node::files::sync_folder(&self.folder_path())
    }

    fn folder_path(&self) -> PathBuf {
        in_proc(self.folder.as_raw_fd())
    }
}

/// The last name of a path.
fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The kernel's own name of what is held open.
fn in_proc(fd: RawFd) -> PathBuf {
    format!("/proc/self/fd/{fd}").into()
}
