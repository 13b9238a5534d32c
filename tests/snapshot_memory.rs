//! Hostile snapshots: each is answered with one line, within a bounded heap.

#![allow(clippy::unwrap_used)]

mod heap;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use slipway::recover::snapshot::Snapshot;

/// What any snapshot may take at its peak, beside the objects that are kept.
const MAX_HEAP: usize = 64 * 1024 * 1024;
const PAGE: usize = 4096;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const GIB: u64 = 1024 * 1024 * 1024;

/// A database as bbolt writes one, page by page, with whatever lies it is told.
struct Made {
    bytes: Vec<u8>,
    /// What the meta page says; the file may have less.
    pages: u64,
}

impl Made {
    /// The buckets `key` at page 3 and `meta` at page 4, which is empty.
    fn new(pages: u64) -> Made {
        let mut made = Made {
            bytes: vec![0; 2 * PAGE],
            pages,
        };
        let bucket = |root: u64| [root.to_le_bytes(), [0; 8]].concat();
        let (key, meta) = (bucket(3), bucket(4));
        made.put(2, &leaf(2, 0, &[(1, b"key", &key), (1, b"meta", &meta)]));
        made.put(4, &leaf(4, 0, &[]));
        made
    }

    /// Where a page is, and what it holds.
    fn put(&mut self, page: usize, bytes: &[u8]) {
        let end = self.bytes.len().max(page * PAGE + bytes.len());
        self.bytes.resize(end.next_multiple_of(PAGE), 0);
        self.bytes[page * PAGE..][..bytes.len()].copy_from_slice(bytes);
    }

    fn with(mut self, page: usize, bytes: impl AsRef<[u8]>) -> Made {
        self.put(page, bytes.as_ref());
        self
    }

    /// As a file of `size` bytes, of which the rest is a hole.
    fn file(self, size: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        file.write_all_at(&self.finish(), 0).unwrap();
        file
    }

    fn finish(mut self) -> Vec<u8> {
        for page in 0..2 {
            let meta = meta(2, PAGE as u32, self.pages, page as u64);
            self.bytes[page * PAGE..][..meta.len()].copy_from_slice(&meta);
        }
        self.bytes
    }
}

fn meta(version: u32, page_size: u32, pages: u64, transaction: u64) -> Vec<u8> {
    let numbers = [0xED0C_DAED, version, page_size, 0]
        .map(u32::to_le_bytes)
        .concat();
    let more = [2, 0, u64::MAX, pages, transaction]
        .map(u64::to_le_bytes)
        .concat();
    let body = [numbers, more].concat();
    let sum = body.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    [
        header(transaction, 4, 0, 0),
        body,
        sum.to_le_bytes().to_vec(),
    ]
    .concat()
}

