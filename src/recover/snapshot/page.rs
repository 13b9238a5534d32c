//! The pages of bbolt, as bytes: headers and the tables of their elements.
//!
//! The format is that of go.etcd.io/bbolt 1.3 to 1.5, internal/common/{page,bucket}.go, in the byte order of
//! the machine that wrote it; only little-endian is read. Nothing here follows a pointer.

use anyhow::{Result, bail};

/// Bytes before a page's elements.
pub const HEADER: usize = 16;
/// One element of a branch or of a leaf.
pub const ELEMENT: usize = 16;

const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const META: u16 = 0x04;
/// Set in a leaf's element whose value is a bucket.
const IS_BUCKET: u32 = 0x01;

/// What a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Where other pages are.
    Branch,
    /// Keys and values.
    Leaf,
}

/// What a page says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its own number; 0 in a page that lies inside a bucket's value.
    pub id: u64,
    /// Branch or leaf.
    pub kind: Kind,
    /// How many elements it has.
    pub count: u16,
    /// How many pages behind it belong to it.
    pub overflow: u32,
}

/// An element of a branch: a child, whose keys begin with one that is not needed to read all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The child's number.
    pub page: u64,
}

/// An element of a leaf. The key lies `position` bytes behind the element's own begin, the value behind the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Whether the value is a bucket.
    pub is_bucket: bool,
    /// In bytes from the element.
    pub position: u32,
    /// In bytes.
    pub key_len: u32,
    /// In bytes.
    pub value_len: u32,
}

/// The 16 bytes that a page begins with, of a page that is part of a tree.
pub fn header(bytes: &[u8]) -> Result<Header> {
    let (Some(id), Some(flags), Some(count), Some(overflow)) = (
        u64_at(bytes, 0),
        u16_at(bytes, 8),
        u16_at(bytes, 10),
        u32_at(bytes, 12),
    ) else {
        bail!("it has no room for a header");
    };
    let kind = match flags {
        BRANCH => Kind::Branch,
        LEAF => Kind::Leaf,
        META => bail!("it is a meta page, where a branch or a leaf must be"),
        other => bail!("it is neither branch nor leaf (its flags are {other:#06x})"),
    };
    Ok(Header {
        id,
        kind,
        count,
        overflow,
    })
}

/// The table of a branch, which follows its header.
pub fn branches(table: &[u8]) -> impl Iterator<Item = Branch> {
    let (elements, _) = table.as_chunks::<ELEMENT>();
    elements.iter().filter_map(|element| {
        let page = u64_at(element, 8)?;
        Some(Branch { page })
    })
}

/// The table of a leaf, which follows its header.
pub fn leaves(table: &[u8]) -> impl Iterator<Item = Leaf> {
    let (elements, _) = table.as_chunks::<ELEMENT>();
    elements.iter().filter_map(|element| {
        Some(Leaf {
            is_bucket: u32_at(element, 0)? & IS_BUCKET != 0,
            position: u32_at(element, 4)?,
            key_len: u32_at(element, 8)?,
            value_len: u32_at(element, 12)?,
        })
    })
}

/// A number of two bytes.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

/// A number of four bytes.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

/// A number of eight bytes.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}
