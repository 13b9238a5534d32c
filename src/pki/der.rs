//! Reading and writing DER (X.690), as much of it as keys and certificates need.
//!
//! Strict: whatever could be written in two ways is refused in all but the shortest. The reader
//! hands out parts of what it was given and copies nothing. A crate for this is linked already, but
//! its reading half, which nothing else here uses, is ten times as large.

use anyhow::{Context, Result, bail};

pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const OID: u8 = 0x06;
pub const UTF8: u8 = 0x0c;
pub const PRINTABLE: u8 = 0x13;
pub const IA5: u8 = 0x16;
pub const UTC_TIME: u8 = 0x17;
pub const GENERALIZED_TIME: u8 = 0x18;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;
const BOOLEAN: u8 = 0x01;

/// The tag of a constructed element that means what its place says: `[number]`.
pub const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// What is left to read.
#[derive(Clone, Copy)]
pub struct Der<'a>(pub &'a [u8]);

/// An element.
#[derive(Clone, Copy)]
pub struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    /// Tag, length and content.
    pub whole: &'a [u8],
}

impl<'a> Der<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element.
    pub fn any(&mut self) -> Result<Element<'a>> {
        let bytes = self.0;
        let (&[tag, first], rest) = bytes.split_first_chunk().context("it ends too early")?;
        if tag & 0x1f == 0x1f {
            bail!("it has a tag of more than a byte");
        }
        let (length, rest) = length(first, rest)?;
        let (content, left) = rest.split_at_checked(length).context("it ends too early")?;
        self.0 = left;
        Ok(Element {
            tag,
            content,
            whole: &bytes[..bytes.len() - left.len()],
        })
    }

    /// The next element's content; it must have this tag.
    pub fn take(&mut self, tag: u8) -> Result<&'a [u8]> {
        let element = self.any()?;
        if element.tag != tag {
            bail!("tag {tag:#04x} was expected, not {:#04x}", element.tag);
        }
        Ok(element.content)
    }

    /// The next element's content, if it has this tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>> {
        match self.0.first() {
            Some(first) if *first == tag => self.take(tag).map(Some),
            _ => Ok(None),
        }
    }

    /// The next sequence, to be read.
    pub fn sequence(&mut self) -> Result<Der<'a>> {
        self.take(SEQUENCE).map(Der)
    }

    /// The next element; a boolean if it is one, `false` (the usual default) if not.
    pub fn flag(&mut self) -> Result<bool> {
        match self.optional(BOOLEAN)? {
            None => Ok(false),
            Some([0xff]) => Ok(true),
            Some(_) => bail!("it states a default or a wrong boolean"),
        }
    }

    /// The bytes of the next bit string, which must be whole ones.
    pub fn bits(&mut self) -> Result<&'a [u8]> {
        match self.take(BIT_STRING)? {
            [0, bits @ ..] => Ok(bits),
            _ => bail!("a bit string ends within a byte"),
        }
    }

    /// Nothing may follow.
    pub fn end(self) -> Result<()> {
        match self.is_empty() {
            true => Ok(()),
            false => bail!("something follows where it should end"),
        }
    }
}

fn length(first: u8, rest: &[u8]) -> Result<(usize, &[u8])> {
    if first < 0x80 {
        return Ok((first.into(), rest));
    }
    let count = usize::from(first & 0x7f);
    // Three bytes are 16 MiB: no key or certificate is larger.
    if count == 0 || count > 3 {
        bail!("it has a length of {count} bytes");
    }
    let (bytes, rest) = rest.split_at_checked(count).context("it ends too early")?;
    let length = bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    if length < 0x80 || bytes[0] == 0 {
        bail!("a length is written longer than it need be");
    }
    Ok((length, rest))
}

/// An element of these parts.
pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
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
    fn what_is_written_reads_back() {
        for length in [0, 1, 127, 128, 255, 256, 65535, 65536] {
            let content = vec![7; length];
            let bytes = element(
                OCTET_STRING,
                &[&content[..length / 2], &content[length / 2..]],
            );
            let mut reader = Der(&bytes);
            assert_eq!(reader.any().unwrap().whole, bytes, "{length}");
            reader.end().unwrap();
            assert_eq!(Der(&bytes).take(OCTET_STRING).unwrap(), content, "{length}");
            assert!(Der(&bytes[..bytes.len() - 1]).any().is_err(), "{length}");
        }
    }

    #[test]
    fn what_is_not_strict_is_refused() {
        let table: [(&[u8], &str); 8] = [
            (&[], "too early"),
            (&[0x30], "too early"),
            (&[0x30, 0x80, 0, 0], "a length of 0 bytes"),
            (&[0x30, 0x84, 0, 0, 0, 1, 0], "a length of 4 bytes"),
            (&[0x30, 0x81, 0x01, 0], "longer than it need be"),
            (&[0x30, 0x82, 0x00, 0x81], "longer than it need be"),
            (&[0x30, 0x82, 0x01], "too early"),
            (&[0x1f, 0x81, 0x01, 0], "more than a byte"),
        ];
        for (bytes, why) in table {
            let Err(error) = Der(bytes).any() else {
                panic!("{bytes:?} was read");
            };
            assert!(error.to_string().contains(why), "{bytes:?}: {error}");
        }
        assert!(Der(&[1, 1, 0]).flag().is_err());
        assert!(Der(&[1, 1, 1]).flag().is_err());
        assert!(Der(&[1, 1, 0xff]).flag().unwrap());
        assert!(Der(&[3, 2, 1, 0x80]).bits().is_err());
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
