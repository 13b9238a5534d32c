//! Walking the trees of bbolt: every key of a bucket in order, and where its value is.
//!
//! Values are not read: an entry says where its value lies, and whoever wants it reads it. Of a page that holds
//! large values only the table and the keys are read, however many pages it spans.
//!
//! A damaged file must not lead into a circle or into memory, so three things are held against it: a page bears
//! the number by which it was asked for; the pages of one walk are no more than the file has; and the keys
//! ascend. The original's cursor checks none of them.

use std::io;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::meta::Meta;
use super::page::{self, ELEMENT, HEADER, Kind};
use super::source::{Source, Window};
use crate::exit::caused_by;

/// The longest key that bbolt takes.
const MAX_KEY: u32 = 32 * 1024;
/// Levels of a tree. A branch has two children at least, so no file is large enough for more.
const MAX_DEPTH: usize = 24;

/// Bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where they begin.
    pub start: u64,
    /// How many they are.
    pub len: u32,
}

/// A key, and where its value is.
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Whether the value is a bucket.
    pub is_bucket: bool,
    /// Where the value is; nobody has looked at it.
    pub value: Span,
}

/// Where a bucket's tree begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// At a page.
    Page(u64),
    /// In a page of its own that lies in the bucket's value: a small bucket.
    Inline(Span),
}

/// A database whose pages can be walked.
#[derive(Clone, Copy)]
pub struct Pages<'a> {
    source: &'a dyn Source,
    meta: Meta,
}

/// What is done with each entry; the window is for reading what is near.
pub type Visit<'a> = dyn FnMut(&Entry, &mut Window) -> Result<()> + 'a;

impl<'a> Pages<'a> {
    /// The pages that `meta` describes, all of which must be in `source`.
    pub fn new(source: &'a dyn Source, meta: Meta) -> Self {
        Self { source, meta }
    }

    /// The page of the tree that holds all buckets.
    pub fn root(&self) -> u64 {
        self.meta.root
    }

    /// Visits every entry of a bucket in the order of their keys.
    pub fn walk(&self, root: Root, visit: &mut Visit) -> Result<()> {
        let mut walk = Walk {
            pages: self,
            window: Window::new(self.source),
            left: self.meta.pages,
            last: Vec::new(),
            visit,
        };
        match root {
            Root::Page(page) => walk.tree(page),
            Root::Inline(span) => walk.inline(span),
        }
    }

    /// Where a bucket begins that is the value of `entry`.
    pub fn bucket(&self, entry: &Entry, window: &mut Window) -> Result<Root> {
        ensure!(entry.is_bucket, "it is a value, where a bucket must be");
        let value = entry.value;
        ensure!(
            value.len as usize >= HEADER,
            "its value has no room for a bucket"
        );
        let head = window.get(value.start, HEADER)?;
        let page = page::u64_at(head, 0).context("its value has no room for a bucket")?;
        Ok(match page {
            0 => Root::Inline(Span {
                start: value.start + HEADER as u64,
                len: value.len - HEADER as u32,
            }),
            page => Root::Page(page),
        })
    }

    /// Where page `id` with those that follow it lies.
    fn span(&self, id: u64, overflow: u32) -> Result<Range> {
        let size = u64::from(self.meta.page_size);
        let end = id.checked_add(1 + u64::from(overflow));
        let end = end.filter(|end| *end <= self.meta.pages);
        let end = end
            .with_context(|| format!("it reaches beyond the last of {} pages", self.meta.pages))?;
        // Fewer than the file's bytes, so nothing overflows.
        Ok(Range {
            start: id * size,
            end: end * size,
        })
    }
}

/// From a byte to the one behind the last.
#[derive(Clone, Copy)]
struct Range {
    start: u64,
    end: u64,
}

struct Walk<'a, 'v> {
    pages: &'a Pages<'a>,
    window: Window<'a>,
    /// How many pages may still be visited.
    left: u64,
    /// The key before.
    last: Vec<u8>,
    visit: &'a mut Visit<'v>,
}

