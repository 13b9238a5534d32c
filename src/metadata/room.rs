//! Room for bytes whose number nobody says beforehand, but which may only be so many.
//!
//! A `Vec` that runs out of room takes twice as much: the byte after 16 MiB makes it 32, and both are
//! there while it is copied. Here the last step ends at the limit.

use std::io::{ErrorKind, Read, Result};

/// What is taken first.
const FIRST: usize = 64 * 1024;

/// Reads behind what is in `bytes` until they are `max`. Returns whether that was all there is.
///
/// # Errors
/// What `from` says.
pub fn read(mut from: impl Read, bytes: &mut Vec<u8>, max: u64) -> Result<bool> {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    while bytes.len() < max {
        let room = bytes.capacity().min(max) - bytes.len();
        if room == 0 {
            grow(bytes, 1, max);
        } else if (&mut from).take(room as u64).read_to_end(bytes)? < room {
            return Ok(true);
        }
    }
    ends(from)
}

/// Puts `more` behind `bytes`, of which there should be at most `max` in the end.
pub fn append(bytes: &mut Vec<u8>, more: &[u8], max: u64) {
    if bytes.capacity() - bytes.len() < more.len() {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        grow(bytes, more.len(), max);
    }
    bytes.extend_from_slice(more);
}

/// Makes room for at least `more` bytes; for twice as many as before, unless that is beyond `max`.
fn grow(bytes: &mut Vec<u8>, more: usize, max: usize) {
    let double = bytes.capacity().saturating_mul(2).max(FIRST).min(max);
    bytes.reserve_exact(double.saturating_sub(bytes.len()).max(more));
}

/// Whether nothing is left to read; some readers verify what they gave only when they are asked.
fn ends(mut from: impl Read) -> Result<bool> {
    loop {
        match from.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read.map(|bytes| bytes == 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_ends_at_the_limit() {
        let sizes = [0, 1, FIRST - 1, FIRST, FIRST + 1, 5 * FIRST];
        for (size, max) in sizes.iter().flat_map(|size| sizes.map(|max| (*size, max))) {
            let from = vec![7; size];
            let mut bytes = Vec::new();
            let all = read(&*from, &mut bytes, max as u64).unwrap();
            assert_eq!((all, bytes.len()), (size <= max, size.min(max)));
            assert!(bytes.capacity() <= max, "{size} of {max}");
            append(&mut bytes, &from, 1 + 2 * max as u64);
            assert!(
                bytes.capacity() <= 1 + size.max(max) + size,
                "{size}, {max}"
            );
        }
    }

    #[test]
    fn what_is_there_counts_and_stays() {
        let mut bytes = b"one ".to_vec();
        assert!(read(&b"two"[..], &mut bytes, 7).unwrap());
        assert!(!read(&b"three"[..], &mut bytes, 9).unwrap());
        append(&mut bytes, b"!", 1);
        assert_eq!(bytes, b"one twoth!");
    }
}
