//! Pool files: records of a key and a value, both padded with NULs (Linux tools/hv/hv_kvp_daemon.c).

use anyhow::{Result, anyhow};

use crate::metadata::settings::CREDENTIAL;

/// Bytes of a key; a value has [`VALUE`].
pub const KEY: usize = 512;
/// See [`KEY`].
pub const VALUE: usize = 2048;
/// Bytes of a record.
pub const RECORD: usize = KEY + VALUE;

/// Keys of a document, ours before Ignition's.
const NAMES: [&str; 2] = [CREDENTIAL, "ignition.config"];

/// The pairs of a pool file, without their padding. A cut record at its end is left out.
pub fn pairs(pool: &[u8]) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> {
    pool.chunks_exact(RECORD)
        .filter_map(|record| record.split_at_checked(KEY))
        .map(|(key, value)| (text(key), text(value)))
}

/// The document of a pool: the pair of its name, or those of its name with `.0`, `.1` and so on, put
/// together.
///
/// # Errors
/// If a part is missing before another.
pub fn document(pool: &[u8]) -> Result<Option<Vec<u8>>> {
    for name in NAMES {
        if let Some(whole) = value(pool, name) {
            return Ok(Some(whole.to_owned()));
        }
        let mut parts = Vec::new();
        let mut count = 0;
        while let Some(part) = value(pool, &format!("{name}.{count}")) {
            parts.extend_from_slice(part);
            count += 1;
        }
        let last = pairs(pool).filter_map(|(key, _)| number(key, name)).max();
        if last.is_some_and(|last| last >= count) {
            return Err(anyhow!(
                "the key-value pair {name}.{count} is missing, but a later part is there; set all parts"
            ));
        }
        if count > 0 {
            return Ok(Some(parts));
        }
    }
    Ok(None)
}

/// A pool without the document.
pub fn without_ours(pool: &[u8]) -> Vec<u8> {
    let ours = |record: &&[u8]| {
        let key = text(record.get(..KEY).unwrap_or_default());
        let is = |name: &str| key == name.as_bytes() || number(key, name).is_some();
        NAMES.into_iter().any(is)
    };
    let records = pool.chunks_exact(RECORD).filter(|record| !ours(record));
    records.flatten().copied().collect()
}

/// The value of a key; of equal keys the last one's, which is the newest.
fn value<'a>(pool: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    pairs(pool)
        .rfind(|(key, _)| *key == wanted.as_bytes())
        .map(|(_, value)| value)
}

/// The number of a part of `name`.
fn number(key: &[u8], name: &str) -> Option<usize> {
    let rest = key.strip_prefix(name.as_bytes())?.strip_prefix(b".")?;
    let digits = rest.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(rest)
        .ok()
        .filter(|_| digits)?
        .parse()
        .ok()
}

fn text(padded: &[u8]) -> &[u8] {
    padded.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
type Pairs<'a> = &'a [(&'a str, &'a str)];

/// A pool file of these pairs.
#[cfg(test)]
pub fn file(pairs: Pairs<'_>) -> Vec<u8> {
    let mut pool = Vec::new();
    for (key, value) in pairs {
        let start = pool.len();
        pool.extend_from_slice(key.as_bytes());
        pool.resize(start + KEY, 0);
        pool.extend_from_slice(value.as_bytes());
        pool.resize(start + RECORD, 0);
    }
    pool
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pairs: Pairs<'_>) -> Option<String> {
        let bytes = document(&file(pairs)).unwrap();
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn ours_before_ignitions_and_whole_before_parts() {
        let cases: [(Pairs<'_>, Option<&str>); 8] = [
            (&[("a", "x"), ("slipway.machine", "hello")], Some("hello")),
            (
                &[("slipway.machine.0", "he"), ("slipway.machine.1", "llo")],
                Some("hello"),
            ),
            (
                &[("ignition.config.1", "b"), ("ignition.config.0", "a")],
                Some("ab"),
            ),
            (
                &[("ignition.config", "i"), ("slipway.machine.0", "s")],
                Some("s"),
            ),
            (
                &[("slipway.machine.0", "part"), ("slipway.machine", "whole")],
                Some("whole"),
            ),
            (
                &[("slipway.machine", "old"), ("slipway.machine", "new")],
                Some("new"),
            ),
            (
                &[("slipway.machines", "x"), ("slipway.machine.x", "x")],
                None,
            ),
            (&[], None),
        ];
        for (pairs, want) in cases {
            assert_eq!(read(pairs).as_deref(), want, "{pairs:?}");
        }
        let twelve: Vec<_> = (0..12)
            .map(|n| (format!("slipway.machine.{n}"), n.to_string()))
            .collect();
        let twelve: Vec<_> = twelve
            .iter()
            .map(|(key, value)| (&**key, &**value))
            .collect();
        assert_eq!(read(&twelve).as_deref(), Some("01234567891011"));
    }

    #[test]
    fn a_missing_part_is_named() {
        for first in [&[("slipway.machine.0", "a")][..], &[]] {
            let pairs = [first, &[("slipway.machine.3", "d")]].concat();
            let text = document(&file(&pairs)).unwrap_err().to_string();
            assert!(
                text.contains(&format!("slipway.machine.{} is missing", first.len())),
                "{text}"
            );
        }
    }

    #[test]
    fn a_cut_record_does_not_count() {
        let mut pool = file(&[("slipway.machine", "hello")]);
        pool.pop();
        assert_eq!(document(&pool).unwrap(), None);
        assert_eq!(without_ours(&pool), b"");
    }

    proptest! {
        #[test]
        fn pairs_come_back(list in proptest::collection::vec(("[a-z.0-9]{1,20}", "[ -~]{0,40}"), 0..6)) {
            let list: Vec<_> = list.iter().map(|(key, value)| (&**key, &**value)).collect();
            let pool = file(&list);
            let got: Vec<_> = pairs(&pool).collect();
            let want: Vec<_> = list.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())).collect();
            prop_assert_eq!(got, want);
            prop_assert_eq!(document(&without_ours(&pool)).unwrap(), None);
        }

        #[test]
        fn never_panics(pool in proptest::collection::vec(any::<u8>(), 0..6000)) {
            let _ = document(&pool);
            let _ = without_ours(&pool);
        }
    }
}
