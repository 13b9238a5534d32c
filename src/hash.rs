//! Hashes as people and records write them.

use ring::digest::{SHA256, digest};

/// SHA-256, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// Two small digits a byte.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
    let digits: Vec<u8> = (bytes.iter())
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect();
    String::from_utf8_lossy(&digits).into_owned()
}