fn header(id: u64, flags: u16, count: u16, overflow: u32) -> Vec<u8> {
    let mut bytes = id.to_le_bytes().to_vec();
    bytes.extend(flags.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(overflow.to_le_bytes());
    bytes
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn leaf(id: u64, overflow: u32, entries: &[(u32, &[u8], &[u8])]) -> Vec<u8> {
    let mut table = header(id, LEAF, entries.len() as u16, overflow);
    let mut data = Vec::new();
    for (number, (flags, key, value)) in entries.iter().enumerate() {
        let position = (entries.len() - number) * 16 + data.len();
        table.extend(numbers(&[
            *flags,
            position as u32,
            key.len() as u32,
            value.len() as u32,
        ]));
        data.extend([*key, *value].concat());
    }
    [table, data].concat()
}

fn branch(id: u64, children: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let children: Vec<_> = children.into_iter().collect();
    let mut table = header(id, BRANCH, children.len() as u16, 0);
    for child in children {
        table.extend(numbers(&[16, 0]));
        table.extend(child.to_le_bytes());
    }
    let overflow = (table.len() / PAGE) as u32;
    table[12..16].copy_from_slice(&overflow.to_le_bytes());
    table
}

fn revision(main: u64) -> Vec<u8> {
    [&main.to_be_bytes()[..], b"_", &[0; 8]].concat()
}

/// A KeyValue with this key, this revision, and a value of which only the length is there.
fn record(key: &str, main: u8, value: usize) -> Vec<u8> {
    let mut bytes = vec![0x0A, key.len() as u8];
    bytes.extend(key.as_bytes());
    bytes.extend([0x18, main, 0x2A]);
    prost::encode_length_delimiter(value, &mut bytes).unwrap();
    bytes
}

/// A leaf with one element whose value is said to have `len` bytes.
fn one(overflow: u32, len: u32, begin: &[u8]) -> Vec<u8> {
    let mut page = leaf(3, overflow, &[(0, &revision(1), begin)]);
    page[28..32].copy_from_slice(&len.to_le_bytes());
    page
}

/// A leaf whose second element lies in the value of the first.
fn overlapping() -> Vec<u8> {
    let (first, second) = (revision(1), revision(2));
    let value = [&record("k", 1, second.len())[..], &second].concat();
    let mut page = leaf(3, 0, &[(0, &first, &value), (0, &second, b"")]);
    let position = u32::from(page[36]) - second.len() as u32;
    page[36..40].copy_from_slice(&position.to_le_bytes());
    page
}

/// Pages that lie, and what is said of them.
fn lies() -> Vec<(&'static str, Made)> {
    let key = revision(1);
    let entry = |flags, value| leaf(3, 0, &[(flags, key.as_slice(), value)]);
    let patched = |at: usize, number: u32| {
        let mut page = entry(0, b"\x0a\x01k");
        page[at..at + 4].copy_from_slice(&number.to_le_bytes());
        page
    };
    let counted = [header(3, LEAF, u16::MAX, 0), vec![1; 100]].concat();
    let many = |count: u64| (3..3 + count).map(|_| 5).collect::<Vec<_>>();
    let pages = |pages: Vec<u8>| Made::new(64).with(3, pages).with(63, vec![0]);
    let chain = (5..60).fold(pages(branch(3, [5])), |made, page| {
        made.with(page as usize, branch(page, [page + 1]))
    });
    vec![
        ("the tree is too deep", pages(branch(3, [3]))),
        (
            "the tree is too deep",
            pages(branch(3, [5])).with(5, branch(5, [3])),
        ),
        ("the tree is too deep", chain),
        (
            "pages are used twice",
            pages(branch(3, many(240))).with(5, leaf(5, 0, &[])),
        ),
        (
            "does not follow",
            pages(branch(3, [5, 5])).with(5, leaf(5, 0, &[(0, &key, b"")])),
        ),
        ("a branch without children", pages(branch(3, []))),
        ("it is a meta page", pages(branch(3, [1]))),
        ("beyond the last of 64 pages", pages(branch(3, [64]))),
        ("beyond the last of 64 pages", pages(branch(3, [u64::MAX]))),
        ("beyond the last of 64 pages", pages(leaf(3, 61, &[]))),
        ("beyond the last of 64 pages", pages(leaf(3, u32::MAX, &[]))),
        ("it says that it is page 9", pages(leaf(9, 0, &[]))),
        ("neither branch nor leaf", pages(vec![0; 16])),
        ("have no room in it", pages(counted)),
        ("is not where it may be", pages(patched(20, u32::MAX))),
        ("is not where it may be", pages(patched(20, 3))),
        ("is not where it may be", pages(patched(28, 4097))),
        ("is not where it may be", pages(overlapping())),
        ("its key has 0 bytes", pages(patched(24, 0))),
        ("it is no revision", pages(patched(24, 16))),
        ("a bucket in a bucket", pages(entry(1, &[0; 16]))),
        ("does not begin with a key", pages(entry(0, b"\x12\x01k"))),
        ("longer than its record", pages(entry(0, b"\x0a\x7fk"))),
        (
            "longer than its record",
            pages(entry(0, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")),
        ),
        (
            "its key has no length",
            pages(entry(
                0,
                &[0x0A, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255],
            )),
        ),
    ]
}

/// Of a large file, most of which is a hole; what is said, or how many keys there are.
fn large() -> Vec<(&'static str, File)> {
    let pages = 2 * GIB / PAGE as u64;
    let overflow = pages as u32 - 4;
    let made = |page| Made::new(pages).with(3, page).file(2 * GIB);
    let huge = u32::MAX / 2 - 5 * PAGE as u32;
    let zeros = tempfile::tempfile().unwrap();
    zeros.set_len(2 * GIB).unwrap();
    vec![
        ("it begins with zeros", zeros),
        (
            "more than is read",
            made(one(overflow, huge, &record("k", 1, huge as usize))),
        ),
        (
            "its key has",
            made(one(overflow, huge, b"\x0a\x80\x80\x80\x80\x07")),
        ),
        (
            "longer than its record",
            made(one(overflow, huge, b"\x0a\x80\x80\x80\x80\x7f")),
        ),
        (
            "is not where it may be",
            made(header(3, LEAF, u16::MAX, overflow)),
        ),
        ("neither branch nor leaf", made(branch(3, 4..60_000))),
        ("it is cut off", Made::new(pages).file(GIB)),
        (
            "it is cut off",
            Made::new(u64::MAX / PAGE as u64).file(2 * GIB),
        ),
        (
            "more pages than a file can have",
            Made::new(u64::MAX).file(2 * GIB),
        ),
    ]
}

/// More keys than are counted: of each its name has four bytes.
fn crowd() -> File {
    const LEAVES: u32 = 30;
    const EACH: u32 = u16::MAX as u32;
    let span = 1 + EACH * 40 / PAGE as u32;
    let at = |number: u32| 5 + u64::from(number * span);
    let mut made = Made::new(at(LEAVES)).with(3, branch(3, (0..LEAVES).map(at)));
    made.bytes.reserve(at(LEAVES) as usize * PAGE);
    for number in 0..LEAVES {
        let mut page = header(at(number), LEAF, u16::MAX, span - 1);
        for n in 0..EACH {
            // Every key has 17 bytes, every value 6.
            let position = (EACH - n) * 16 + n * 23;
            for number in [0, position, 17, 6] {
                page.extend_from_slice(&number.to_le_bytes());
            }
        }
        for n in number * EACH..(number + 1) * EACH {
            page.extend_from_slice(&u64::from(n).to_be_bytes());
            page.extend_from_slice(b"_\0\0\0\0\0\0\0\0\x0a\x04");
            page.extend_from_slice(&n.to_be_bytes());
        }
        made.put(at(number) as usize, &page);
    }
    made.file(at(LEAVES) * PAGE as u64)
}

#[test]
fn hostile_snapshots_are_answered_within_bounds() {
    for (expected, made) in lies() {
        let bytes = made.finish();
        refused(expected, || Snapshot::of(bytes));
    }
    for (version, expected) in [(1, "use another snapshot"), (3, "use a newer slipway")] {
        let bytes = meta(version, PAGE as u32, 5, 1);
        refused(expected, || Snapshot::of(bytes));
    }
    for page_size in [0, 512, 4095, 1 << 25, u32::MAX] {
        let bytes = meta(2, page_size, 5, 1);
        refused("which bbolt never writes", || Snapshot::of(bytes));
    }
    let empty = Made::new(3).with(2, leaf(2, 0, &[])).finish();
    refused("no etcd has ever used it", || Snapshot::of(empty));
    for (expected, file) in large() {
        refused(expected, || open(&file));
    }
    let len = 15 * 1024 * 1024;
    let begin = record("k", 1, len);
    let page = one(
        len as u32 / PAGE as u32 + 1,
        (begin.len() + len) as u32,
        &begin,
    );
    let file = Made::new(PAGE as u64)
        .with(3, page)
        .file((PAGE * PAGE) as u64);
    let (found, peak) = heap::peak(|| open(&file).unwrap().read(&mut |_| true).unwrap());
    assert_eq!(found[0].value.expose().len(), len);
    assert!(peak < MAX_HEAP, "took {} KiB", peak / 1024);
    let file = crowd();
    let (facts, peak) = heap::peak(|| open(&file).unwrap().facts().unwrap());
    assert_eq!((facts.revision, facts.keys), (30 * 65_535 - 1, None));
    assert!(peak < MAX_HEAP, "took {} KiB", peak / 1024);
}

/// Through the path under which the kernel keeps an open file.
fn open(file: &File) -> anyhow::Result<Snapshot> {
    Snapshot::open(format!("/proc/self/fd/{}", file.as_raw_fd()).as_ref())
}

/// Opening or reading all of it ends with this.
fn refused(expected: &str, open: impl FnOnce() -> anyhow::Result<Snapshot>) {
    let read = || open().and_then(|snapshot| snapshot.read(&mut |_| true));
    let (read, peak) = heap::peak(read);
    let error = format!("{:#}", read.map(|_| ()).unwrap_err());
    assert!(error.contains(expected), "{expected:?} is not in {error:?}");
    assert!(!error.contains('\n'), "{error}");
    assert!(peak < MAX_HEAP, "{error}: took {} KiB", peak / 1024);
}
