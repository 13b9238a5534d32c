//! gzip (RFC 1952): unpacked whole, up to a limit that the caller sets, because a bomb of a few
//! kilobytes unpacks to gigabytes.

use std::io::{self, ErrorKind};

use anyhow::{Error, Result};
use flate2::bufread::GzDecoder;

use super::invalid;
use crate::metadata::room;

/// Members of one file; each empty one costs 20 bytes and the time to set up a decoder.
const MAX_MEMBERS: usize = 1024;

/// Unpacks all members, to at most `max` bytes.
///
/// # Errors
/// [`Exit::Invalid`](crate::exit::Exit::Invalid) if it unpacks to more, is cut off or damaged, has too
/// many members, or has something else after them.
pub fn unpack(bytes: &[u8], max: u64) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    let mut rest = bytes;
    for _ in 0..MAX_MEMBERS {
        let mut member = GzDecoder::new(rest);
        let all = room::read(&mut member, &mut plain, max);
        if !all.map_err(|error| broken(bytes.len(), &error))? {
            return Err(invalid(format!(
                "gzip unpacks to more than {} KiB, which is all that is taken",
                max / 1024
            )));
        }
        rest = member.into_inner();
        if rest.is_empty() {
            return Ok(plain);
        }
    }
    Err(invalid(format!(
        "gzip has more than {MAX_MEMBERS} members; compress it as one"
    )))
}

fn broken(size: usize, error: &io::Error) -> Error {
    let why = match error.kind() {
        ErrorKind::UnexpectedEof => "they are cut off, or followed by something else".to_owned(),
        _ => error.to_string(),
    };
    invalid(format!(
        "{size} bytes of gzip cannot be unpacked: {why}; compress them again"
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::exit::{Exit, exit_of};
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    /// Packs bytes.
    pub fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn members_are_joined() {
        let both = [pack(b"one "), pack(b"two")].concat();
        assert_eq!(unpack(&both, 7).unwrap(), b"one two");
    }

    #[test]
    fn damage_is_named() {
        let whole = pack(b"some words, some words, some words");
        let cut = whole.split_last_chunk::<9>().unwrap().0.to_vec();
        let mut flipped = whole.clone();
        *flipped.iter_mut().rev().nth(5).unwrap() ^= 1;
        let cases = [
            (cut, 99, "cut off"),
            (flipped, 99, "corrupt"),
            ([&*whole, b"garbage"].concat(), 99, "cannot be unpacked"),
            (vec![0x1f, 0x8b], 99, "cut off"),
            (pack(b"").repeat(1025), 99, "1024 members"),
            (pack(&vec![0; 5 << 20]), 4 << 20, "more than 4096 KiB"),
            (whole, 33, "more than 0 KiB"),
        ];
        for (bytes, max, want) in cases {
            let error = unpack(&bytes, max).unwrap_err();
            assert_eq!(exit_of(&error), Exit::Invalid);
            assert!(error.to_string().contains(want), "{error}");
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes: Vec<u8>) {
            prop_assert_eq!(unpack(&pack(&bytes), bytes.len() as u64).unwrap(), bytes);
        }

        #[test]
        fn anything_gets_an_answer(bytes: Vec<u8>) {
            let _ = unpack(&[&[0x1f, 0x8b, 8], &*bytes].concat(), 1000);
        }
    }
}
