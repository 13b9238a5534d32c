//! Bytes that must not be printed.

use std::fmt;

/// Secret bytes: keys, tokens, kubeconfigs. There is no way to format them by accident; whoever
/// needs the bytes says so with [`Secret::expose`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes ownership of secret bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves, for a writer or a cryptographic routine.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes themselves, for whoever puts more behind them.
    pub fn expose_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
