//! Things that an envelope names instead of carrying: who fetches them, and when nobody may.

use std::error::Error;
use std::fmt;

use anyhow::Result;

use crate::exit::{Exit, fail};

/// Fetches what an envelope points to. A trait, because the initrd's first stage has no network and
/// `validate` must not use one.
pub trait Remote {
    /// The bytes at an https URL, at most `max` of them; `authorities` (PEM) are trusted besides the
    /// system's.
    ///
    /// # Errors
    /// [`NeedsNetwork`] if the network is not there yet; else whatever went wrong.
    fn get(
        &self,
        url: &str,
        headers: &[(String, String)],
        authorities: &[Vec<u8>],
        max: u64,
    ) -> Result<Vec<u8>>;
}

/// The delivery can only be opened with the network up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedsNetwork;

impl fmt::Display for NeedsNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it names something that only the network can give")
    }
}

impl Error for NeedsNetwork {}

/// Fetches nothing: for the stage without network, and for commands that only look.
#[derive(Clone, Copy, Debug)]
pub struct Offline;

impl Remote for Offline {
    fn get(&self, _: &str, _: &[(String, String)], _: &[Vec<u8>], _: u64) -> Result<Vec<u8>> {
        let error = anyhow::Error::new(NeedsNetwork).context("it was not fetched");
        Err(fail(Exit::NotFound, error))
    }
}
