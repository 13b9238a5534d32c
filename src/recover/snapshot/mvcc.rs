//! What etcd keeps in its bucket `key`: every change of every key, by revision.
//!
//! The key is the revision, the value a KeyValue with the key that people know; formats of
//! go.etcd.io/etcd/server 3.5 to 3.7, storage/mvcc/revision.go, and api/mvccpb/kv.proto. `etcdutl snapshot
//! restore --bump-revision` adds a revision without any KeyValue.

use anyhow::{Context, Result, bail, ensure};
use prost::Message;

use super::source::Window;
use super::tree::Span;

/// The largest key or value that is read; etcd takes 1.5 MiB unless it is told otherwise.
const MAX_OBJECT: u32 = 16 * 1024 * 1024;
/// How much of a value is looked at for its key: all of most keys.
const PEEK: u32 = 512;
/// The first field, bytes: the key. etcd writes the fields in order and never an empty key.
const KEY_FIELD: u8 = 0x0A;
/// The longest number that protobuf writes.
const MAX_VARINT: usize = 10;

/// One change of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    /// That of the transaction.
    pub main: i64,
    /// The change's number in it.
    pub sub: i64,
    /// The key is gone from here on.
    pub is_tombstone: bool,
}

/// mvccpb.KeyValue.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(int64, tag = "2")]
    pub create_revision: i64,
    #[prost(int64, tag = "3")]
    pub mod_revision: i64,
    #[prost(int64, tag = "4")]
    pub version: i64,
    #[prost(bytes = "vec", tag = "5")]
    pub value: Vec<u8>,
    #[prost(int64, tag = "6")]
    pub lease: i64,
}

/// The revision that a record's key is: main, `_`, sub, and `t` for a tombstone.
pub fn revision(key: &[u8]) -> Result<Revision> {
    let (main, rest) = number(key).context("it is no revision")?;
    let rest = rest.strip_prefix(b"_").context("it is no revision")?;
    let (sub, mark) = number(rest).context("it is no revision")?;
    let is_tombstone = match mark {
        b"" => false,
        b"t" => true,
        _ => bail!("it is no revision"),
    };
    ensure!(main >= 0 && sub >= 0, "its revision is negative");
    Ok(Revision {
        main,
        sub,
        is_tombstone,
    })
}

fn number(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((i64::from_be_bytes(*number), rest))
}

/// The key of the KeyValue at `value`, of which no more is read than that; nothing for an empty record.
pub fn name<'w>(window: &'w mut Window, value: Span) -> Result<Option<&'w [u8]>> {
    if value.len == 0 {
        return Ok(None);
    }
    let peeked = window.get(value.start, value.len.min(PEEK) as usize)?;
    let (start, len) = key_field(peeked)?;
    let room = (value.len as usize).saturating_sub(start);
    ensure!(len <= room, "its key is longer than its record");
    ensure!(len <= MAX_OBJECT as usize, "its key has {len} bytes");
    window.get(value.start + start as u64, len).map(Some)
}

/// Where the key begins in a KeyValue, and its length.
fn key_field(bytes: &[u8]) -> Result<(usize, usize)> {
    let rest = match bytes.split_first() {
        Some((&KEY_FIELD, rest)) => rest,
        _ => bail!("its record does not begin with a key"),
    };
    let number = rest.get(..MAX_VARINT).unwrap_or(rest);
    let mut unread = number;
    let len = prost::decode_length_delimiter(&mut unread).context("its key has no length")?;
    ensure!(len > 0, "its key is empty");
    Ok((1 + number.len() - unread.len(), len))
}

/// The KeyValue at `value`.
pub fn key_value(window: &mut Window, value: Span) -> Result<KeyValue> {
    let len = value.len;
    ensure!(
        len <= MAX_OBJECT,
        "its record has {len} bytes, more than is read"
    );
    let bytes = window.get(value.start, len as usize)?;
    KeyValue::decode(bytes).context("its record is no KeyValue")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_told_from_anything_else() {
        let key = |main: i64, sub: i64, mark: &[u8]| {
            [&main.to_be_bytes()[..], b"_", &sub.to_be_bytes(), mark].concat()
        };
        let read = revision(&key(7, 2, b"")).unwrap();
        assert_eq!((read.main, read.sub, read.is_tombstone), (7, 2, false));
        assert!(revision(&key(7, 2, b"t")).unwrap().is_tombstone);
        for bad in [
            key(-1, 0, b""),
            key(1, 0, b"x"),
            key(1, 0, b"tt"),
            vec![0; 17],
            vec![],
        ] {
            assert!(revision(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_key_is_found_without_the_value() {
        let record = KeyValue {
            key: vec![b'k'; 1000],
            value: vec![b'v'; 100_000],
            ..KeyValue::default()
        };
        let bytes = record.encode_to_vec();
        let whole = Span {
            start: 0,
            len: bytes.len() as u32,
        };
        let read = |bytes: &Vec<u8>, span| {
            let mut window = Window::new(bytes);
            name(&mut window, span).map(|name| name.map(<[u8]>::to_vec))
        };
        assert_eq!(read(&bytes, whole).unwrap(), Some(record.key));
        assert_eq!(read(&bytes, Span { start: 0, len: 0 }).unwrap(), None);
        assert!(read(&bytes, Span { start: 0, len: 900 }).is_err());
        for bad in [
            b"\x12\x01k".to_vec(),
            b"\x0a".to_vec(),
            b"\x0a\x00".to_vec(),
            vec![0x0A, 30, 1],
        ] {
            let span = Span {
                start: 0,
                len: bad.len() as u32,
            };
            assert!(read(&bad, span).is_err(), "{bad:?}");
        }
    }
}
