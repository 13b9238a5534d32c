//! DER, read from the front and written: tags and lengths, and no opinion about what is in them.
//!
//! What is read comes from outside, so the reader takes one form only: tags of one byte, lengths in
//! their shortest form and below 64 KiB. It hands out parts of what it was given and copies nothing.

use anyhow::{Result, bail, ensure};

pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const OID: u8 = 0x06;
pub const UTF8_STRING: u8 = 0x0c;
pub const PRINTABLE_STRING: u8 = 0x13;
pub const IA5_STRING: u8 = 0x16;
pub const UTC_TIME: u8 = 0x17;
pub const GENERALIZED_TIME: u8 = 0x18;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;

/// The tag of a value whose place says what it means: `[number]`, with more inside.
pub const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// What is still to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Der<'a>(pub &'a [u8]);

impl<'a> Der<'a> {
    /// The next value: its tag and its content.
    pub fn next(&mut self) -> Result<(u8, Der<'a>)> {
        let (tag, rest) = self.byte()?;
        ensure!(tag & 0x1f != 0x1f, "a tag of more than one byte");
        let (first, mut rest) = Der(rest).byte()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            0x81 | 0x82 => {
                let mut length = 0;
                for _ in 0x80..first {
                    let (byte, after) = Der(rest).byte()?;
                    (length, rest) = (length << 8 | usize::from(byte), after);
                }
                let least = if first == 0x81 { 0x80 } else { 0x100 };
                ensure!(length >= least, "a length that is not in its shortest form");
                length
            }
            _ => bail!("a length that no request has"),
        };
        match rest.split_at_checked(length) {
            Some((content, rest)) => {
                self.0 = rest;
                Ok((tag, Der(content)))
            }
            None => bail!("it breaks off"),
        }
    }

    /// The content of the next value, which must have this tag.
    pub fn take(&mut self, tag: u8) -> Result<Der<'a>> {
        match self.next()? {
            (found, content) if found == tag => Ok(content),
            (found, _) => bail!("tag {found:#04x} where {tag:#04x} belongs"),
        }
    }

    /// The next value with its tag and length.
    pub fn whole(&mut self) -> Result<&'a [u8]> {
        let before = self.0;
        self.next()?;
        Ok(&before[..before.len() - self.0.len()])
    }

    /// The content of the next value, if it has this tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Der<'a>>> {
        match self.0.first() {
            Some(first) if *first == tag => self.take(tag).map(Some),
            _ => Ok(None),
        }
    }

    /// The next value if it is a boolean; `false`, which is never written, if not.
    pub fn flag(&mut self) -> Result<bool> {
        match self.optional(BOOLEAN)? {
            None => Ok(false),
            Some(Der([0xff])) => Ok(true),
            Some(_) => bail!("a boolean that is none, or a default"),
        }
    }

    /// The bytes of the next bit string, which must be whole ones.
    pub fn bits(&mut self) -> Result<&'a [u8]> {
        match self.take(BIT_STRING)? {
            Der([0, bits @ ..]) => Ok(bits),
            _ => bail!("a bit string that ends within a byte"),
        }
    }

    /// Insists that nothing is left.
    pub fn end(self) -> Result<()> {
        ensure!(self.is_empty(), "something stands behind its end");
        Ok(())
    }

    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    fn byte(self) -> Result<(u8, &'a [u8])> {
        match self.0.split_first() {
            Some((byte, rest)) => Ok((*byte, rest)),
            None => bail!("it breaks off"),
        }
    }
}

/// A value of these parts.
pub fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    let bytes = (length as u32).to_be_bytes();
    let used = &bytes[(length as u32).leading_zeros() as usize / 8..];
    match length {
        0..0x80 => out.push(length as u8),
        _ => {
            out.push(0x80 | used.len() as u8);
            out.extend(used);
        }
    }
    parts.iter().for_each(|part| out.extend(*part));
    out
}

