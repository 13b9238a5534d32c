//! Bytes that must not be printed.

use std::fmt;
use std::sync::Arc;

/// Secret bytes: keys, tokens, kubeconfigs. There is no way to format them by accident; whoever
/// needs the bytes says so with [`Secret::expose`]. Clones share them: a key is in memory once, and most of
/// an asset directory is where it was read or rendered, however often it is passed on.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Arc<Vec<u8>>);

impl Secret {
    /// Takes ownership of secret bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Arc::new(bytes.into()))
    }

    /// The bytes themselves, for a writer or a cryptographic routine.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes themselves, for whoever puts more behind them.
    pub fn expose_mut(&mut self) -> &mut Vec<u8> {
        Arc::make_mut(&mut self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
