//! The programs at hand, each with what tells its content.

use crate::cache;
use anyhow::{Context, Result};
use ring::digest::{self, SHA256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Programs by file name.
#[derive(Debug, Default)]
pub struct Programs(BTreeMap<String, (PathBuf, String)>);

impl Programs {
    /// Adds a file of the cache; its place there tells its content.
    pub fn add_cached(&mut self, path: PathBuf) -> Result<()> {
        let name = path
            .file_name()
            .context("a program has a name")?
            .to_string_lossy()
            .into_owned();
        let identity = cache::identity(&path)?;
        self.0.insert(name, (path, identity));
        Ok(())
    }

    /// Adds a file from elsewhere; its content is hashed.
    pub fn add_file(&mut self, name: &str, path: PathBuf) -> Result<()> {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let identity = cache::hex(digest::digest(&SHA256, &bytes).as_ref());
        self.0.insert(name.to_owned(), (path, identity));
        Ok(())
    }

    /// A program's path and identity.
    pub fn find(&self, name: &str) -> Result<(&Path, &str)> {
        let found = self
            .0
            .get(name)
            .with_context(|| format!("the payload has no {name}"))?;
        Ok((&found.0, &found.1))
    }
}