/// The numbers of an object identifier.
pub fn arcs(oid: &[u8]) -> Result<Vec<u64>> {
    let mut arcs = Vec::new();
    let mut value: u64 = 0;
    for byte in oid {
        if value > u64::MAX >> 8 {
            bail!("an object identifier is too large");
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if arcs.is_empty() {
                let first = (value / 40).min(2);
                arcs.push(first);
                value -= first * 40;
            }
            arcs.push(value);
            value = 0;
        }
    }
    match oid.last() {
        Some(last) if last & 0x80 == 0 => Ok(arcs),
        _ => bail!("an object identifier ends too early"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_of_a_length_and_no_other() {
        let long = |head: &[u8], length: usize| [head, &vec![7; length]].concat();
        let good = [
            (long(&[4, 0], 0), 0),
            (long(&[4, 0x7f], 0x7f), 0x7f),
            (long(&[4, 0x81, 0x80], 0x80), 0x80),
            (long(&[4, 0x82, 1, 0], 0x100), 0x100),
        ];
        for (bytes, length) in good {
            let mut der = Der(&bytes);
            assert_eq!(der.take(OCTET_STRING).unwrap().0.len(), length);
            der.end().unwrap();
        }
        let bad = [
            (vec![], "breaks off"),
            (vec![4], "breaks off"),
            (vec![4, 1], "breaks off"),
            (vec![4, 0x82, 1], "breaks off"),
            (long(&[4, 0x82, 1, 1], 0x100), "breaks off"),
            (long(&[4, 0x81, 0x7f], 0x7f), "shortest form"),
            (long(&[4, 0x82, 0, 0xff], 0xff), "shortest form"),
            (long(&[4, 0x80], 4), "no request has"),
            (long(&[4, 0x83, 1, 0, 0], 0x10000), "no request has"),
            (
                vec![4, 0x88, 255, 255, 255, 255, 255, 255, 255, 255],
                "no request has",
            ),
            (vec![0x1f, 0x81, 1, 0], "tag of more"),
            (vec![5, 0], "tag 0x05 where 0x04 belongs"),
        ];
        for (bytes, why) in bad {
            let error = Der(&bytes).take(OCTET_STRING).unwrap_err().to_string();
            assert!(error.contains(why), "{bytes:02x?}: {error}");
        }
        assert!(Der(&[0]).end().is_err());
    }

    #[test]
    fn what_is_written_reads_back() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff] {
            let content = vec![7; length];
            let bytes = value(
                OCTET_STRING,
                &[&content[..length / 2], &content[length / 2..]],
            );
            assert_eq!(Der(&bytes).whole().unwrap(), bytes, "{length}");
            assert_eq!(
                Der(&bytes).take(OCTET_STRING).unwrap().0,
                content,
                "{length}"
            );
        }
    }

    #[test]
    fn booleans_and_bits_have_one_form_too() {
        assert!(Der(&[1, 1, 0xff]).flag().unwrap() && !Der(&[4, 0]).flag().unwrap());
        assert!(Der(&[1, 1, 0]).flag().is_err() && Der(&[1, 1, 1]).flag().is_err());
        assert_eq!(Der(&[3, 2, 0, 0x80]).bits().unwrap(), [0x80]);
        assert!(Der(&[3, 2, 1, 0x80]).bits().is_err() && Der(&[3, 0]).bits().is_err());
    }
    #[test]
    fn object_identifiers_are_numbers() {
        let table: [(&[u8], &[u64]); 3] = [
            (&[0x55, 4, 3], &[2, 5, 4, 3]),
            (
                &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1],
                &[1, 2, 840, 10045, 2, 1],
            ),
            (
                &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25],
                &[0, 9, 2342, 19_200_300, 100, 1, 25],
            ),
        ];
        for (bytes, numbers) in table {
            assert_eq!(arcs(bytes).unwrap(), numbers);
        }
        assert!(arcs(&[]).is_err() && arcs(&[0x55, 0x84]).is_err());
        assert!(arcs(&[0xff; 12]).is_err());
    }
}
