//! A machine for the tests of this room: a root of its own in a temporary folder.

pub mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::Context;
use crate::metadata::deadline::Deadline;
use crate::metadata::settings::Settings;

/// What a [`Context`] borrows from. The root is also the target.
pub struct Machine {
    dir: TempDir,
    settings: Settings,
    deadline: Deadline,
    /// As in [`Context`]; a server of the test's.
    pub link_local: String,
    /// As in [`Context`].
    pub online: bool,
}

impl Machine {
    pub fn new(cmdline: &str, limit: Duration) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            settings: Settings::parse(cmdline).unwrap(),
            deadline: Deadline::after(limit),
            link_local: "http://127.0.0.1:1".to_owned(),
            online: true,
        }
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn put(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn context(&self) -> Context<'_> {
        Context {
            root: self.root(),
            target: self.root(),
            settings: &self.settings,
            deadline: self.deadline,
            online: self.online,
            link_local: &self.link_local,
        }
    }
}
