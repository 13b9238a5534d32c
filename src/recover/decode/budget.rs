//! How much memory an object's tree may take.
//!
//! A few bytes of input can be a whole map in memory: `{"a":0},` repeated is a hundredfold. What is stored by an API
//! server stays far below the limit; what is not is refused before the memory is taken.

use anyhow::{Result, ensure};

/// Bytes of memory that one object's tree takes at most, by the estimates below.
const MOST: usize = 40 * 1024 * 1024;
/// A map with an entry: the node of a B-tree has room for eleven.
const MAP: usize = 640;
/// A value beside others: maps that grow in order leave their nodes half empty.
const VALUE: usize = 112;

/// What is left.
#[derive(Debug)]
pub struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Budget {
    /// Before a map is made.
    pub fn take_map(&mut self) -> Result<()> {
        self.take(MAP)
    }

    /// Before a value is made that is no map.
    pub fn take_value(&mut self) -> Result<()> {
        self.take(VALUE)
    }

    /// Before a JSON text is parsed: as many values as there can be in it.
    pub fn take_json(&mut self, text: &[u8]) -> Result<()> {
        let (mut quoted, mut escaped) = (false, false);
        for byte in text {
            match (quoted, byte) {
                (true, b'\\') => escaped = !escaped,
                (true, b'"') if !escaped => quoted = false,
                (true, _) => escaped = false,
                (false, b'"') => quoted = true,
                (false, b'{') => self.take_map()?,
                (false, b'[' | b',') => self.take_value()?,
                (false, _) => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<()> {
        ensure!(
            bytes <= self.0,
            "it would take more than {} MiB of memory, which no object of Kubernetes does",
            MOST >> 20
        );
        self.0 -= bytes;
        Ok(())
    }
}