impl Walk<'_, '_> {
    /// Depth first; the children that are still to come are kept, their pages are not.
    fn tree(&mut self, root: u64) -> Result<()> {
        let mut levels = vec![vec![root]];
        while let Some(level) = levels.last_mut() {
            let Some(id) = level.pop() else {
                levels.pop();
                continue;
            };
            let children = self.page(id).with_context(|| format!("page {id}"))?;
            if !children.is_empty() {
                ensure!(levels.len() < MAX_DEPTH, "page {id}: the tree is too deep");
                levels.push(children);
            }
        }
        Ok(())
    }

    /// Visits a leaf, or gives a branch's children, the first one last.
    fn page(&mut self, id: u64) -> Result<Vec<u64>> {
        let first = self.pages.span(id, 0)?;
        let header = page::header(self.window.get(first.start, HEADER)?)?;
        ensure!(header.id == id, "it says that it is page {}", header.id);
        let range = self.pages.span(id, header.overflow)?;
        let spent = self.left.checked_sub(1 + u64::from(header.overflow));
        self.left = spent.context("pages are used twice")?;
        let table = self.table(range, header.count)?;
        match header.kind {
            Kind::Branch => {
                let mut children: Vec<_> = page::branches(table).map(|child| child.page).collect();
                ensure!(!children.is_empty(), "it is a branch without children");
                children.reverse();
                Ok(children)
            }
            Kind::Leaf => self.leaf(range, header.count).map(|()| Vec::new()),
        }
    }

    fn inline(&mut self, span: Span) -> Result<()> {
        let range = Range {
            start: span.start,
            end: span.start + u64::from(span.len),
        };
        ensure!(span.len as usize >= HEADER, "it has no room for a header");
        let header = page::header(self.window.get(range.start, HEADER)?)?;
        ensure!(header.kind == Kind::Leaf, "it is a branch inside a value");
        self.leaf(range, header.count)
    }

    /// The elements of a page.
    fn table(&mut self, range: Range, count: u16) -> Result<&[u8]> {
        let len = usize::from(count) * ELEMENT;
        let room = range.end - range.start;
        ensure!(
            (HEADER + len) as u64 <= room,
            "its {count} elements have no room in it"
        );
        self.window.get(range.start + HEADER as u64, len)
    }

    /// bbolt writes keys and values one behind the other. That is asked for, because whoever could have them overlap
    /// would get more out of a file than is in it.
    fn leaf(&mut self, range: Range, count: u16) -> Result<()> {
        let leaves: Vec<_> = page::leaves(self.table(range, count)?).collect();
        let table = range.start + HEADER as u64;
        let mut free = table + (leaves.len() * ELEMENT) as u64;
        for (number, leaf) in leaves.into_iter().enumerate() {
            let key = table + (number * ELEMENT) as u64 + u64::from(leaf.position);
            let value = Span {
                start: key + u64::from(leaf.key_len),
                len: leaf.value_len,
            };
            let end = value.start + u64::from(value.len);
            let is_in_place = free <= key && end <= range.end;
            ensure!(is_in_place, "element {number} is not where it may be");
            free = end;
            self.entry(key, &leaf, value)
                .with_context(|| format!("element {number}"))?;
        }
        Ok(())
    }

    fn entry(&mut self, start: u64, leaf: &page::Leaf, value: Span) -> Result<()> {
        let len = leaf.key_len;
        ensure!((1..=MAX_KEY).contains(&len), "its key has {len} bytes");
        let key = self.window.get(start, len as usize)?;
        if key <= self.last.as_slice() {
            bail!("its key does not follow the one before");
        }
        self.last.clear();
        self.last.extend_from_slice(key);
        let entry = Entry {
            key: &self.last,
            is_bucket: leaf.is_bucket,
            value,
        };
        (self.visit)(&entry, &mut self.window)
    }
}

/// The error of a file that breaks its own rules; one of the disk stays what it is.
pub fn damaged(error: anyhow::Error) -> anyhow::Error {
    match caused_by::<io::Error>(&error) {
        true => error,
        false => anyhow!("it is damaged ({error:#}): copy it again, or use another snapshot"),
    }
}
