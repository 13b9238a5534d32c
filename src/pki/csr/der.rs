//! DER, read from the front: tags and lengths, and no opinion about what is in them.
//!
//! Everything here comes from outside, so the reader takes one form only: tags of one byte, lengths in
//! their shortest form and below 64 KiB.

use anyhow::{Result, bail, ensure};

pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const OID: u8 = 0x06;
pub const UTF8_STRING: u8 = 0x0c;
pub const PRINTABLE_STRING: u8 = 0x13;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;

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
}
